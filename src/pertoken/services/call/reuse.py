"""Step 4: answer a call from what an identical one was answered, before anything is held for it.

Such a call uses nothing: its event has no tokens and costs nothing, and counts as one request. A call that its client
names is not looked for: its name is answered from the books (`claim`).
"""

from typing import assert_never

from pertoken.core.admission import currency_of
from pertoken.core.commands import Conflict, Duplicate, Record, Recorded
from pertoken.core.errors import Code, Refusal
from pertoken.core.events import GATEWAY, Event, EventStatus, OfCall
from pertoken.core.usage import Completeness
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.reuse import Hit, Reuse
from pertoken.services.call.call import Call, End, refused
from pertoken.services.call.claim import HEADER
from pertoken.services.call.refuse import reused_headers
from pertoken.services.pricing import priced
from pertoken.services.world import World


async def reuse(call: Call, memory: Reuse, world: World) -> Call | End:
    """Return the call's end where its answer is known, its event on disk; else the call. It is asked once a call."""
    if call.was_asked_before or not call.request.facts.bills or HEADER in call.caller.shown.headers:
        return call
    found = await memory.find(call.request)
    call.was_asked_before = True
    if not isinstance(found, Hit):
        call.note = found
        return call
    changed = f"reused={found.how}" if call.said is None else f"{call.said}, reused={found.how}"
    event = _event(call, changed, world)
    try:
        result = await world.ledger.submit(Record(event))
    except StoreUnavailable as error:
        message = f"the call's answer is known but its event could not be recorded: {error}"
        return refused(Refusal(Code.STORE_UNAVAILABLE, message, attribution=event.attribution))
    match result:
        case Recorded() | Duplicate():
            call.charged = (event,)
        case Conflict():
            raise AssertionError("an event of a call that begins has an id of its own")
        case _:
            assert_never(result)
    outcome = found.outcome
    assert outcome.body is not None, "a hit has an answer"
    headers = [*reused_headers(call, event), *outcome.headers]
    return End(outcome.status, headers, outcome.body, is_stream=outcome.stream)


def _event(call: Call, changed: str, world: World) -> Event:
    """Return the event of a call that was answered from memory."""
    request = call.request
    event = Event(
        source=GATEWAY,
        event_id=call.call_id,
        attribution=request.attribution,
        occurred_at_us=request.opened_at_us,
        recorded_at_us=world.clock.now_us(),
        opened_at_us=request.opened_at_us,
        status=EventStatus.PRICED,
        completeness=Completeness.FINAL,
        quantities={},
        currency=currency_of(request),
        cost_picos=0,
        price_picos=None,
        lines=(),
        of=OfCall(changed=changed),
    )
    return priced(event, world.pricing)
