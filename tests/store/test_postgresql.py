"""What is PostgreSQL's own: partitions, time-outs, restarts, amounts beyond 64 bits."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import MakeDatabase, with_schema
from tests.factories import CENT, event, hold, settle
from tests.postgresql import PostgresServer, restart, running

from pertoken.core.commands import Duplicate, Held, Look, OpenHold, Record, Recorded
from pertoken.core.events import OfReport
from pertoken.core.holds import Hold
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.services.verify import verify
from pertoken.store import backend
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
DAY_US = 86_400_000_000


@pytest.fixture
def database(make_database: MakeDatabase, tmp_path: Path) -> Iterator[Database]:
    """Return an empty PostgreSQL database at the newest schema."""
    database = Database(make_database("postgresql", tmp_path, with_schema))
    yield database
    database.close()


@pytest.fixture
def books(database: Database) -> Iterator[Bookkeeper]:
    """Return a bookkeeper of the database."""
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    yield books
    books.close()


def report(name: str, at_us: int, **fields: Any) -> Record:
    """Return a report of a cent's worth of use."""
    of = hold(name, opened_at_us=at_us)
    said = {"source": "files", "recorded_at_us": at_us, "of": OfReport(b"body"), **fields}
    return Record(event(of, CENT, **said))


def partitions(database: Database) -> dict[str, int]:
    """Return how many events each partition has."""
    with database.read() as connection:
        query = sa.text("SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1")
        return {row[0]: row[1] for row in connection.execute(query)}


def test_each_month_has_its_own_partition(database: Database, books: Bookkeeper) -> None:
    """Events go to the partition of their month, which the first of them makes; far ones have a place as well."""
    november = 1_793_491_200_000_000  # 2026-11-01
    times = {"a": november - 1, "b": november, "c": november + 29 * DAY_US, "d": 0, "e": 10**16}
    assert books.transact([report(*one) for one in times.items()]) == [Recorded()] * 5
    assert books.transact([report("f", november + 1), report("g", november - DAY_US)]) == [Recorded()] * 2

    assert partitions(database) == {"events_2026_10": 2, "events_2026_11": 3, "events_before": 1, "events_after": 1}
    with database.read() as connection:
        archive = Archive(connection)
        assert [one.event_id for one in archive.events_by_time(november - 1, november + 2)] == ["a", "b", "f"]
        assert [one.event_id for one in archive.call_events("c")] == ["c"]
        assert verify(archive, CLOCK.now_us()).differences == []


def test_an_identity_is_unique_over_all_months(books: Bookkeeper) -> None:
    """The same event reported with a date in another month is the same event."""
    now_us = CLOCK.now_us()
    assert books.transact([report("a", now_us)]) == [Recorded()]
    assert books.transact([report("a", now_us - 90 * DAY_US)]) == [Duplicate()]


def test_a_partition_of_a_failed_transaction_is_made_again(database: Database, books: Bookkeeper) -> None:
    """When the transaction that made a partition fails, the next event of that month makes it anew."""
    bad = report("a", CLOCK.now_us(), cost_picos=10**38)
    with pytest.raises(StoreFailed) as failed:
        books.transact([bad])

    assert failed.value.is_one_row
    assert books.transact([report("a", CLOCK.now_us())]) == [Recorded()]
    assert sum(partitions(database).values()) == 1


def test_amounts_may_be_larger_than_64_bits(database: Database, books: Bookkeeper) -> None:
    """A balance of a hundred billion dollars is kept to the last pico, and comes back as an integer."""
    large = 10**23 + 1
    books.transact([report(name, CLOCK.now_us(), cost_picos=large, lines=()) for name in ("a", "b")])

    with database.read() as connection:
        archive = Archive(connection)
        balances = archive.balances()
        assert balances["provider_cost:openai", "USD"] == 2 * large
        assert all(type(amount) is int for amount in balances.values())
        assert all(type(cost) is int for _, cost in archive.entry_costs())


