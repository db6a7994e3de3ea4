"""Step 6: send the call, and where its provider fails before it answers, try again: there, or at another model.

Each attempt has a hold of its own and, where its provider may charge for it, an event of its own, priced by itself. The
first has the call's id, the others that id with a number: `pertoken explain` shows them together.
"""

import asyncio

from pertoken.core.commands import Settled
from pertoken.core.provider_errors import kind_of_status
from pertoken.core.usage import Completeness, Reading
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.services.call.admit import admit_at_once
from pertoken.services.call.answer import pass_on, provider_failed
from pertoken.services.call.call import Call, End, Relayed, Sent
from pertoken.services.call.forward import changes, describe, forward, let_go
from pertoken.services.call.settle import settle
from pertoken.services.world import World

# What another attempt may mend: too many requests, a failure of theirs, overload (529 is Anthropic's).
TEMPORARY = frozenset({408, 429, 500, 502, 503, 504, 529})
PAUSE_S = 0.2  # before the same model is asked again, longer each time


async def attempt(call: Call, world: World) -> Call | End:
    """Return the call with the first answer that is good, or the end that the last attempt makes of it.

    The holds of all attempts that failed have ended. A free call ends with its answer: nothing is settled.
    """
    request = call.request
    if not request.facts.bills:
        answer, _ = await _send(call, None, world)
        return await _end_of(call, answer)
    others: list[str | None] = [None] * world.retries + list(request.fallbacks)
    while True:
        answer, sent = await _send(call, call.holding.output_cap, world)
        if not isinstance(answer, ProviderFailed) and answer.status < 400:
            call.answer, call.sent = answer, sent
            return call
        await _end_hold(call, answer, sent, world)
        if len(others) < call.attempt or call.exchange.gone or not _may_be_mended(answer):
            return await _end_of(call, answer)
        if not await _admit_again(call, others[call.attempt - 1], world):
            return await _end_of(call, answer)  # what the provider said is what there is to say
        if not isinstance(answer, ProviderFailed):
            answer.abandon()


async def _send(call: Call, cap: int | None, world: World) -> tuple[Answer | ProviderFailed, Sent]:
    """Return what an attempt was answered, and how it went until then."""
    held_us = world.clock.now_us()
    change = changes(call.request, cap)
    call.changed = describe(call.said, change)
    answer, sent_us = await forward(call, change, world)
    answered_us = None if isinstance(answer, ProviderFailed) else world.clock.now_us()
    return answer, Sent(held_us, sent_us or held_us, answered_us, call.attempt)


async def _admit_again(call: Call, other: str | None, world: World) -> bool:
    """Admit the call as another attempt, and tell whether that was done; if not, it is the attempt that it was.

    There may be no room left, or the key may be gone.
    """
    if other is None:
        await asyncio.sleep(PAUSE_S * call.attempt)
    before = call.caller, call.request, call.attempt, call.instead, call.opened_at_us
    call.again(call.attempt + 1, call.instead if other is None else other, world.clock.now_us())
    if isinstance(await admit_at_once(call, world), Call):
        return True
    call.caller, call.request, call.attempt, call.instead, call.opened_at_us = before
    return False


def _may_be_mended(answer: Answer | ProviderFailed) -> bool:
    return isinstance(answer, ProviderFailed) or answer.status in TEMPORARY


async def _end_of(call: Call, answer: Answer | ProviderFailed) -> End:
    """Return the client's answer: the provider's own, or that there is none."""
    return provider_failed(call, answer) if isinstance(answer, ProviderFailed) else await pass_on(call, answer)


async def _end_hold(call: Call, answer: Answer | ProviderFailed, sent: Sent, world: World) -> None:
    """End the hold of an attempt without an answer: settled on counted input where the provider may charge for it."""
    if isinstance(answer, ProviderFailed) and answer.may_bill:
        call.relayed = Relayed(Reading(None, Completeness.MISSING), "", b"", answer, sent=sent)
        settled = await settle(call, world)
        if isinstance(settled, Settled):
            call.charged += (settled.event,)
    else:
        kind = answer.kind if isinstance(answer, ProviderFailed) else kind_of_status(answer.status)
        await let_go(call.holding.hold, kind, world)
