"""One call, top to bottom: from a client's request to a settled charge.

The body of `serve` is the story; each step is a module in `services.call`. A step that cannot go on returns a Refusal,
and the client reads it in its own wire format.
"""

import logging

from pertoken.core.errors import Code, Refusal
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.core.ledger import Event, Outcome, Settled
from pertoken.ports import Answer, Exchange, ProviderFailed, StoreUnavailable
from pertoken.services.call.admit import Named, admit
from pertoken.services.call.attempt import attempt
from pertoken.services.call.claim import outcome_of, replay
from pertoken.services.call.forward import answer_headers, provider_refusal
from pertoken.services.call.outrun import Outran
from pertoken.services.call.record import record
from pertoken.services.call.refuse import held_headers, refuse, remaining_header, settled_headers, warning_headers
from pertoken.services.call.relay import Relayed, relay_stream, relay_whole
from pertoken.services.call.settle import settle
from pertoken.services.call.understand import Request
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

log = logging.getLogger("pertoken.call")


async def serve(exchange: Exchange, endpoint: Endpoint, world: World) -> None:
    """Serve one call. Always answers; its hold ends settled or voided, or expires if this process dies."""
    now_us = world.clock.now_us()
    call_id = new_id("call", now_us, world.clock.random_bits(RANDOM_BITS))

    admitted = await admit(exchange, endpoint, world, call_id, now_us)
    if isinstance(admitted, Named):
        refusal = replay(exchange, admitted.claim, admitted.known)
        if refusal is not None:
            refuse(exchange, endpoint.format, refusal, call_id)
        return
    if isinstance(admitted, Refusal):
        record(admitted, call_id, now_us, world)
        refuse(exchange, endpoint.format, admitted, call_id)
        return
    request, holding, answer, changed = await attempt(exchange, endpoint, world, call_id, *admitted)

    if isinstance(answer, ProviderFailed):
        refuse(exchange, endpoint.format, provider_refusal(request, answer), call_id)
        return
    if holding is None:
        await pass_on(exchange, request, answer, call_id)
        return

    known = held_headers(call_id, request.model, holding, changed, request.folded) + answer_headers(answer.headers)
    known += warning_headers(request.warnings)
    if request.facts.stream:
        exchange.start(answer.status, known + remaining_header(holding.tightest))
        relayed, holding = await relay_stream(exchange, request, holding, answer, world)
    else:
        relayed = await relay_whole(request, answer)

    def answered(event: Event) -> Outcome:
        body = relayed.passed + relayed.last
        return outcome_of(answer.status, known, Settled(event, None), body, stream=request.facts.stream)

    settled = await settle(request, holding, relayed, changed, world, answered if holding.claim else None)
    refusal = refusal_at_the_end(request, relayed, settled, call_id)
    if request.facts.stream:
        exchange.finish(relayed.last if refusal is None else request.format.stream_error(refusal))
    elif refusal is not None or isinstance(settled, StoreUnavailable):
        assert refusal is not None
        refuse(exchange, request.format, refusal, call_id)
    else:
        exchange.answer(answer.status, known + settled_headers(settled), relayed.last)


async def pass_on(exchange: Exchange, request: Request, answer: Answer, call_id: str) -> None:
    """Hand the provider's own error, or a free answer, to the client as it is."""
    relayed = await relay_whole(request, answer)
    if relayed.failure is not None:
        refuse(exchange, request.format, provider_refusal(request, relayed.failure), call_id)
        return
    headers = [(b"x-pertoken-call-id", call_id.encode()), *answer_headers(answer.headers)]
    exchange.answer(answer.status, headers, relayed.last)


def refusal_at_the_end(
    request: Request, relayed: Relayed, settled: Settled | StoreUnavailable, call_id: str
) -> Refusal | None:
    """Return why the client must not take the answer for a good one, None when it may."""
    if isinstance(settled, StoreUnavailable):
        log.error("%s: settlement not on disk: %s", call_id, settled)
        return Refusal(Code.STORE_UNAVAILABLE, f"the call was served but its cost could not be recorded yet: {settled}")
    if relayed.failure is not None:
        log.warning(
            "%s: %s: %s; settled as %s", call_id, request.provider.name, relayed.failure, settled.event.completeness
        )
        return (
            relayed.failure.refusal
            if isinstance(relayed.failure, Outran)
            else provider_refusal(request, relayed.failure)
        )
    return None
