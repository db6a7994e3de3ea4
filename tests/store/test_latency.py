"""The latency counts of roll-ups are merged by their writer, whoever wrote before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import STORES, MakeDatabase, with_schema
from tests.factories import event, hold, with_own

from pertoken.core.commands import OpenHold, Settle
from pertoken.core.events import Timeline
from pertoken.core.latency import Timing, calls_of
from pertoken.core.price_book import Sellers
from pertoken.core.reporting import DAY_US, Grain
from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()


@pytest.fixture(params=STORES)
def database(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Database]:
    """Return an empty database of each kind in turn."""
    database = Database(make_database(request.param, tmp_path, with_schema))
    yield database
    database.close()


def settle(books: Bookkeeper, name: str, took_us: int) -> None:
    """Hold and settle a call that took so long."""
    one = hold(name)
    course = Timeline(1, 2, took_us // 2, took_us)
    made = with_own(event(one)._replace(recorded_at_us=one.opened_at_us + took_us), timeline=course)
    books.transact([OpenHold(one, books.directory.revision), Settle(name, made)])


def test_processes_that_write_in_turn_lose_no_count(database: Database) -> None:
    """What another connection has added meanwhile is kept, in quarters and in days, also after a time alone."""
    first, second = (Bookkeeper(database, CLOCK.now_us, Sellers()) for _ in range(2))
    first.refresh()
    second.refresh()
    for number, books in enumerate((first, first, second, first, second, second, first)):
        settle(books, f"call_{number}", 10_000 * 3**number)
    first.close()
    second.close()
    now_us = CLOCK.now_us()
    with database.read() as connection:
        archive = Archive(connection)
        for grain in (Grain.QUARTER, Grain.DAY):
            counts = [row.latency for row in archive.rollups(grain, now_us - 2 * DAY_US, now_us + DAY_US)]
            assert sum(calls_of(one, Timing.TOTAL) for one in counts) == 7
        assert verify(archive, now_us).differences == []


def test_a_transaction_that_failed_counts_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose transaction is taken back and made again is counted once."""
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    settle(books, "call_0", 10_000)
    with monkeypatch.context() as patched:
        patched.setattr(books._tables._statements.put_counter, "run", _fail)
        with pytest.raises(Exception, match="on purpose"):
            settle(books, "call_1", 20_000)
    settle(books, "call_1", 20_000)
    books.close()

    with database.read() as connection:
        assert verify(Archive(connection), CLOCK.now_us()).differences == []


def _fail(*_: object) -> None:
    raise RuntimeError("on purpose")
