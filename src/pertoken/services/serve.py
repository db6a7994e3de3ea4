"""One call, top to bottom: from a client's request to a settled charge.

The body of `serve` is the story; each step is a module in `services.call`. A step that cannot go on returns a Refusal,
and the client reads it in its own wire format.
"""

import logging
from http import HTTPStatus
from typing import NamedTuple

from pertoken.core.calls import CallLine, status_of
from pertoken.core.claims import Outcome
from pertoken.core.commands import Settled
from pertoken.core.errors import Code, Refusal
from pertoken.core.events import Event
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.ports.exchange import Exchange
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.services.call.admit import AskedAgain, admit
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

BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)

log = logging.getLogger("pertoken.call")


class End(NamedTuple):
    """How a call ended, for whoever is told of it."""

    http: int
    events: tuple[Event, ...] = ()  # of every attempt that was charged
    refusal: Refusal | None = None
    request: Request | None = None  # None: it was not understood, or not admitted


async def serve(exchange: Exchange, endpoint: Endpoint, world: World) -> None:
    """Serve one call. Always answers; its hold ends settled or voided, or expires if this process dies."""
    now_us = world.clock.now_us()
    call_id = new_id("call", now_us, world.clock.random_bits(RANDOM_BITS))

    end = await answer_call(exchange, endpoint, world, call_id, now_us)
    if world.tell is not None:
        world.tell(line_of(end, call_id, now_us, world.clock.now_us(), hung_up=exchange.gone))


async def answer_call(exchange: Exchange, endpoint: Endpoint, world: World, call_id: str, now_us: int) -> End:
    """Take a call through its steps; return how it ended."""
    admitted = await admit(exchange, endpoint, world, call_id, now_us)
    if isinstance(admitted, AskedAgain):
        refused = replay(exchange, admitted.claim, admitted.known)
        return End(200) if refused is None else refuse_whole(exchange, endpoint, refused, call_id)
    if isinstance(admitted, Refusal):
        record(admitted, call_id, now_us, world)
        return refuse_whole(exchange, endpoint, admitted, call_id)
    request, holding, answer, changed, charged, sent = await attempt(exchange, endpoint, world, call_id, *admitted)

    if isinstance(answer, ProviderFailed):
        end = refuse_whole(exchange, endpoint, provider_refusal(request, answer), call_id, request)
        return end._replace(events=charged)
    if holding is None:
        return (await pass_on(exchange, request, answer, call_id))._replace(events=charged)

    known = held_headers(call_id, request.model, holding, changed, request.folded) + answer_headers(answer.headers)
    known += warning_headers(request.warnings)
    if request.facts.stream:
        exchange.start(_status_of_a_stream(answer.status), known + remaining_header(holding.tightest))
        relayed, holding = await relay_stream(exchange, request, holding, answer, world)
    else:
        relayed = await relay_whole(request, holding, answer, world)
    relayed = relayed._replace(sent=sent, hung_up=exchange.gone)

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
    shown = _status_of_a_stream(answer.status) if request.facts.stream else answer.status
    http = shown if refusal is None or request.facts.stream else refusal.status
    return End(http, (*charged, settled.event) if isinstance(settled, Settled) else charged, refusal, request)


def _status_of_a_stream(status: int) -> int:
    """Return the status that a stream is begun with: after one without a body, its client would read it as the next."""
    return HTTPStatus.BAD_GATEWAY if status in BODILESS else status


def refuse_whole(
    exchange: Exchange, endpoint: Endpoint, refusal: Refusal, call_id: str, request: Request | None = None
) -> End:
    """Refuse a call of which nothing was answered yet."""
    refuse(exchange, endpoint.format, refusal, call_id)
    return End(refusal.status, refusal=refusal, request=request)


async def pass_on(exchange: Exchange, request: Request, answer: Answer, call_id: str) -> End:
    """Hand the provider's own error, or a free answer, to the client as it is."""
    try:
        body = await answer.read()
    except ProviderFailed as failure:
        return refuse_whole(exchange, request.endpoint, provider_refusal(request, failure), call_id, request)
    headers = [(b"x-pertoken-call-id", call_id.encode()), *answer_headers(answer.headers)]
    exchange.answer(answer.status, headers, body)
    return End(answer.status, request=request)


def line_of(end: End, call_id: str, began_us: int, now_us: int, *, hung_up: bool) -> CallLine:
    """Return what is told of a call that ended."""
    refusal, request = end.refusal, end.request
    status = status_of(
        end.events[-1] if end.events else None,
        refused=refusal is not None and request is None,
        failed=refusal is not None or end.http >= 400,
        hung_up=hung_up,
    )
    of = request.attribution if request is not None else None if refusal is None else refusal.attribution
    code = None if refusal is None else str(refusal.code)
    return CallLine(now_us, call_id, status, end.http, now_us - began_us, of, end.events, code)


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
