"""Step 8: from usage to exact lines, and from a hold to a posted event, once."""

from collections.abc import Sequence
from typing import assert_never

from pertoken.core.calls import with_end
from pertoken.core.charging import Served
from pertoken.core.claims import Outcome
from pertoken.core.commands import Duplicate, Settle, Settled
from pertoken.core.conditions import to_conditions
from pertoken.core.events import GATEWAY, NOT_TIMED, Event, OfCall, Timeline, timeline
from pertoken.core.provisional import HeldFor
from pertoken.core.settlement import KnownUse, context_served, settlement
from pertoken.core.trust import may_disagree
from pertoken.core.untold import may_be_undivided, tells_no_hour
from pertoken.core.usage import Used
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.call.call import Call, Relayed
from pertoken.services.call.divide import short_told, text_told
from pertoken.services.call.estimate import estimate
from pertoken.services.call.measure import disagreement
from pertoken.services.call.refuse import settled_headers
from pertoken.services.call.request import Request
from pertoken.services.pricing import priced
from pertoken.services.world import World

BODY_BYTES_MAX = 4 * 1024 * 1024  # of an answer that is kept


async def settle(call: Call, world: World) -> Settled | StoreUnavailable:
    """Post the call's event and end its hold, durably. A store that fails keeps the event and tries again."""
    request, holding, relayed = call.request, call.holding, call.relayed
    reading, failure = relayed.reading, relayed.failure
    estimated: tuple[Used, ...] | None = None
    if relayed.text is not None or relayed.tokens is not None or reading.quantities is None:
        estimated = await estimate(request, holding, relayed, world)
    event = priced(to_event(call, world, estimated), world.pricing)
    if failure is not None or relayed.hung_up:
        event = with_end(event, None if failure is None else str(failure), hung_up=relayed.hung_up)
    outcome = _outcome(call, event) if holding.claim is not None and failure is None else None
    held_tokens = holding.bound.quantities["input_tokens"]
    is_doubted = may_disagree(request.facts, held_tokens, reading)
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
    request, hold, relayed, reading = call.request, call.holding.hold, call.relayed, call.relayed.reading
    context = context_served(request.facts, reading)
    served = Served(
        request.provider.name, request.priced_as, reading.model, request.opened_at_us, context, request.model,
        _may_have_any_name(request, world), reading.models,
    )  # fmt: skip
    cover = HeldFor(hold.amount_picos, hold.currency, call.holding.bound.quantities)
    made = settlement(world.ledger.prices, served, _known(call, estimated), cover)
    charged = made.charge
    return Event(
        source=GATEWAY,
        event_id=hold.hold_id,
        attribution=request.attribution,
        occurred_at_us=request.opened_at_us,
        recorded_at_us=world.clock.now_us(),
        opened_at_us=request.opened_at_us,
        status=made.status,
        completeness=made.completeness,
        quantities=made.quantities,
        currency=charged.currency,
        cost_picos=charged.cost_picos,
        price_picos=None,
        lines=charged.lines,
        of=OfCall(
            hold.amount_picos,
            max(0, charged.cost_picos - hold.amount_picos),
            changed=call.changed,
            timeline=_timeline(request.opened_at_us, relayed),
            attempts=0 if relayed.sent is None else relayed.sent.attempts,
            error=None if relayed.failure is None else relayed.failure.kind,
        ),
        book_lines=charged.book_lines,
        model_served=made.model_served,
        service_tier=reading.service_tier,
        response_id=reading.response_id,
        raw=reading.raw,
        reason=made.reason,
        context=to_conditions(context),
        priced_as=None if request.priced_as == request.attribution.model else request.priced_as,
        parts=made.used.parts,
    )


def _known(call: Call, estimated: tuple[Used, ...] | None) -> KnownUse:
    """Return what is known of what a call used."""
    request, relayed = call.request, call.relayed
    facts, reading = request.facts, relayed.reading
    return KnownUse(
        facts,
        reading,
        estimated,
        failure=str(relayed.failure) if relayed.failure else None,
        text=text_told(request, reading) if may_be_undivided(facts, reading) else {},
        short=short_told(reading) if facts.long_cache and tells_no_hour(reading) else None,
    )


def _may_have_any_name(request: Request, world: World) -> bool:
    """Tell whether the operator says whose price a deployment has, whatever its answers call it."""
    route = world.offers.routes.get(request.facts.model)
    return route is not None and route.priced_as is not None


def _timeline(opened_us: int, relayed: Relayed) -> Timeline:
    sent = relayed.sent
    if sent is None:
        return NOT_TIMED
    first_us = sent.answered_us if relayed.first_byte_us is None else relayed.first_byte_us
    return timeline(opened_us, sent.held_us, sent.sent_us, first_us, relayed.last_byte_us)
