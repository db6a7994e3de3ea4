"""Step 8: from usage to exact lines, and from a hold to a posted event, once."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from pertoken.core import bounds, conditions
from pertoken.core.calls import with_end
from pertoken.core.charging import Charge, Served, find_rates
from pertoken.core.claims import Outcome
from pertoken.core.commands import Duplicate, Settle, Settled
from pertoken.core.conditions import Conditions, to_conditions
from pertoken.core.events import GATEWAY, NOT_TIMED, Event, EventStatus, OfCall, Timeline
from pertoken.core.provisional import HeldFor
from pertoken.core.rating import REQUESTS
from pertoken.core.readings import UNDIVIDED
from pertoken.core.settlement import DearestMeant, charge_dearest
from pertoken.core.units import INSIDE
from pertoken.core.usage import Completeness, Quantities, Reading, Used, leaves
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.call.call import Call, Holding, Relayed
from pertoken.services.call.count import Counts, count_output
from pertoken.services.call.divide import UNTOLD, kept_longer, may_be_undivided, undivided
from pertoken.services.call.measure import count_at_the_end, disagreement, may_disagree
from pertoken.services.call.outrun import Outran
from pertoken.services.call.refuse import settled_headers
from pertoken.services.call.request import Request
from pertoken.services.world import World

BODY_BYTES_MAX = 4 * 1024 * 1024  # of an answer that is kept


async def settle(call: Call, world: World) -> Settled | StoreUnavailable:
    """Post the call's event and end its hold, durably. A store that fails keeps the event and tries again."""
    request, holding, relayed = call.request, call.holding, call.relayed
    reading, failure = relayed.reading, relayed.failure
    estimated: tuple[Used, ...] | None = None
    if relayed.text is not None or relayed.tokens is not None or reading.quantities is None:
        estimated = await _estimate(request, holding, relayed, world)
    event = to_event(call, world, estimated)
    if world.price is not None:
        event = event._replace(price_picos=world.price(event))
    if failure is not None or relayed.hung_up:
        event = with_end(event, None if failure is None else str(failure), hung_up=relayed.hung_up)
    outcome = _outcome(call, event) if holding.claim is not None and failure is None else None
    held_tokens = holding.bound.quantities["input_tokens"]
    is_doubted = may_disagree(request, held_tokens, reading)
    doubt = await disagreement(request, reading, world) if is_doubted else None
    try:
        result = await world.ledger.submit(Settle(holding.hold.hold_id, event, holding.claim, outcome, doubt))
    except StoreUnavailable as error:
        return error
    match result:
        case Settled():
            return result
        case Duplicate():  # a try before this one was written, and its answer lost
            return Settled(event, None)
        case _:
            assert_never(result)


def _outcome(call: Call, event: Event) -> Outcome:
    """Return what is kept of an answer for a client that named its call."""
    said = (*call.headers, *settled_headers(Settled(event, None)))
    return kept(call, said)


def kept(call: Call, headers: Sequence[tuple[bytes, bytes]]) -> Outcome:
    """Return a whole answer with these headers, without its body where that is too large."""
    relayed = call.relayed
    body = relayed.passed + relayed.last
    is_kept = len(body) <= BODY_BYTES_MAX
    return Outcome(call.answer.status, tuple(headers), body if is_kept else None, call.request.facts.stream)


def to_event(call: Call, world: World, estimated: tuple[Used, ...] | None) -> Event:
    """Return the event of a call: priced at the prices in force when the call began.

    `estimated` is used where the provider said too little. Of several readings of what it said, the dearest is charged.
    """
    request, holding, relayed, changed = call.request, call.holding, call.relayed, call.changed
    reading = relayed.reading
    context = _context(request, reading)
    served = Served(
        request.provider.name, request.priced_as, reading.model, request.opened_at_us, context, request.model,
        _may_have_any_name(request, world), reading.models,
    )  # fmt: skip
    chosen, completeness, reason = _charge(call, served, world, estimated)
    charged = chosen.charge
    return Event(
        source=GATEWAY,
        event_id=holding.hold.hold_id,
        attribution=request.attribution,
        occurred_at_us=request.opened_at_us,
        recorded_at_us=world.clock.now_us(),
        opened_at_us=request.opened_at_us,
        status=_status(reading, charged, served.provider, world, chosen.differ),
        completeness=completeness,
        quantities=_with_requests(chosen.used.quantities, charged.book_lines or charged.lines),
        currency=charged.currency,
        cost_picos=charged.cost_picos,
        price_picos=None,
        lines=charged.lines,
        of=OfCall(
            holding.hold.amount_picos,
            max(0, charged.cost_picos - holding.hold.amount_picos),
            changed=changed,
            timeline=_timeline(request.opened_at_us, relayed),
            attempts=0 if relayed.sent is None else relayed.sent.attempts,
        ),
        book_lines=charged.book_lines,
        model_served=chosen.model_served,
        service_tier=reading.service_tier,
        response_id=reading.response_id,
        raw=reading.raw,
        reason=reason,
        context=to_conditions(context),
        priced_as=None if request.priced_as == request.attribution.model else request.priced_as,
        parts=chosen.used.parts,
    )


