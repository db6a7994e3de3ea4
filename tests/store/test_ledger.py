"""The ledger's tables give back what was saved, and remember no row that others may have changed."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from tests.factories import CENT, WHO, event, hold, settle, with_own

from pertoken.core.budgets import Attribution, Axis, Budget, CounterKey
from pertoken.core.commands import Command, OpenHold, Record, Resize, Result, Settle, Void
from pertoken.core.directory import Directory
from pertoken.core.events import OfReport
from pertoken.core.holds import EndedHold, HoldEnd
from pertoken.core.ledger import Counter
from pertoken.core.periods import DAY_US, Window
from pertoken.core.provider_errors import ErrorKind, errors_of
from pertoken.core.reporting import CALLS, QUARTER_US, SUMS, Grain, event_sums
from pertoken.store.archive import Archive
from pertoken.store.backend import HotWriter
from pertoken.store.database import Database
from pertoken.store.ledger import LedgerTables, rollup_row
from pertoken.store.schema import accounts, counters, entries, postings, series_tags

DIRECTORY = Directory(1, (), [Budget("b", "b", Axis.MONEY, 10**15, Window.TOTAL)])
KEY = CounterKey("b", "", 0)
TALK = WHO._replace(conversation="talk", tags=(("a", ""), ("env", "test")))
FIRST, SECOND = hold("one", 5 * CENT, attribution=TALK), hold("two", 10**24 + 1, currency="USD")


@pytest.fixture
def writer(database: Database) -> Iterator[HotWriter]:
    """Return a writer."""
    writer = database.hot_writer()
    yield writer
    writer.close()


def run(tables: LedgerTables, writer: HotWriter, *commands: Command, keep: bool = True) -> list[Result]:
    """Decide and write commands in one transaction."""
    writer.begin(wait=True)
    books = tables.load(writer.cursor, DIRECTORY, commands)
    results = [books.apply(command) for command in commands]
    writer.cover(one.occurred_at_us for one in books.new_events)
    tables.save(writer.cursor, books, 77)
    writer.commit()
    if keep:
        tables.keep(books)
    return results


def test_holds_are_as_large_as_they_were_made_last(database: Database, writer: HotWriter) -> None:
    """An open hold is whole, a resized one has its new amounts, one that was let go is kept with how it ended."""
    tables = LedgerTables(database.sql)
    larger = FIRST._replace(amount_picos=7 * CENT, tokens=3, expires_at_us=FIRST.expires_at_us + 9)
    run(tables, writer, OpenHold(FIRST, 1), OpenHold(hold("gone"), 1))
    run(tables, writer, Resize("one", TALK, FIRST.opened_at_us, *larger[2:4], larger.expires_at_us))
    run(tables, writer, Void("gone", WHO, hold("gone").opened_at_us))

    with database.read() as connection:
        archive = Archive(connection)
        ended = archive.ended_hold("gone")
        assert archive.open_holds() == [larger]
        assert archive.counters() == {KEY: (7 * CENT, 0)}
    assert isinstance(ended, EndedHold)
    assert (ended.end, ended.hold.amount_picos) == (HoldEnd.VOIDED, CENT)


def test_errors_are_counted_whether_they_were_charged_or_not(database: Database, writer: HotWriter) -> None:
    """One transaction adds the errors of events and of voided holds to the roll-ups of quarters and days."""
    tables = LedgerTables(database.sql)
    lost, away = hold("lost"), hold("away")
    failed = with_own(event(lost), error=ErrorKind.BROKE_OFF)
    run(tables, writer, OpenHold(lost, 1), OpenHold(away, 1))
    run(tables, writer, settle(lost)._replace(event=failed), Void("away", WHO, away.opened_at_us, ErrorKind.DENIED))

    with database.read() as connection:
        archive = Archive(connection)
        rows = [row for grain in (Grain.QUARTER, Grain.DAY) for row in archive.rollups(grain, 0, 2**62)]
        assert [errors_of(row.latency) for row in rows] == [{ErrorKind.BROKE_OFF: 1, ErrorKind.DENIED: 1}] * 2
        assert [row.sums[CALLS] for row in rows] == [1, 1]
        assert [one.hold.hold_id for one in archive.failed_holds()] == ["away"]


def test_what_is_loaded_is_what_was_saved(database: Database, writer: HotWriter) -> None:
    """Other tables, which remember nothing, load the rows that a command touches as those that saved them kept them."""
    ours, others = LedgerTables(database.sql), LedgerTables(database.sql)
    report = event(SECOND, source="files", event_id="r", of=OfReport(b"hash"))
    run(ours, writer, OpenHold(FIRST, 1), Record(report))
    commands = [Settle("one", event(FIRST)), Settle("nobody", event(SECOND)), Record(report)]

    writer.begin(wait=True)
    for tables in (ours, others):
        books = tables.load(writer.cursor, DIRECTORY, commands)
        assert books.holds == {"one": FIRST}
        assert books.events == {("files", "r"): b"hash"}
        assert {key: (row.held, row.spent) for key, row in books.counters.items()} == {KEY: (5 * CENT, CENT // 2)}
        assert isinstance(books.counters[KEY], Counter)
    writer.rollback()


def test_remembered_rows_are_forgotten(database: Database, writer: HotWriter) -> None:
    """A change of another connection is seen once `forget_rows` was called, and no row is read before."""
    tables = LedgerTables(database.sql)
    run(tables, writer, OpenHold(FIRST, 1))
    with database.write() as connection:
        connection.execute(sa.update(counters).values(spent_low=9))

    writer.begin(wait=True)
    kept = tables.load(writer.cursor, DIRECTORY, [OpenHold(SECOND, 1)]).counters[KEY].spent
    tables.forget_rows()
    read = tables.load(writer.cursor, DIRECTORY, [OpenHold(SECOND, 1)]).counters[KEY].spent
    writer.rollback()
    assert (kept, read) == (0, 9)


def test_a_series_is_an_attribution_without_its_conversation(database: Database, writer: HotWriter) -> None:
    """It has one id, found again by other tables, its tags a row each, and is said to be new once."""
    tables, others = LedgerTables(database.sql), LedgerTables(database.sql)
    writer.begin(wait=True)
    silent = TALK._replace(conversation=None)
    ids = [one.series_id(writer.cursor, who) for one in (tables, others) for who in (TALK, silent)]
    other = tables.series_id(writer.cursor, Attribution())
    writer.commit()

    assert len(set(ids)) == 1
    assert other not in ids
    assert tables.take_new_series() == [silent, Attribution()]
    assert tables.take_new_series() == []
    with database.read() as connection:
        assert {tuple(row)[1:] for row in connection.execute(sa.select(series_tags))} == {
            (0, "a", ""),
            (1, "env", "test"),
        }


def test_events_add_to_their_quarter_and_their_day(database: Database, writer: HotWriter) -> None:
    """Events of three quarters of an hour and two days, in one transaction, are in each sum that they belong to."""
    start_us = 500 * DAY_US
    times_us = (start_us, start_us + QUARTER_US - 1, start_us + QUARTER_US, start_us + DAY_US)
    made = [event(hold(f"h{at}"), CENT * (at + 1), occurred_at_us=at_us) for at, at_us in enumerate(times_us)]
    run(LedgerTables(database.sql), writer, *map(Record, made))

    def total(*some: int) -> tuple[int, ...]:
        return tuple(sum(event_sums(made[at])[place] for at in some) for place in range(len(SUMS)))

    with database.read() as connection:
        archive = Archive(connection)
        found = {
            grain: [(row.start_us, row.sums) for row in archive.rollups(grain, 0, 2**62)]
            for grain in (Grain.QUARTER, Grain.DAY)
        }
    assert found[Grain.DAY] == [(start_us, total(0, 1, 2)), (start_us + DAY_US, total(3))]
    assert found[Grain.QUARTER] == [
        (start_us, total(0, 1)), (start_us + QUARTER_US, total(2)), (start_us + DAY_US, total(3)),
    ]  # fmt: skip


def test_each_entry_is_balanced_and_dated(database: Database, writer: HotWriter) -> None:
    """What a transaction posts has its instant, comes to nothing, and is what balances changed by."""
    run(LedgerTables(database.sql), writer, OpenHold(FIRST, 1), Settle("one", event(FIRST)), Record(event(SECOND)))

    with database.read() as connection:
        posted = [tuple(row) for row in connection.execute(sa.select(postings.c.account, postings.c.amount_picos_low))]
        assert {row.posted_at_us for row in connection.execute(sa.select(entries))} == {77}
        balances = Archive(connection).balances()
        assert {row.account for row in connection.execute(sa.select(accounts))} == {account for account, _ in posted}
    assert sum(balances.values()) == 0
    assert max(balances.values()) == CENT
    assert rollup_row((1, 2), tuple(range(len(SUMS))))[:4] == (1, 2, 0, 1)
