"""The world of one serving process: everything that a call needs from outside."""

from collections.abc import Callable

from pertoken.catalogs import request_fields
from pertoken.catalogs.limits import ModelLimits
from pertoken.core.calls import CallLine
from pertoken.core.secrets import Hasher
from pertoken.ports.readers import Readers
from pertoken.services.offers import ModelRoute, Offers
from pertoken.services.world import Drains, World
from pertoken.settings import Settings
from pertoken.store.committer import Committer
from pertoken.upstream.http import Client
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.pricing import make_pricing
from pertoken.wiring.providers import make_providers


def make_world(  # noqa: PLR0917 - what there is one of
    settings: Settings,
    committer: Committer,
    client: Client,
    hasher: Hasher,
    readers: Readers,
    tell: Callable[[CallLine], None] | None = None,
) -> World:
    """Return the world of one serving process."""
    limits = settings.limits
    providers = make_providers(settings, client)
    routes = {
        name: ModelRoute(model.provider, model.model, model.priced_as, model.cheaper, model.fallbacks)
        for name, model in settings.models.items()
    }
    rules = request_fields.read()
    return World(
        ledger=committer,
        clock=SystemClock(),
        hasher=hasher,
        readers=readers,
        providers=providers,
        offers=Offers(committer, providers, routes, ModelLimits(), rules.served),
        rules=rules,
        owner=committer.owner.name,
        drains=Drains(limits.drain_calls_max),
        hold_ttl_us=limits.hold_s * 1_000_000,
        census=committer.census,
        refused=committer.refused,
        retries=limits.retries,
        queue_us=limits.queue_ms * 1_000,
        pricing=make_pricing(lambda: committer.directory.plans),
        tell=tell,
    )