def _timeline(opened_us: int, relayed: Relayed) -> Timeline:
    """Return when the call came to each step. The clock may be set back on the way: no step is before the first."""
    sent = relayed.sent
    if sent is None:
        return NOT_TIMED
    first_us = sent.answered_us if relayed.first_byte_us is None else relayed.first_byte_us
    return Timeline(
        max(0, sent.held_us - opened_us),
        max(0, sent.sent_us - opened_us),
        None if first_us is None else max(0, first_us - opened_us),
        None if relayed.last_byte_us is None else max(0, relayed.last_byte_us - opened_us),
    )


def _may_have_any_name(request: Request, world: World) -> bool:
    """Tell whether the operator says whose price a deployment has, whatever its answers call it."""
    route = world.offers.routes.get(request.facts.model)
    return route is not None and route.priced_as is not None


def _charge(
    call: Call, served: Served, world: World, estimated: tuple[Used, ...] | None
) -> tuple[DearestMeant, Completeness, str | None]:
    """Return the dearest possible reading, how far it can be trusted, and why not further."""
    request, holding, relayed = call.request, call.holding, call.relayed
    reading, book = relayed.reading, world.ledger.prices
    reason, completeness = reading.contradiction or reading.note, reading.completeness
    readings = _readings(reading) if estimated is None else estimated
    assert readings
    if estimated is not None:
        completeness = Completeness.ESTIMATED
        reason = reason or (str(relayed.failure) if relayed.failure else "the answer carried no usage")
    if completeness is not Completeness.FINAL:
        readings = tuple(one._replace(parts=()) for one in readings)
    cover = HeldFor(holding.hold.amount_picos, holding.hold.currency, holding.bound.quantities)
    longer = kept_longer(reading, readings) if request.facts.long_cache else ()
    chosen = charge_dearest(book, served, (*readings, *longer), cover)
    if any(chosen.used is one for one in longer):
        completeness, reason = Completeness.ESTIMATED, reason or UNTOLD
    if may_be_undivided(request, reading):
        served = served._replace(model_served=chosen.model_served, named=())
        other = undivided(request, holding.bound, reading, chosen.used, find_rates(book, served)[0])
        dearer = charge_dearest(book, served, (chosen.used, *other), cover) if other else chosen
        if dearer.charge.cost_picos > chosen.charge.cost_picos:
            chosen, completeness = dearer._replace(differ=chosen.differ), Completeness.ESTIMATED
            reason = reason or UNDIVIDED
    if chosen.differ is not None:
        reason = f"{chosen.differ}; {reason}" if reason else chosen.differ
    why = (chosen.charge.reason if chosen.charge.status is not EventStatus.PRICED else None) or reason
    return chosen, completeness, why or chosen.charge.reason


def _context(request: Request, reading: Reading) -> conditions.Context:
    """Return the context as served; what the answer does not say is as it was asked for."""
    facts = request.facts
    return conditions.context(
        reading.service_tier or facts.service_tier,
        speed=reading.speed or facts.speed,
        region=reading.region or facts.region,
        attributes=_attributes(request, reading),
    )


def _attributes(request: Request, reading: Reading) -> Conditions:
    """Return what a price may depend on besides: as the answer tells it, else as it was asked for."""
    if not reading.attributes:
        return request.facts.attributes
    return tuple(sorted({**dict(request.facts.attributes), **dict(reading.attributes)}.items()))


