"""`pertoken provider`: the registry of providers, and which of them can be called now."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import click

from pertoken.cli.session import json_option, load_settings, print_json
from pertoken.cli.tables import print_table

if TYPE_CHECKING:
    from pertoken.settings import Settings

COLUMNS = {
    "name": "name",
    "wire": "wire",
    "base_url": "base URL",
    "key": "key variable",
    "stream_usage": "usage in streams",
    "stops_billing_on_abort": "abort stops billing",
    "state": "state",
}
STREAM_USAGE: Mapping[str, str] = {"option": "asked for", "unasked": "always", "none": "never, so counted"}


@click.group()
def provider() -> None:
    """Which providers can be called, and what is known of them."""


@provider.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every provider of the registry and of the settings. Active ones come first, as models look for them."""
    rows = list(_rows(load_settings(None)))
    if as_json:
        print_json({"providers": rows})
        return
    shown = [
        {
            **row,
            "base_url": row["base_url"] or (f"as {row['base_url_example']}" if row["callable"] else "-"),
            "key": row["key_variables"][0] if row["key_variables"] else "-",
            "stream_usage": STREAM_USAGE[row["stream_usage"]],
            "state": _state(row),
        }
        for row in rows
    ]
    print_table("providers", COLUMNS, shown)


def shown_url(base_url: str) -> str:
    """Return a base URL without the user and password that it may hold."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _rows(settings: "Settings") -> Iterator[dict[str, Any]]:
    from pertoken.catalogs.providers import registry  # noqa: PLC0415 - keeps --help fast
    from pertoken.settings import key_variables  # noqa: PLC0415

    for name, active in settings.providers.items():
        known = registry().get(name)
        yield {
            "name": name,
            "title": known.title if known else name,
            "aliases": known.aliases if known else (),
            "wire": active.wire,
            "base_url": shown_url(active.base_url),
            "base_url_example": None,
            "auth": active.auth,
            "key_variables": key_variables(name),
            "key_found": bool(active.api_key),
            "stream_usage": active.stream_usage,
            "stops_billing_on_abort": active.stops_billing_on_abort,
            "on_hangup": active.on_hangup,
            "output_cap": active.output_cap,
            "callable": True,
            "active": True,
            "note": known.note or None if known else None,
            "source": known.source if known else "settings",
        }
    for name, known in registry().items():
        if name not in settings.providers:
            yield {
                "name": name,
                "title": known.title,
                "aliases": known.aliases,
                "wire": known.wire,
                "base_url": known.base_url or None,
                "base_url_example": known.base_url_example or None,
                "auth": known.auth,
                "key_variables": known.key_variables,
                "key_found": False,
                "stream_usage": known.stream_usage,
                "stops_billing_on_abort": known.stops_billing_on_abort,
                "on_hangup": "drain",
                "output_cap": known.output_cap,
                "callable": known.callable,
                "active": False,
                "note": known.note or None,
                "source": known.source,
            }


def _state(row: Mapping[str, Any]) -> str:
    if row["active"]:
        return "active" if row["key_found"] or row["auth"] == "none" else "active, no key"
    return "not active" if row["callable"] else "by ingest only"
