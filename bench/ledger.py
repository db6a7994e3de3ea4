"""The ledger in this process, without a gateway around it: durable holds and settlements, and events taken in.

Five budgets stand on every command, each commit is flushed to disk, and the books are verified at the end.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import uvloop
from effort import Effort
from scene import folder
from tables import Cell, Column, Table

from pertoken.core.budgets import Attribution
from pertoken.core.commands import Held, OpenHold, Settle, Settled
from pertoken.core.events import Event, EventStatus, OfCall, Timeline
from pertoken.core.holds import Hold
from pertoken.core.usage import Completeness
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.ingest import Tally, UsageRecord, ingest
from pertoken.services.verify import verify
from pertoken.settings import Settings
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.committer import Committer
from pertoken.store.database import Database
from pertoken.wiring.bookkeeper import make_bookkeeper
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.committer import start_committer
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation

AT_ONCE = (1, 32, 256)
BATCH = 1_000
CLOCK = SystemClock()
WHO = Attribution(key="key_1", team="t", customer="c", provider="openai", model="gpt-4o-mini")
TIMELINE = Timeline(900, 1_500, 400_000, 2_000_000)
QUANTITIES = {"input_tokens": 200, "cache_read_tokens": 50, "output_tokens": 50}
SCOPES = (("key", "key_1"), ("team", "t"), ("customer", "c"), ("model", "gpt-4o-mini"), ("provider", "openai"))

COLUMNS = (Column("what"), Column("a second", "{:,.0f}"), Column("CPU each", "{:,.1f} us"))


class Made(NamedTuple):
    """What was made in how much time, of this process and its threads."""

    number: int
    seconds: float
    cpu_s: float

    def row(self, what: str) -> list[Cell]:
        """Return the row of a table."""
        return [what, self.number / self.seconds, self.cpu_s / self.number * 1e6]


def measure(effort: Effort) -> Iterator[Table]:
    """Yield what the ledger does in a second."""
    print("the ledger alone", file=sys.stderr, flush=True)
    with folder() as room:
        settings = Settings(database_url=f"sqlite:///{room}/ledger.db")
        with open_database(settings) as opened:
            _set_budgets(opened.database)
            rows = [_flush(room, effort.call_s / 3).row("flush 4 KB to this disk, and nothing else")]
            rows += [
                asyncio.Runner(loop_factory=uvloop.new_event_loop)
                .run(_pairs(opened, at_once, effort.call_s))
                .row(f"hold and settle, {at_once} at a time")
                for at_once in AT_ONCE
            ]
            rows.append(_take_in(opened, effort.call_s).row(f"events taken in, {BATCH:,} a transaction"))
            _verify(opened.database)
    notes = ("durability full, five budgets on each; the books were verified afterwards: no difference",)
    yield Table("the ledger alone, in process", COLUMNS, rows, notes)


def _flush(room: Path, seconds: float) -> Made:
    """Write and fsync for some seconds: what all the rest stands on."""
    began_at, cpu_before, made = time.perf_counter(), time.process_time(), 0
    with (room / "flushed").open("wb", buffering=0) as sink:
        while (took_s := time.perf_counter() - began_at) < seconds:
            sink.write(bytes(4_096))
            os.fdatasync(sink.fileno())
            made += 1
    return Made(made, took_s, time.process_time() - cpu_before)


async def _pairs(opened: Installation, at_once: int, seconds: float) -> Made:
    """Hold and settle, so many at a time, for some seconds."""
    committer = start_committer(opened)
    made = 0

    async def caller(number: int) -> None:
        nonlocal made
        while time.perf_counter() < ends_at:
            hold = _hold(f"call_{began_at:.6f}_{number}_{made}", committer)
            held = await committer.submit(OpenHold(hold, committer.directory.revision))
            assert isinstance(held, Held), held
            settled = await committer.submit(Settle(hold.hold_id, _event(hold)))
            assert isinstance(settled, Settled), settled
            made += 1

    began_at, cpu_before = time.perf_counter(), time.process_time()
    ends_at = began_at + seconds
    await asyncio.gather(*map(caller, range(at_once)))
    took = Made(made, time.perf_counter() - began_at, time.process_time() - cpu_before)
    await committer.close()
    return took


def _take_in(opened: Installation, seconds: float) -> Made:
    """Take in what others report, batch after batch, as `pertoken ingest` does."""
    books = make_bookkeeper(opened)
    tally, now_us = Tally(0, 0, (), ()), CLOCK.now_us()
    began_at, cpu_before = time.perf_counter(), time.process_time()
    while (took_s := time.perf_counter() - began_at) < seconds:
        first = tally.accepted
        batch = [UsageRecord(at, "bench", f"event_{first + at}", now_us, WHO, QUANTITIES) for at in range(BATCH)]
        done = ingest(batch, books, now_us)
        assert done.accepted == BATCH, done
        tally = tally._replace(accepted=first + BATCH)
    cpu_s = time.process_time() - cpu_before
    books.close()
    return Made(tally.accepted, took_s, cpu_s)


def _set_budgets(database: Database) -> None:
    with database.write() as connection:
        for name, value in SCOPES:
            wish = Wish(f"b_{name}", "1000000", scope={name: value})
            set_budget(Administration(connection), CLOCK, wish)


def _verify(database: Database) -> None:
    with database.read() as connection:
        verdict = verify(Archive(connection), CLOCK.now_us())
    assert verdict.differences == [], verdict.differences


def _hold(name: str, committer: Committer) -> Hold:
    now_us = CLOCK.now_us()
    return Hold(name, WHO, 200_000_000, 1_300, now_us, now_us + 60_000_000, committer.owner.name)


def _event(hold: Hold) -> Event:
    lines = (("input_tokens", 150, "price_1", 22_500_000), ("output_tokens", 50, "price_2", 30_000_000))
    return Event(
        "gateway", hold.hold_id, hold.attribution, hold.opened_at_us, hold.opened_at_us + 1, hold.opened_at_us,
        EventStatus.PRICED, Completeness.FINAL, QUANTITIES, "USD", 52_500_000, None, lines,
        OfCall(hold.amount_picos, timeline=TIMELINE, attempts=1),
    )  # fmt: skip
