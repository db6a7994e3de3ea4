"""Step 2: what the request asks for, which provider and model serve it, and at what prices."""

from typing import NamedTuple

from pertoken.core.bounds import Family, Limits
from pertoken.core.budgets import Attribution
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.rates import Rates
from pertoken.core.texts import NAME_CHARACTERS_MAX
from pertoken.ports.exchange import Exchange
from pertoken.ports.provider import Provider
from pertoken.services.call.belong import belong
from pertoken.services.call.choose import choose
from pertoken.services.call.heavy import Heavy
from pertoken.services.call.identify import Caller, attribute, warn
from pertoken.services.call.reading import facts_of, read
from pertoken.services.call.record import attribution_of
from pertoken.services.offers import Offer
from pertoken.services.world import World
from pertoken.wire.format import BadRequest, Format
from pertoken.wire.routes import Endpoint


class Request(NamedTuple):
    """A request understood: everything that the later steps decide on."""

    endpoint: Endpoint
    facts: RequestFacts
    body: bytes
    offer: Offer
    attribution: Attribution
    opened_at_us: int
    asked_model: str  # by the client; that of `facts` is another where a cheaper one took over
    cheaper: str | None = None  # the model name that may take over where a budget has not enough left
    fallbacks: tuple[str, ...] = ()  # the model names that may where the provider fails
    warnings: tuple[str, ...] = ()  # what of its headers was not taken as it was sent
    folded: tuple[str, ...] = ()  # what its attribution has as `other`, for the key has named enough
    heavy: Heavy | None = None  # the body, where it is read apart

    @property
    def format(self) -> Format:
        """The wire format the client speaks."""
        return self.endpoint.format

    @property
    def provider(self) -> Provider:
        """Who serves the call."""
        return self.offer.provider

    @property
    def model(self) -> str:
        """The model as the provider is asked for it."""
        return self.offer.model

    @property
    def priced_as(self) -> str:
        """The model whose price the call has until the answer names another."""
        return self.offer.priced_as

    @property
    def rates(self) -> tuple[Rates, ...]:
        """Every set of prices that the answer could be rated at."""
        return self.offer.rates

    @property
    def family(self) -> Family:
        """How the model's tokens are counted."""
        return self.offer.family

    @property
    def pictures(self) -> tuple[str, ...]:
        """What the model may make unasked, and has a price for."""
        return self.offer.pictures

    @property
    def limits(self) -> Limits:
        """How much the model takes and makes at most."""
        return self.offer.limits


def understand(  # noqa: PLR0917 - what a call has
    exchange: Exchange, endpoint: Endpoint, caller: Caller, world: World, now_us: int, instead: str | None = None
) -> Request | Refusal:
    """Return the request understood, with `instead` as one for that model, or why it cannot be served."""
    if caller.shown.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return Refusal(Code.INVALID_REQUEST, "the request body is packed (content-encoding); send it as plain json")
    try:
        values_max = None if exchange.heavy is None else exchange.heavy.values_max
        facts = read(facts_of, exchange, endpoint.format.name, endpoint.model, values_max)
    except BadRequest as error:
        return Refusal(Code.INVALID_REQUEST, error.message, error.param)
    if len(facts.model) > NAME_CHARACTERS_MAX:  # comparing it with every name that is known takes long
        message = f"no model has a name of {len(facts.model)} characters; at most {NAME_CHARACTERS_MAX} are looked for"
        return Refusal(Code.UNKNOWN_MODEL, message, "model")
    if endpoint.stream is not None:
        facts = facts._replace(stream=endpoint.stream)
    asked_model = facts.model
    if instead is not None:
        facts = facts._replace(model=instead)
    chosen = choose(exchange, endpoint, facts, world, now_us)
    if isinstance(chosen, Refusal):
        return chosen._replace(attribution=attribution_of(caller, facts.model))
    facts, body, offer = chosen
    named = belong(caller.key, attribute(caller, facts, offer.provider.name), world, now_us)
    if isinstance(named, Refusal):
        return named
    route = world.offers.routes.get(asked_model) if instead is None else None
    cheaper, fallbacks = (None, ()) if route is None else (route.cheaper, route.fallbacks)
    heavy = None if exchange.heavy is None else exchange.heavy.like(body)
    return Request(
        endpoint, facts, body, offer, named.attribution, now_us, asked_model, cheaper, fallbacks,
        warn(caller, named.attribution), named.folded, heavy,
    )  # fmt: skip
