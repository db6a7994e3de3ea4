"""One transaction of the ledger: nothing is durable before `commit`, and every decision is on what holds."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import sqlalchemy as sa
from tests.factories import CENT, WHO, event, hold, price_row

from pertoken.core.budgets import Axis, Budget
from pertoken.core.commands import Command, Held, Look, Looked, OpenHold, Record, Refused, Settle, Stale, Void, Voided
from pertoken.core.periods import DAY_US, Window
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.store import catalog, directory
from pertoken.store.amounts import HIGH_MAX
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.lease import APART_US
from pertoken.store.schema import accounts

NOW_US = 1_780_000_000_000_000
Opened = Callable[[], Bookkeeper]


@pytest.fixture
def opened(database: Database) -> Iterator[Opened]:
    """Return a function that opens the books of another process."""
    made: list[Bookkeeper] = []

    def make() -> Bookkeeper:
        made.append(Bookkeeper(database, lambda: NOW_US, Sellers()))
        made[-1].refresh()
        return made[-1]

    yield make
    for books in made:
        books.close()


def open_holds(database: Database) -> dict[str, int]:
    """Return until when each open hold is."""
    with database.read() as connection:
        return {one.hold_id: one.expires_at_us for one in Archive(connection).open_holds()}


def test_nothing_is_durable_before_commit(database: Database, opened: Opened) -> None:
    """Others see a decision after `commit`, not before, and that alone tells whether anything changed."""
    books = opened()
    assert isinstance((books.decide([OpenHold(hold("a"), books.directory.revision)]) or [None])[0], Held)
    before = open_holds(database)
    assert books.commit()

    assert before == {}
    assert set(open_holds(database)) == {"a"}
    assert books.decide([Look()]) == [Looked()]
    assert not books.commit()


def test_who_does_not_wait_is_told_at_once(opened: Opened) -> None:
    """While another process writes nothing is decided, and it is said why; afterwards it is."""
    ours, others = opened(), opened()
    ours.decide([Look()])
    ours.commit()
    others.decide([OpenHold(hold("a"), others.directory.revision)])
    assert ours.decide([Look()], wait=False) is None
    assert ours.others_write
    others.commit()

    assert ours.transact([Void("a", WHO, hold("a").opened_at_us)]) == [Voided()]
    assert not ours.others_write
    assert ours.is_shared


def test_a_decision_is_on_the_directory_that_holds(database: Database, opened: Opened) -> None:
    """A budget or a price of another process is in force in the next transaction; only who waits reads it there."""
    books = opened()
    before = books.directory.revision
    with database.write() as connection:
        directory.add_budget(connection, Budget("b", "b", Axis.MONEY, 1, Window.TOTAL), 1)
        catalog.add_rows(connection, [price_row("input_tokens", 1)])

    assert books.decide([OpenHold(hold("a"), before)], wait=False) is None
    assert isinstance(books.transact([OpenHold(hold("a"), before)])[0], Stale)
    assert isinstance(books.transact([OpenHold(hold("a"), books.directory.revision)])[0], Refused)
    assert "p" in books.prices.providers
    assert open_holds(database) == {}


class Broken(list[Command]):
    """Commands that raise an error when they are read, as with a bug in pertoken."""

    def __iter__(self) -> Iterator[Command]:
        """Fail after the last."""
        yield from super().__iter__()
        raise RuntimeError("a mistake")


def test_a_mistake_of_our_own_stops_no_other_call(database: Database, opened: Opened) -> None:
    """It is a failure of the batch that met it; nothing of that is done, and the next goes on."""
    books = opened()
    some: Sequence[Command] = Broken([OpenHold(hold("a"), books.directory.revision)])
    with pytest.raises(StoreFailed, match="a bug in pertoken: RuntimeError") as failure:
        books.decide(some)

    assert failure.value.is_one_row
    assert open_holds(database) == {}
    assert isinstance(books.transact([OpenHold(hold("b"), books.directory.revision)])[0], Held)
    assert set(open_holds(database)) == {"b"}


def test_holds_expire_and_are_kept_alive(database: Database, opened: Opened) -> None:
    """Those whose time is over come the oldest first; an owner's are put off where they are due and of a live call."""
    books = opened()
    due = NOW_US + 10
    made = [
        hold("ours", opened_at_us=NOW_US, expires_at_us=due - 1),
        hold("old", opened_at_us=NOW_US - DAY_US, expires_at_us=due - 2),
        hold("theirs", opened_at_us=NOW_US, expires_at_us=due - 3, owner="other"),
        hold("later", opened_at_us=NOW_US, expires_at_us=due),
    ]
    books.transact([OpenHold(one, books.directory.revision) for one in made])
    assert [one.hold_id for one in books.expired_holds(due - 1)] == ["theirs", "old", "ours"]
    books.keep_alive("test", due, due + 50, NOW_US - 1)

    assert open_holds(database) == {"ours": due + 50, "old": due - 2, "theirs": due - 3, "later": due}
    books.put_off(["later", "gone"], due + DAY_US)
    assert open_holds(database)["later"] == due  # not by a day or more
    books.put_off(["later", "gone"], due + DAY_US + 1)
    assert open_holds(database)["later"] == due + DAY_US + 1


def test_holds_of_a_clock_that_was_ahead_are_pulled_in(database: Database, opened: Opened) -> None:
    """Those that were opened in what is the future now expire soon; those of now keep their time."""
    books = opened()
    ahead = NOW_US + APART_US + 1
    made = [
        hold("ahead", opened_at_us=ahead, expires_at_us=ahead + 5),
        hold("long", opened_at_us=NOW_US, expires_at_us=ahead + 5),
    ]
    books.transact([OpenHold(one, books.directory.revision) for one in made])
    books.pull_in(NOW_US, NOW_US + 7)

    assert open_holds(database) == {"ahead": NOW_US + 7, "long": ahead + 5}


def test_a_nearly_full_account_is_told(database: Database, opened: Opened) -> None:
    """An account that is more than a tenth full is named by its provider and currency, one that is not is left out."""
    books = opened()
    books.transact([Settle("a", event(hold("a"), CENT)), Record(event(hold("b"), CENT, currency="EUR"))])
    assert books.full_accounts() == []
    with database.write() as connection:
        full = sa.and_(accounts.c.currency == "USD", accounts.c.balance_picos_high == 0)
        connection.execute(sa.update(accounts).where(full).values(balance_picos_high=HIGH_MAX // 10 + 1))

    assert [currency for _, currency in books.full_accounts()] == ["USD"]
