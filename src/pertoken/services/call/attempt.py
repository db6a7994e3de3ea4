"""Step 5: send the call, and where its provider fails before it answers, try again: there, or at another model.

Each attempt has a hold of its own and, where its provider may charge for it, an event of its own, priced by itself. The
first has the call's id, the others that id with a number: `pertoken explain` shows them together.
"""

import asyncio
from typing import NamedTuple

from pertoken.core.commands import Settled
from pertoken.core.events import Event
from pertoken.core.usage import Completeness, Reading
from pertoken.ports.exchange import Exchange
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.services.call.admit import try_to_admit
from pertoken.services.call.forward import changes, describe, forward, let_go
from pertoken.services.call.hold import Holding
from pertoken.services.call.relay import Relayed, Sent
from pertoken.services.call.settle import settle
from pertoken.services.call.understand import Request
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

# What another attempt may mend: too many requests, a failure of theirs, overload (529 is Anthropic's).
TEMPORARY = frozenset({408, 429, 500, 502, 503, 504, 529})
PAUSE_S = 0.2  # before the same model is asked again, longer each time


class Attempt(NamedTuple):
    """The last attempt at a call, and how it went."""

    request: Request
    holding: Holding | None  # None: nothing is held any more, or nothing had to be
    answer: Answer | ProviderFailed
    changed: str | None  # what policy altered
    charged: tuple[Event, ...] = ()  # of the attempts that failed
    sent: Sent | None = None


async def attempt(  # noqa: PLR0917 - what a call has
    exchange: Exchange,
    endpoint: Endpoint,
    world: World,
    call_id: str,
    request: Request,
    holding: Holding | None,
) -> Attempt:
    """Return the first attempt that was answered, or the last one. The holds of all that failed have ended."""
    charged: tuple[Event, ...] = ()
    others: list[str | None] = [None] * world.retries + list(request.fallbacks) if holding is not None else []
    for number, other in enumerate([*others, None], start=2):
        held_us = world.clock.now_us()
        change = changes(request, holding)
        answer, sent_us = await forward(exchange, request, change, call_id, world)
        answered_us = None if isinstance(answer, ProviderFailed) else world.clock.now_us()
        sent = Sent(held_us, sent_us or held_us, answered_us, number - 1)
        changed = describe(change)
        if not isinstance(answer, ProviderFailed) and answer.status < 400:
            return Attempt(request, holding, answer, changed, charged, sent)
        charged += await _end(request, holding, answer, changed, world, sent)
        failed = Attempt(request, None, answer, changed, charged, sent)
        if number > len(others) + 1 or exchange.gone or not _may_be_mended(answer):
            return failed
        if other is None:
            await asyncio.sleep(PAUSE_S * (number - 1))
            other = None if request.facts.model == request.asked_model else request.facts.model  # noqa: PLW2901 - the same
        admitted = await try_to_admit(exchange, endpoint, world, f"{call_id}.{number}", world.clock.now_us(), other)
        if not isinstance(admitted, tuple) or not isinstance(admitted[0], Request):
            return failed  # no room is left, or the key is gone: what the provider said is what there is to say
        if not isinstance(answer, ProviderFailed):
            answer.abandon()
        request, holding = admitted
    raise AssertionError("the last attempt returns")


def _may_be_mended(answer: Answer | ProviderFailed) -> bool:
    return isinstance(answer, ProviderFailed) or answer.status in TEMPORARY


async def _end(  # noqa: PLR0917 - what is known of the attempt
    request: Request,
    holding: Holding | None,
    answer: Answer | ProviderFailed,
    changed: str | None,
    world: World,
    sent: Sent,
) -> tuple[Event, ...]:
    """End the hold of an attempt without an answer: settled on counted input where the provider may charge for it.

    Return what was charged.
    """
    if holding is None:
        return ()
    if isinstance(answer, ProviderFailed) and answer.may_bill:
        nothing = Relayed(Reading(None, Completeness.MISSING), "", b"", answer, sent=sent)
        settled = await settle(request, holding, nothing, changed, world)
        return (settled.event,) if isinstance(settled, Settled) else ()
    await let_go(request, holding, world)
    return ()
