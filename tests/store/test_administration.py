"""Changes to the directory are complete: a new budget counts what there is, and every worker learns of each change."""

from collections.abc import Callable

import pytest
from tests.factories import CENT, event, hold, price_row

from pertoken.core.budgets import Axis, Budget, CounterKey
from pertoken.core.commands import OpenHold, Record, Settle
from pertoken.core.events import OfReport
from pertoken.core.periods import DAY_US, Window, parse_time
from pertoken.core.price_book import Sellers
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.directory import read_revision

NOON_US = parse_time("2026-06-10T12:00:00Z")
TODAY_US = NOON_US - DAY_US // 2
OPEN = hold("open", CENT, opened_at_us=NOON_US, expires_at_us=NOON_US + DAY_US)
LONG = hold("long", 3 * CENT, opened_at_us=TODAY_US - 1, expires_at_us=NOON_US + DAY_US)
PAID = hold("paid", CENT, opened_at_us=NOON_US - 90_000_000, expires_at_us=NOON_US + DAY_US)
REPORT = event(
    PAID,
    7 * CENT,
    source="files",
    event_id="r",
    occurred_at_us=TODAY_US - 1,
    opened_at_us=TODAY_US - 1,
    of=OfReport(b"x"),
)
DAY = Budget("b", "b", Axis.MONEY, 10**15, Window.DAY)


@pytest.fixture
def used(database: Database) -> Database:
    """Return a database with a paid call of today, a report of yesterday, and holds opened on both days."""
    books = Bookkeeper(database, lambda: NOON_US, Sellers())
    books.refresh()
    books.transact([OpenHold(one, books.directory.revision) for one in (OPEN, LONG, PAID)])
    books.transact([Settle("paid", event(PAID, CENT // 2)), Record(REPORT)])
    books.close()
    return database


CASES = [
    (DAY, {("", TODAY_US): (CENT, CENT // 2), ("", TODAY_US - DAY_US): (3 * CENT, 7 * CENT)}),
    (DAY._replace(scope=(("team", "nobody"),)), {}),
    (DAY._replace(window=Window.TOTAL, each="tag:env"), {("test", 0): (4 * CENT, 7 * CENT + CENT // 2)}),
    (DAY._replace(axis=Axis.CONCURRENT, window=Window.TOTAL), {("", 0): (2, 0)}),
    (
        DAY._replace(window=Window.MINUTE),
        {("", NOON_US): (CENT, 0), ("", TODAY_US - 60_000_000): (3 * CENT, 7 * CENT)},
    ),
]


@pytest.mark.parametrize(("budget", "expected"), CASES)
def test_a_new_budget_counts_what_is_there(
    used: Database, budget: Budget, expected: dict[tuple[str, int], tuple[int, int]]
) -> None:
    """Its counters hold and have spent what its windows do, also those of which a call is still to be settled."""
    with used.write() as connection:
        Administration(connection).add_budget(budget, NOON_US)

    with used.read() as connection:
        found = Archive(connection).counters()
        assert Administration(connection).budgets() == [budget]
    assert found == {CounterKey("b", *key): amounts for key, amounts in expected.items()}


def test_counters_stay_when_a_budget_changes_or_goes(used: Database) -> None:
    """A new limit, and even the end of a budget, leave what it has counted."""
    with used.write() as connection:
        administration, archive = Administration(connection), Archive(connection)
        administration.add_budget(DAY, NOON_US)
        before = archive.counters()
        administration.change_budget(DAY._replace(limit=1))
        assert (administration.budgets()[0].limit, archive.counters()) == (1, before)
        administration.remove_budget("b", NOON_US)
        assert (administration.budgets(), archive.counters()) == ([], before)


SHARES: list[tuple[Callable[[Administration], object], object, int]] = [
    (lambda one: one.share("acme", "blue"), None, 1),
    (lambda one: one.share("acme", "red"), None, 0),
    (lambda one: one.unshare("acme", "red"), True, 1),
    (lambda one: one.unshare("acme", "blue"), False, 0),
    (lambda one: one.change_prices([price_row("input_tokens", 1)], [], 5), 1, 1),
    (lambda one: one.change_prices([], ["pr_0"], 5), 0, 1),
]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("change", "said", "more"), SHARES)
def test_what_changes_a_decision_is_a_new_revision(
    database: Database, change: Callable[[Administration], object], said: object, more: int
) -> None:
    """Workers read shares and prices anew where they changed, and only there."""
    with database.write() as connection:
        administration = Administration(connection)
        administration.share("acme", "red")
        administration.change_prices([price_row("x", 1, price_id="pr_0")], [], 1)
        before = read_revision(connection)

        assert change(administration) == said
        assert read_revision(connection) == before + more


def test_prices_are_replaced_in_one_step(database: Database) -> None:
    """The rows that go stay on record with the instant, and those that come are in use."""
    old, new = price_row("x", 1, price_id="pr_old"), price_row("x", 2, price_id="pr_new")
    with database.write() as connection:
        administration = Administration(connection)
        administration.change_prices([old], [], 1)
        assert administration.change_prices([new, old], ["pr_old"], 9) == 1

        assert set(administration.price_rows()) == {old._replace(superseded_at_us=9), new}
