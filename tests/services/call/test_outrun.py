"""A stream that makes more than is held for it."""

import asyncio

import pytest
from tests.services.call.parts import Ledger, budget, call_of, world_of

from pertoken.core.commands import Resize
from pertoken.core.errors import Code
from pertoken.services.call.admit import admit
from pertoken.services.call.outrun import BYTES_PER_TOKEN_MIN, Outran, Outrun
from pertoken.services.call.relay import dialect
from pertoken.services.world import World

PIECE = b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"word " * 400)


def outrun(ledger: Ledger, pieces: int) -> tuple[Outrun, bool]:
    """Return what watches a stream of so many pieces of 400 words, and whether it may have made too much."""
    world = world_of(ledger=ledger)
    return asyncio.run(_watched(world, pieces))


async def _watched(world: World, pieces: int) -> tuple[Outrun, bool]:
    call = call_of()
    await admit(call, world)
    reader = call.request.format.stream_reader(call.request.facts, dialect(call.request))
    watch = Outrun(call.request, call.holding, reader, world)
    is_due = False
    for _ in range(pieces):
        reader.feed(PIECE)
        is_due = watch.add(PIECE)
    if is_due:
        await watch.extend()
    return watch, is_due


def test_a_stream_below_its_cap_is_not_counted() -> None:
    """A hundred tokens are held for: fewer bytes than those take at least are let through."""
    assert len(PIECE) < 100 * BYTES_PER_TOKEN_MIN
    assert not outrun(Ledger(), 1)[1]


def test_a_stream_beyond_its_cap_is_held_for() -> None:
    """Twice what it has made until then, on the books."""
    ledger = Ledger(budget(10**12))
    watch, is_due = outrun(ledger, 6)

    assert is_due
    assert watch.holding.bound.quantities["output_tokens"] > 2 * 6 * 400 - 100
    assert ledger.books.holds[watch.holding.hold.hold_id] == watch.holding.hold
    assert ledger.counted() == [(watch.holding.hold.amount_picos, 0)]


def test_a_stream_that_nothing_more_can_be_held_for_is_cut() -> None:
    """Its client is told which budget decided, or that the store is away."""
    held = Ledger(budget(10**12))
    first, _ = outrun(held, 0)
    with pytest.raises(Outran, match="was cut") as cut:
        outrun(Ledger(budget(first.holding.hold.amount_picos)), 6)
    assert cut.value.refusal.code is Code.BUDGET_EXCEEDED

    away = Ledger()
    away.fails_at = Resize
    with pytest.raises(Outran, match="cannot hold more now") as lost:
        outrun(away, 6)
    assert lost.value.refusal.code is Code.STORE_UNAVAILABLE
