"""Steps 2 to 4: what the request asks for, which provider and model serve it, and at what prices."""

from typing import NamedTuple

from pertoken.core import prices
from pertoken.core.bounds import Family, Limits, family_of
from pertoken.core.budgets import Attribution
from pertoken.core.errors import Code, Refusal
from pertoken.core.prices import STANDARD, Rates
from pertoken.ports import Exchange, Provider
from pertoken.services.call.identify import Caller, attribute
from pertoken.services.world import Route, World
from pertoken.wire.format import BadRequest, Format, RequestFacts
from pertoken.wire.routes import Endpoint


class Request(NamedTuple):
    """A request understood: everything that the later steps decide on."""

    endpoint: Endpoint
    facts: RequestFacts
    body: bytes
    provider: Provider
    model: str  # as the provider is asked for it
    attribution: Attribution
    rates: tuple[Rates, ...]  # every set of prices that the answer could be rated at
    family: Family
    limits: Limits
    opened_at_us: int

    @property
    def format(self) -> Format:
        """The wire format the client speaks."""
        return self.endpoint.format


def understand(exchange: Exchange, endpoint: Endpoint, caller: Caller, world: World, now_us: int) -> Request | Refusal:
    """Return the request understood, or why it cannot be served."""
    try:
        facts = endpoint.format.read_request(exchange.body, endpoint.model)
    except BadRequest as error:
        return Refusal(Code.INVALID_REQUEST, error.message, error.param)
    if endpoint.stream is not None:
        facts = facts._replace(stream=endpoint.stream)
    route = choose(facts.model, endpoint.wire, world, now_us)
    if isinstance(route, Refusal):
        return route
    rates = _rates(route, facts, world, now_us) if facts.bills else ()
    if isinstance(rates, Refusal):
        return rates
    return Request(
        endpoint,
        facts,
        exchange.body,
        world.providers[route.provider],
        route.model,
        attribute(caller, facts, route.provider),
        rates,
        family_of(route.model),
        world.limits.find(route.provider, route.model),
        now_us,
    )


def choose(model: str, wire: str, world: World, now_us: int) -> Route | Refusal:
    """Return where calls for `model` go: as configured, else the provider of this wire whose prices know it."""
    if model in world.routes:
        return world.routes[model]
    speakers = [name for name, provider in world.providers.items() if provider.wire == wire]
    if not speakers:
        return Refusal(
            Code.UNKNOWN_MODEL, f"no provider that speaks {wire} is configured; add one under providers", "model"
        )
    knowing = world.ledger.prices.providers_of(model, now_us, speakers)
    return Route(knowing[0] if knowing else speakers[0], model)


def _rates(route: Route, facts: RequestFacts, world: World, now_us: int) -> tuple[Rates, ...] | Refusal:
    """Return the standard prices and those of the service tier that was asked for: the answer may come at either."""
    asked = prices.context(facts.service_tier, speed=facts.speed)
    found = []
    for context in (STANDARD,) if asked == STANDARD else (STANDARD, asked):
        rates = world.ledger.prices.resolve(route.provider, route.model, now_us, context)
        if not isinstance(rates, Rates):
            hint = f"see: pertoken price show {route.model}, or add one: pertoken price add"
            return Refusal(Code.PRICE_UNKNOWN, f"{rates.reason}; {hint}", "model")
        found.append(rates)
    return tuple(found)
