"""Step 2, a part: what the client chose beside the model it named. The hold covers the dearest of it."""

from typing import NamedTuple

from pertoken.core.ceilings import capped, dearest_of_all
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.texts import NAME_CHARACTERS_MAX
from pertoken.services.call.call import Call
from pertoken.services.call.reading import choices_of, read
from pertoken.services.offers import AskedFor, Offer, with_rates
from pertoken.services.world import World
from pertoken.wire import choices
from pertoken.wire.choices import NOTHING, Choices
from pertoken.wire.format import BadRequest
from pertoken.wire.routes import Endpoint


class Chosen(NamedTuple):
    """A request with all that its client chose."""

    facts: RequestFacts
    body: bytes  # as it was read: mostly as it came
    offer: Offer


def choose(call: Call, facts: RequestFacts, world: World) -> Chosen | Refusal:
    """Return the request with its choices in the facts and the offer, or why no hold can cover them."""
    endpoint, body, now_us = call.endpoint, call.body, call.opened_at_us
    offer = world.offers.find(facts.model, endpoint.wire, now_us, _asked(facts), bills=facts.bills)
    if isinstance(offer, Refusal) or not facts.bills:
        return offer if isinstance(offer, Refusal) else Chosen(facts, body, offer)
    if facts.web_searches_max > choices.UNITS_MAX:
        message = (
            f"up to {facts.web_searches_max} web searches in one call; at most {choices.UNITS_MAX} can be held for"
        )
        return Refusal(Code.INVALID_REQUEST, message, "tools")
    table = world.rules.of(endpoint.format.name, offer.provider.name)
    try:
        exchange = call.exchange
        asked = (table, exchange.headers, exchange.query, offer.model, facts.server_tools)
        found, once = read(choices_of, call, *asked)
        body = body if once is None else once
        if found == NOTHING:
            return Chosen(facts, body, offer)
        facts = _with(facts, found)
    except BadRequest as error:
        return Refusal(Code.INVALID_REQUEST, error.message, error.param)
    wider = _widen(endpoint, facts, found, world, now_us)
    return wider if isinstance(wider, Refusal) else Chosen(facts, body, wider)


def _asked(facts: RequestFacts) -> AskedFor:
    return AskedFor(facts.service_tier, facts.speed, facts.region, facts.attributes)


def _with(facts: RequestFacts, found: Choices) -> RequestFacts:
    """Return the facts with what was chosen. Raises BadRequest where a choice is made twice."""
    units = dict(facts.units_max)
    for unit, most in found.units:
        units[unit] = units.get(unit, 0) + most
    tier = _one("service tier", facts.service_tier, found.service_tier)
    return facts._replace(
        service_tier=found.implied_tier if tier is None else tier,
        speed=_one("speed", facts.speed, found.speed),
        region=found.region,
        attributes=tuple(sorted({**dict(facts.attributes), **dict(found.attributes)}.items())),
        hidden_input=facts.hidden_input or found.hidden,
        units_max=tuple(sorted(units.items())),
        repeats=found.repeats,
        output_more=found.output_more,
    )


def _one(what: str, one: str | None, other: str | None) -> str | None:
    if one is not None and other is not None and one.lower() != other.lower():
        raise BadRequest(f"the {what} is chosen twice, as {one!r} and as {other!r}")
    return one if other is None else other


def _widen(endpoint: Endpoint, facts: RequestFacts, found: Choices, world: World, now_us: int) -> Offer | Refusal:
    """Return an offer with every set of prices that what was chosen could be rated at."""
    asked = _asked(facts)
    offer = world.offers.find(facts.model, endpoint.wire, now_us, asked)
    if isinstance(offer, Refusal):
        return offer
    others = [model for model in found.models if model != offer.model]
    if any(len(model) > NAME_CHARACTERS_MAX for model in others):  # comparing names takes long
        return Refusal(Code.UNKNOWN_MODEL, f"a model's name has at most {NAME_CHARACTERS_MAX} characters", "models")
    wider = world.offers.or_any_of(offer, others, now_us, asked)
    if isinstance(wider, Refusal):
        return wider
    more = []
    if found.cap is not None:
        more.append(capped(wider.rates, found.cap, long_cache=facts.long_cache))
    if found.sellers:
        asked_for = [(model, tier) for model in (offer.priced_as, *others) for tier in found.sellers]
        sold = [one for model, tier in asked_for for one in world.offers.sold_by_anybody(model, now_us, tier)]
        more.append(dearest_of_all([*wider.rates, *sold]))
    return with_rates(wider, (*wider.rates, *more)) if more else wider
