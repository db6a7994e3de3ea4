"""Steps 1 to 4 as one: identify, understand and hold, again where something changed meanwhile, or after a wait."""

import asyncio
from typing import NamedTuple

from pertoken.core.admission import Cheaper
from pertoken.core.claims import Claim
from pertoken.core.commands import Known, Look, Stale
from pertoken.core.errors import Code, Refusal
from pertoken.core.periods import US_PER_SECOND
from pertoken.ports.exchange import Exchange
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.readers import NotRead
from pertoken.services.call.claim import read_claim
from pertoken.services.call.hold import Holding, open_hold
from pertoken.services.call.identify import Caller, identify
from pertoken.services.call.reading import Unread, not_read, read_apart
from pertoken.services.call.record import attribution_of
from pertoken.services.call.understand import Request, understand
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint


class AskedAgain(NamedTuple):
    """A call that was made before under the name that the client gives it."""

    claim: Claim
    known: Known


QUEUE_POLL_US = 50_000  # how often a call that waits for room under a rate limit looks again
READS_MAX = 40  # ways in which one heavy body is read
STALE_MAX = 6  # times that keys, budgets or prices may change while one call is being admitted
RETRY_AFTER_S = 1
_CHANGED = f"keys, budgets or prices changed {STALE_MAX} times while this call was being admitted; ask again"


async def admit(
    exchange: Exchange, endpoint: Endpoint, world: World, call_id: str, now_us: int
) -> tuple[Request, Holding | None] | Refusal | AskedAgain:
    """Identify, understand and hold; where a budget leaves no room and policy lets calls wait, wait for it a while."""
    looks_left = world.queue_us // QUEUE_POLL_US  # beside the deadline, which a clock that is set back puts off
    deadline_us = now_us + world.queue_us
    while True:
        admitted = await try_to_admit(exchange, endpoint, world, call_id, now_us)
        waits = isinstance(admitted, Refusal) and admitted.may_wait
        now_us = world.clock.now_us()
        if not waits or not looks_left or now_us + QUEUE_POLL_US > deadline_us or exchange.gone:
            return admitted
        looks_left -= 1
        await asyncio.sleep(QUEUE_POLL_US / US_PER_SECOND)
        now_us = world.clock.now_us()


async def try_to_admit(  # noqa: PLR0917 - what a call has
    exchange: Exchange, endpoint: Endpoint, world: World, hold_id: str, now_us: int, model: str | None = None
) -> tuple[Request, Holding | None] | Refusal | AskedAgain:
    """Identify, understand, with `model` as a call to that one, and hold; again once a heavy body has been read."""
    for _ in range(READS_MAX):
        try:
            return await _try(exchange, endpoint, world, hold_id, now_us, model)
        except Unread as unread:
            refusal = await read_apart(unread, world.readers)
        except NotRead as error:
            refusal = not_read(error)
        if refusal is not None:
            return refusal
    raise AssertionError("a body is read in a few ways only")


async def _try(  # noqa: PLR0917 - what a call has
    exchange: Exchange, endpoint: Endpoint, world: World, hold_id: str, now_us: int, model: str | None
) -> tuple[Request, Holding | None] | Refusal | AskedAgain:
    """Identify, understand and hold; decided again when keys, budgets or prices change meanwhile."""
    stale = 0
    fallbacks: tuple[str, ...] | None = None  # of the model that was asked for, once the call goes to a cheaper one
    while stale < STALE_MAX:
        understood = await _identify_and_understand(exchange, endpoint, world, now_us, model)
        if isinstance(understood, Refusal):
            return understood
        caller, request = understood
        if not request.facts.bills:
            return await _admit_free(exchange, request, world)
        claim = await read_claim(caller.shown.headers, caller.key, exchange, endpoint.upstream_path)
        if isinstance(claim, Refusal):
            return claim._replace(attribution=request.attribution)
        holding = await open_hold(request, hold_id, world, claim)
        if isinstance(holding, Refusal):
            return holding._replace(attribution=request.attribution)
        if isinstance(holding, Known):
            assert claim is not None
            return AskedAgain(claim, holding)
        if isinstance(holding, Cheaper):
            model = holding.model
            fallbacks = tuple(name for name in fallbacks or request.fallbacks if name != model)
        elif isinstance(holding, Stale):
            stale += 1
        else:
            return request if fallbacks is None else request._replace(fallbacks=fallbacks), holding
    return Refusal(Code.OVERLOADED, _CHANGED, retry_after_s=RETRY_AFTER_S, attribution=request.attribution)


async def _identify_and_understand(
    exchange: Exchange, endpoint: Endpoint, world: World, now_us: int, model: str | None
) -> tuple[Caller, Request] | Refusal:
    """Say who calls and what is asked for; nobody is refused a customer by a directory that is an old one."""
    while True:
        caller = await identify(exchange.headers, exchange.query, world)
        if isinstance(caller, Refusal):
            return caller
        request = understand(exchange, endpoint, caller, world, now_us, model)
        if not isinstance(request, Refusal):
            return caller, request
        if request.code is not Code.FORBIDDEN or not await _was_old(world):
            known = request.attribution or attribution_of(caller)
            return request._replace(attribution=known)


async def _admit_free(exchange: Exchange, request: Request, world: World) -> tuple[Request, None] | Refusal:
    """Admit a call that is charged nothing: no hold finds out that its key was revoked."""
    caller = await identify(exchange.headers, exchange.query, world, surely=True)
    return caller if isinstance(caller, Refusal) else (request, None)


async def _was_old(world: World) -> bool:
    """Tell whether the directory that a call was refused by is an old one, and read the new one."""
    revision = world.ledger.directory.revision
    try:
        await world.ledger.submit(Look())
    except StoreUnavailable:
        return False
    return world.ledger.directory.revision != revision
