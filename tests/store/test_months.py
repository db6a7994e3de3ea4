"""Events of a month leave the database and come back; what they come to is kept while they are away."""

import pytest
from tests.factories import price_row
from tests.store import history

from pertoken.core.events import Event, OfReport
from pertoken.core.periods import parse_time
from pertoken.core.price_book import Sellers
from pertoken.core.reporting import SUMS, event_sums
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.months import Archived, MonthFile, StoredEvent
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.months import DatabaseMonths

MADE = history.made(11, 120)
STARTS_US = [parse_time(f"{month}-01") for month in ("2025-10", "2026-03", "2026-04", "2026-09", "2026-10", "2026-11")]
MONTH_US = STARTS_US[1]
FILE = MonthFile("f.parquet", MONTH_US, 3, 1, {}, "a" * 64, 9, 5)


@pytest.fixture
def months(database: Database) -> DatabaseMonths:
    """Return the months of a database with events."""

    def open_books() -> Bookkeeper:
        books = Bookkeeper(database, lambda: history.UNTIL_US, Sellers())
        books.refresh()
        return books

    history.record(database, MADE)
    return DatabaseMonths(database, open_books)


def of_month(months: DatabaseMonths, month_us: int = MONTH_US) -> list[StoredEvent]:
    """Return the events of a month that are in the database."""
    with months.reading(month_us) as found:
        return list(found)


def kept(database: Database, archived: Archived) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """Return what the removed events of a file come to: all sums, and the costs of entries."""
    with database.read() as connection:
        archive = Archive(connection)
        rows = [one.sums for one in archive.archived_sums(archived)]
        return tuple(map(sum, zip((0,) * len(SUMS), *rows, strict=True))), list(archive.archived_entries(archived))


def test_a_month_is_read_in_order_with_its_hashes(months: DatabaseMonths) -> None:
    """The months before an instant that have events are known; each has its own, with what was reported of them."""
    assert months.with_events(STARTS_US[4]) == [at_us for at_us in STARTS_US[:4] if of_month(months, at_us)]
    found = of_month(months)
    expected: list[Event] = [one for one in MADE if MONTH_US <= one.occurred_at_us < STARTS_US[2]]
    places = [one.event.occurred_at_us for one in found]

    assert places == sorted(places)
    assert sorted(one.event.event_id for one in found) == sorted(one.event_id for one in expected)
    assert all(one.event in expected for one in found)
    assert any(isinstance(one.event.of, OfReport) and one.event.of.body_hash == b"body" for one in found)
    assert [one.entry_id is None for one in found] == [one.event.cost_picos == 0 for one in found]


def test_what_is_removed_is_summed_until_it_is_back(database: Database, months: DatabaseMonths) -> None:
    """In two steps away and in two steps back: sums and costs are those of what is away, and at the end nothing."""
    before = of_month(months)
    first, rest = before[:4], before[4:]
    archived = months.register(FILE._replace(events=len(before)), "folder", [])
    for chunk, away in ((first, first), (rest, before)):
        archived = months.remove(archived, chunk)
        sums, costs = kept(database, archived)
        assert months.archived() == [archived]
        assert archived.removed == len(away)
        assert sums == tuple(map(sum, zip(*(event_sums(one.event) for one in away), strict=True)))
        assert sum(cost for _, cost in costs) == sum(one.event.cost_picos for one in away)
        assert {entry_id for entry_id, _ in costs} == {one.entry_id for one in away} - {None}
    assert of_month(months) == []
    for chunk in (rest, first):
        archived = months.restore(archived, chunk)

    assert of_month(months) == before
    assert kept(database, archived) == ((0,) * len(SUMS), [])


@pytest.mark.parametrize("late", [False, True])
def test_two_commands_do_not_remove_the_same(database: Database, months: DatabaseMonths, late: bool) -> None:
    """Who removes what is gone, or knows less than was removed since, is refused, and nothing is done."""
    found = of_month(months)
    archived = months.register(FILE, "folder", [])
    after = months.remove(archived, found[:2])
    before = kept(database, after)
    with pytest.raises(StoreUnavailable, match=r"another command works|are not in the database"):
        months.remove(archived, found[2:4] if late else found[1:3])

    assert of_month(months) == found[2:]
    assert (months.archived(), kept(database, after)) == ([after], before)


def test_other_events_do_not_come_back(database: Database, months: DatabaseMonths) -> None:
    """A file whose last events are not those that were removed is refused, and they stay away."""
    found = [one for one in of_month(months) if one.event.cost_picos][:2]
    archived = months.remove(months.register(FILE, "folder", []), found)
    event, entry_id = found[1]
    forged = [found[0], StoredEvent(event._replace(cost_picos=event.cost_picos + 1), entry_id)]
    with pytest.raises(StoreUnavailable, match="not those that were removed"):
        months.restore(archived, forged)

    assert months.archived() == [archived]
    assert months.restore(archived, found).removed == 0


def test_a_file_takes_the_place_of_others(months: DatabaseMonths) -> None:
    """Those it replaces are forgotten, but for one whose events are away: that is refused, and all stays."""
    first = months.register(FILE, "folder", [])
    second = months.register(FILE._replace(sha256="b"), "folder", [first.archive_id])
    assert months.archived() == [second]
    away = months.remove(second, of_month(months)[:1])
    with pytest.raises(StoreUnavailable):
        months.register(FILE._replace(sha256="c"), "folder", [second.archive_id])

    assert months.archived() == [away]


def test_what_a_file_brings_is_taken_once(months: DatabaseMonths) -> None:
    """Events that are known are no news, others of their names conflict; prices come for the record alone."""
    report = next(one for one in MADE if isinstance(one.of, OfReport))
    other = report._replace(of=OfReport(b"other"))
    months.add_prices([price_row("x", 1, recorded_at_us=4)])
    months.add_prices([])

    assert months.record([report, other, report._replace(event_id="new")]) == (1, 1)
    assert months.prices() == [price_row("x", 1, recorded_at_us=4, superseded_at_us=4)]
