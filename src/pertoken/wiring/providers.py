"""The providers of the settings, and the client that calls them."""

import os

from pertoken.catalogs.providers import StreamUsage
from pertoken.settings import Settings, missing_key
from pertoken.upstream.http import Client
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.proxy import Proxies
from pertoken.upstream.registry import HttpProvider, http_provider
from pertoken.wiring.provider_keys import provider_key


def make_client(settings: Settings) -> Client:
    """Return the HTTP client to all providers; proxies come from the usual environment variables."""
    limits = settings.limits
    return Client(
        ClientLimits(
            connect_ms=limits.connect_ms,
            first_byte_ms=limits.first_byte_ms,
            idle_ms=limits.idle_ms,
            total_ms=limits.total_ms,
            body_bytes=limits.answer_bytes_max,
            connections_per_origin=limits.connections_max,
        ),
        proxies=Proxies.from_environ(os.environ),
    )


def make_providers(settings: Settings, client: Client) -> dict[str, HttpProvider]:
    """Return the providers of the settings by name. Raises BadSettings if a key cannot be read."""
    return {
        name: http_provider(
            name,
            wire=provider.wire,
            base_url=provider.base_url,
            auth=provider.auth,
            api_key=provider_key(settings, name),
            query=provider.query,
            asks_for_usage=provider.stream_usage is StreamUsage.OPTION,
            cuts_on_hangup=provider.on_hangup == "cut",
            output_cap=provider.output_cap,
            prices_from=provider.prices_from,
            missing_key=missing_key(settings, name),
            client=client,
        )
        for name, provider in settings.providers.items()
    }
