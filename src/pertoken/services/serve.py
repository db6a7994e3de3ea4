"""One call, top to bottom: from a client's request to a settled charge.

The body of `serve` is the story; each step is a module in `services.call`. A step that cannot go on returns a Refusal,
and the client reads it in its own wire format.
"""

import asyncio
import logging
from typing import NamedTuple

from pertoken.core.errors import Code, Refusal
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.core.ledger import Claim, Event, Known, Outcome, Settled, Stale
from pertoken.core.periods import US_PER_SECOND
from pertoken.core.usage import Completeness, Reading
from pertoken.ports import Answer, Exchange, ProviderFailed, StoreUnavailable
from pertoken.services.call.claim import outcome_of, read_claim, replay
from pertoken.services.call.forward import answer_headers, changes, describe, forward, let_go, provider_refusal
from pertoken.services.call.hold import Holding, open_hold
from pertoken.services.call.identify import identify
from pertoken.services.call.outrun import Outran
from pertoken.services.call.refuse import held_headers, refuse, remaining_header, settled_headers
from pertoken.services.call.relay import Relayed, relay_stream, relay_whole
from pertoken.services.call.settle import settle
from pertoken.services.call.understand import Request, understand
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

log = logging.getLogger("pertoken.call")


class Named(NamedTuple):
    """A call that was made before under the name that the client gives it."""

    claim: Claim
    known: Known


QUEUE_POLL_US = 50_000  # how often a call that waits for room under a rate limit looks again
STALE_MAX = 5  # times that keys or budgets may change while one call is being admitted


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
        refuse(exchange, endpoint.format, admitted, call_id)
        return
    request, holding = admitted

    change = changes(request, holding)
    answer = await forward(exchange, request, change, call_id)
    if isinstance(answer, ProviderFailed):
        await _give_up(request, holding, answer, describe(change), world)
        refuse(exchange, endpoint.format, provider_refusal(request, answer), call_id)
        return
    if holding is None or answer.status >= 400:
        await _void(request, holding, world)
        await pass_on(exchange, request, answer, call_id)
        return

    changed = describe(change)
    known = held_headers(call_id, request.model, holding, changed) + answer_headers(answer.headers)
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


async def admit(
    exchange: Exchange, endpoint: Endpoint, world: World, call_id: str, now_us: int
) -> tuple[Request, Holding | None] | Refusal | Named:
    """Identify, understand and hold; where a rate limit leaves no room, wait for it as long as the settings allow."""
    deadline_us = now_us + world.queue_us
    while True:
        admitted = await try_to_admit(exchange, endpoint, world, call_id, now_us)
        is_full = isinstance(admitted, Refusal) and admitted.code is Code.RATE_LIMITED
        now_us = world.clock.now_us()
        if not is_full or now_us + QUEUE_POLL_US > deadline_us or exchange.gone:
            return admitted
        await asyncio.sleep(QUEUE_POLL_US / US_PER_SECOND)
        now_us = world.clock.now_us()


async def try_to_admit(
    exchange: Exchange, endpoint: Endpoint, world: World, call_id: str, now_us: int
) -> tuple[Request, Holding | None] | Refusal | Named:
    """Identify, understand and hold. Decided again when keys, budgets or prices change meanwhile."""
    for _ in range(STALE_MAX):
        caller = await identify(exchange.headers, exchange.query, world)
        if isinstance(caller, Refusal):
            return caller
        request = understand(exchange, endpoint, caller, world, now_us)
        if isinstance(request, Refusal):
            return request
        if not request.facts.bills:
            caller = await identify(exchange.headers, exchange.query, world, surely=True)
            return caller if isinstance(caller, Refusal) else (request, None)
        claim = read_claim(caller.headers, caller.key, exchange, endpoint.upstream_path)
        if isinstance(claim, Refusal):
            return claim
        holding = await open_hold(request, call_id, world, claim)
        if isinstance(holding, Refusal):
            return holding
        if isinstance(holding, Known):
            assert claim is not None
            return Named(claim, holding)
        if not isinstance(holding, Stale):
            return request, holding
    raise AssertionError("the directory changes faster than one call can be admitted")


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


async def _give_up(
    request: Request, holding: Holding | None, failure: ProviderFailed, changed: str | None, world: World
) -> None:
    """End the hold of a call that got no answer: settled on counted input where the provider may charge for it."""
    if holding is not None and failure.may_bill:
        nothing = Relayed(Reading(None, Completeness.MISSING), "", b"", failure)
        await settle(request, holding, nothing, changed, world)
    else:
        await _void(request, holding, world)


async def _void(request: Request, holding: Holding | None, world: World) -> None:
    if holding is not None:
        await let_go(request, holding, world)
