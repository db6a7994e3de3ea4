"""One call, top to bottom: from a client's request to a settled charge.

`_story` tells it; each step is a module in `services.call`, and adds what it found out to the call. An End is how the
call ends: refused, and the client reads it in its own wire format, or answered.
"""

from pertoken.core.calls import CallLine, status_of
from pertoken.core.errors import Refusal
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.ports.exchange import Exchange
from pertoken.services.call.admit import admit
from pertoken.services.call.answer import answer, give
from pertoken.services.call.attempt import attempt
from pertoken.services.call.call import Call, End
from pertoken.services.call.record import record
from pertoken.services.call.relay import relay
from pertoken.services.call.settle import settle
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint


async def serve(exchange: Exchange, endpoint: Endpoint, world: World) -> None:
    """Serve one call. Always answers; its hold ends settled or voided, or expires if this process dies."""
    now_us = world.clock.now_us()
    call = Call(exchange, endpoint, new_id("call", now_us, world.clock.random_bits(RANDOM_BITS)), now_us)

    try:
        end = await _story(call, world)
    finally:
        if call.note is not None:
            call.note.end(call.kept, call.charged)
    if end.refusal is not None and not end.was_admitted:
        record(end.refusal, call.call_id, now_us, world)
    give(call, end)
    if world.tell is not None:
        world.tell(line_of(call, end, world.clock.now_us()))


async def _story(call: Call, world: World) -> End:
    """Take a call through its steps; return how it ends."""
    admitted = await admit(call, world)  # identify → understand → shape → reuse → hold
    if isinstance(admitted, End):
        return admitted
    answered = await attempt(admitted, world)  # forward, once or more
    if isinstance(answered, End):
        return answered
    relayed = await relay(answered, world)
    return answer(relayed, await settle(relayed, world))


def line_of(call: Call, end: End, now_us: int) -> CallLine:
    """Return what is told of a call that ended."""
    refusal: Refusal | None = end.refusal
    status = status_of(
        call.charged[-1] if call.charged else None,
        refused=refusal is not None and not end.was_admitted,
        failed=refusal is not None or end.status >= 400,
        hung_up=call.exchange.gone,
    )
    of = call.request.attribution if end.was_admitted else None if refusal is None else refusal.attribution
    code = None if refusal is None else str(refusal.code)
    wire = call.endpoint.format.name
    return CallLine(now_us, call.call_id, status, end.status, now_us - call.began_us, of, call.charged, code, wire)