def _status(reading: Reading, charged: Charge, provider: str, world: World, differ: str | None) -> EventStatus:
    """Return whether the event has a cost: one that is a guess at contradictory numbers is marked as that."""
    is_doubted = reading.doubtful_cost is not None and world.ledger.prices.charges_as_stated(provider)
    is_guess = reading.contradiction is not None and reading.quantities is not None and not charged.is_stated
    return (
        EventStatus.CONTRADICTORY
        if (is_guess or is_doubted or differ is not None) and charged.status is EventStatus.PRICED
        else charged.status
    )


def _with_requests(quantities: Quantities, lines: Sequence[tuple[str, int, str, int]]) -> Quantities:
    """Return what was used, with the requests that are charged: a call is one, whatever its usage says."""
    requests = sum(quantity for unit, quantity, *_ in lines if unit == REQUESTS)
    return {**quantities, REQUESTS: requests} if requests and REQUESTS not in quantities else quantities


def _readings(reading: Reading) -> tuple[Used, ...]:
    """Return all that may be meant by what the provider said; nothing where it said nothing that can be used."""
    if reading.quantities is None:
        return ()
    return _with_costs((Used(reading.quantities, reading.parts), *reading.alternatives), reading)


def _with_costs(said: tuple[Used, ...], reading: Reading) -> tuple[Used, ...]:
    """Return what was used with the cost that was stated; where that is in doubt, with each that may be meant."""
    cost, doubtful = reading.reported_cost, reading.doubtful_cost
    if reading.reported_fee is not None:
        said = tuple(one._replace(fee=reading.reported_fee) for one in said)
    stated = said if cost is None else tuple(one._replace(stated=cost) for one in said)
    return stated if doubtful is None else (*stated, *(one._replace(stated=doubtful) for one in said))


async def _estimate(request: Request, holding: Holding, relayed: Relayed, world: World) -> tuple[Used, ...]:
    """Count what the provider did not say. A reported input side is kept."""
    readings = _readings(relayed.reading) or _with_costs((Used({}),), relayed.reading)
    needs_input = any("input_tokens" not in one.quantities for one in readings)
    counted = {"output_tokens": await _count_output(request, holding, relayed, world)}
    if needs_input:
        counts = await count_at_the_end(request, world)
        most = holding.bound.quantities["input_tokens"]
        counted["input_tokens"] = min(_count_input(request, counts, holding, world), most)
    return tuple(one._replace(quantities=_at_least(one.quantities, counted), parts=()) for one in readings)


async def _count_output(request: Request, holding: Holding, relayed: Relayed, world: World) -> int:
    """Return the output tokens where the provider did not say: never free, and never more than it was allowed to make.

    A tokenizer that is not the provider's can count more than the cap, though the provider kept to it. What it counts
    above the bound is its error, and no budget may pay for that.
    """
    most, output = holding.bound.quantities["output_tokens"], relayed.tokens
    if output is None:
        output = await count_output(request, relayed.text or "", world)
    if relayed.reading.made:
        return max(output, most)  # nobody can count a picture or a sound by its bytes
    return output if isinstance(relayed.failure, Outran) else min(output, most)


def _at_least(reported: Mapping[str, int], counted: Mapping[str, int]) -> dict[str, int]:
    """Return what was reported, with what was counted where that is missing, or where it is more output than that."""
    quantities = dict(reported)
    for unit, tokens in counted.items():
        parts = sum(leaves({part: reported[part] for part in INSIDE[unit] if part in reported}).values())
        if unit not in reported:
            quantities[unit] = max(tokens, parts)
        elif unit == "output_tokens":
            quantities[unit] = max(tokens, reported[unit])
    return quantities


def _count_input(request: Request, counts: Counts | None, holding: Holding, world: World) -> int:
    if counts is None:
        return bounds.byte_bound(len(request.body), request.family, tools=request.facts.has_tools)
    exact = request.family._replace(frame_tokens=3, message_tokens=3) if request.family.exact else request.family
    text = bounds.counted_bound(counts.tokens, exact, messages=counts.messages, names=counts.names, tools=False)
    text = world.ledger.directory.trust(request.provider.name, request.model).estimate(text)
    return min(text, holding.hold.tokens) if not counts.has_media else holding.hold.tokens