def test_text_that_the_database_cannot_keep_stops_nothing(database: Database, books: Bookkeeper) -> None:
    """A provider that names its model with a NUL is settled all the same."""
    assert books.transact([report("a", CLOCK.now_us(), model_served="gpt\0evil")]) == [Recorded()]
    with database.read() as connection:
        [event] = Archive(connection).call_events("a")
    assert event.model_served == "gpt\ufffdevil"


def test_one_writes_at_a_time(database: Database, books: Bookkeeper) -> None:
    """While an administrator's transaction is open, a hold waits, and then sees what was changed."""
    order = []

    def write() -> None:
        books.transact([Look()])
        order.append("books")

    with database.write() as connection:
        thread = threading.Thread(target=write)
        thread.start()
        connection.execute(sa.text("SELECT pg_sleep(0.3)"))
        order.append("administrator")
    thread.join()

    assert order == ["administrator", "books"]


def test_a_writer_that_waits_too_long_says_so(
    database: Database, make_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is not given in time is a failure by name, and nothing is done."""
    monkeypatch.setattr("pertoken.store.postgresql.WAIT_S_MAX", 1)
    impatient = Database(database.url.render_as_string(hide_password=False))
    books = Bookkeeper(impatient, CLOCK.now_us, Sellers())
    with database.write(), pytest.raises(StoreFailed, match="another process keeps the database locked"):
        books.transact([report("a", CLOCK.now_us())])

    assert books.transact([report("a", CLOCK.now_us())]) == [Recorded()]
    books.close()
    impatient.close()
    assert backend.WAIT_S_MAX == 10


@pytest.mark.parametrize(("synced", "said"), [(True, "on"), (False, "off")])
def test_durability_is_what_it_says(database: Database, synced: bool, said: str) -> None:
    """Full durability waits for the flush of the write-ahead log; relaxed does not."""
    opened = Database(database.url.render_as_string(hide_password=False), synced=synced)
    writer = opened.hot_writer()
    assert not writer.begin(wait=False), "asking a server may take long"
    assert writer.begin(wait=True)
    writer.cursor.execute("SHOW synchronous_commit")
    assert writer.cursor.fetchall() == [(said,)]
    writer.rollback()
    writer.close()
    opened.close()


def test_a_password_is_never_said() -> None:
    """A database that cannot be reached is named without its password."""
    database = Database("postgres://someone:hunter2@127.0.0.1:1/none")
    with pytest.raises(StoreFailed, match="cannot reach the database") as failed, database.read():
        pass

    assert "hunter2" not in str(failed.value)
    assert "127.0.0.1:1/none" in str(failed.value)


def test_a_restart_of_the_server_loses_nothing() -> None:
    """Calls that meet a restart are refused or served; every settlement is on disk at the end, exactly once."""
    with running(durable=True) as server:
        database = Database(server.get_uri())
        database.migrate()
        opened: list[Hold] = []

        async def story() -> None:
            committer = Committer(database, CLOCK.now_us, Sellers(), HoldOwner("here", 60_000_000, 60_000_000))
            committer.start(asyncio.get_running_loop())
            revision = committer.directory.revision
            restart = asyncio.create_task(asyncio.to_thread(_restart_soon, server))
            number = 0
            while not restart.done() or len(opened) < 100:
                one = hold(f"call_{number}")
                number += 1
                [held] = await asyncio.gather(committer.submit(OpenHold(one, revision)), return_exceptions=True)
                if isinstance(held, Held):
                    opened.append(one)
                    await asyncio.gather(committer.submit(settle(one, CENT)), return_exceptions=True)
            deadline = time.monotonic() + 20
            while (committer.failure is not None or committer._owed) and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            await committer.close()

        asyncio.run(story())
        with database.read() as connection:
            archive = Archive(connection)
            settled = [event.event_id for event in archive.events()]
            verdict = verify(archive, CLOCK.now_us())
        database.close()

    assert sorted(settled) == sorted(hold.hold_id for hold in opened)
    assert len(settled) >= 100
    assert verdict.differences == []


def _restart_soon(server: PostgresServer) -> None:
    time.sleep(0.2)
    restart(server)
