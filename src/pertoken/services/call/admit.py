"""Steps 1 to 5 as one: identify, understand, shape, reuse and hold.

They are taken again where keys, budgets or prices changed meanwhile, where a heavy body has been read apart, where a
budget sends the call to a cheaper model, and after a wait for room.
"""

import asyncio
from typing import assert_never

from pertoken.core.admission import Cheaper
from pertoken.core.budgets import Attribution
from pertoken.core.commands import Look, Stale
from pertoken.core.errors import Code, Refusal
from pertoken.core.periods import US_PER_SECOND
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.readers import NotRead
from pertoken.services.call.call import Call, End, refused
from pertoken.services.call.hold import hold
from pertoken.services.call.identify import identify, recognise
from pertoken.services.call.reading import Unread, not_read, read_apart
from pertoken.services.call.reuse import reuse
from pertoken.services.call.shape import shape
from pertoken.services.call.understand import understand
from pertoken.services.world import World

QUEUE_POLL_US = 50_000  # how often a call that waits for room under a rate limit looks again
READS_MAX = 40  # ways in which one heavy body is read
STALE_MAX = 6  # times that keys, budgets or prices may change while one call is being admitted
RETRY_AFTER_S = 1
_CHANGED = f"keys, budgets or prices changed {STALE_MAX} times while this call was being admitted; ask again"


async def admit(call: Call, world: World) -> Call | End:
    """Admit a call; where a budget leaves no room and policy lets calls wait, wait for it a while."""
    looks_left = world.queue_us // QUEUE_POLL_US  # beside the deadline, which a clock that is set back puts off
    deadline_us = call.began_us + world.queue_us
    while True:
        admitted = await admit_at_once(call, world)
        if isinstance(admitted, Call) or not looks_left or not _may_wait(admitted) or call.exchange.gone:
            return admitted
        if world.clock.now_us() + QUEUE_POLL_US > deadline_us:
            return admitted
        looks_left -= 1
        await asyncio.sleep(QUEUE_POLL_US / US_PER_SECOND)
        call.again(call.attempt, None, world.clock.now_us())


def _may_wait(end: End) -> bool:
    return end.refusal is not None and end.refusal.may_wait


async def admit_at_once(call: Call, world: World) -> Call | End:
    """Admit a call without a wait for room; once more after each way in which a heavy body had to be read."""
    for _ in range(READS_MAX):
        try:
            return await _take_steps(call, world)
        except Unread as unread:
            refusal = await read_apart(unread, world.readers)
        except NotRead as error:
            refusal = not_read(error)
        if refusal is not None:
            return refused(refusal)
    raise AssertionError("a body is read in a few ways only")


async def _take_steps(call: Call, world: World) -> Call | End:
    """Identify, understand, shape, reuse and hold; decided again when keys, budgets or prices change meanwhile.

    Only the newest directory may refuse a customer.
    """
    stale = 0
    of: Attribution | None = None
    while stale < STALE_MAX:
        went = await _take_steps_once(call, world)
        match went:
            case Call():
                return went
            case Cheaper(model=model):
                call.instead = model
                continue
            case End(refusal=refusal):
                if refusal is None or refusal.code is not Code.FORBIDDEN or not await _was_old(world):
                    return went
                of = refusal.attribution
            case Stale():
                of = call.request.attribution
            case _:
                assert_never(went)
        stale += 1
    return refused(Refusal(Code.OVERLOADED, _CHANGED, retry_after_s=RETRY_AFTER_S, attribution=of))


async def _take_steps_once(call: Call, world: World) -> Call | End | Stale | Cheaper:
    """Take the steps on the directory as it is known now; Stale: begin again; Cheaper: begin again with that model."""
    fields, query = call.exchange.headers, call.exchange.query
    caller = recognise(fields, query, world) or await identify(fields, query, world, surely=True)
    if isinstance(caller, Refusal):
        return refused(caller)
    call.caller = caller
    understood = understand(call, world)
    if isinstance(understood, End):
        return understood
    if world.shape is not None:
        shaped = await shape(call, world.shape, world)
        if isinstance(shaped, End):
            return shaped
    if world.reuse is not None:
        missed = await reuse(call, world.reuse, world)
        if isinstance(missed, End):
            return missed
    return await hold(call, world)


async def _was_old(world: World) -> bool:
    """Read the newest directory; tell whether an older one refused the call."""
    revision = world.ledger.directory.revision
    try:
        await world.ledger.submit(Look())
    except StoreUnavailable:
        return False
    return world.ledger.directory.revision != revision
