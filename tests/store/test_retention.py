"""What is kept for a time only goes, a bounded number at a time, and the books stay provable."""

import pytest
import sqlalchemy as sa
from tests.factories import hold
from tests.store import history

from pertoken.core.claims import Claim
from pertoken.core.commands import OpenHold, Void
from pertoken.core.price_book import Sellers
from pertoken.core.provider_errors import ErrorKind
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.provider_errors import provider_errors
from pertoken.services.verdict import Difference
from pertoken.services.verify import verify
from pertoken.store import retention, schema
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.retention import Kept, forget_old
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
DAY_US = history.DAY_US
KEPT = Kept(ended_holds_us=3 * DAY_US, counters_us=5 * DAY_US)


def forget(database: Database, now_us: int) -> int:
    """Forget until there is no more; return in how many transactions."""
    for times in range(1, 100):
        with database.write() as connection:
            if not forget_old(connection, now_us, KEPT):
                return times
    raise AssertionError("there is no end")


def open_and_void(books: Bookkeeper, names: list[str], *, void: bool = True) -> None:
    """Open holds that name their calls, and let them go."""
    who = history.made(1, 1)[0].attribution
    holds = [hold(name, 1, attribution=who) for name in names]
    claims = [Claim("key", name, b"request") for name in names]
    revision = books.directory.revision
    books.transact([OpenHold(one, revision, claim) for one, claim in zip(holds, claims, strict=True)])
    if void:
        books.transact([Void(one.hold_id, one.attribution, one.opened_at_us) for one in holds])


def test_ended_holds_and_claims_go_with_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A voided hold is explained for some days, a claim is known for one; then both go, few at a time."""
    monkeypatch.setattr(retention, "ROWS_MAX", 10)
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    open_and_void(books, [f"call_{number}" for number in range(25)])
    books.close()
    now_us = CLOCK.now_us()

    def left() -> tuple[int, int]:
        with database.read() as connection:
            counted = (sa.text(f"SELECT count(*) FROM {name}") for name in ("claims", "ended_holds"))  # noqa: S608
            claims, holds = (connection.execute(one).scalar_one() for one in counted)
        return claims, holds

    assert forget(database, now_us) == 1
    assert left() == (25, 25)
    assert forget(database, now_us + 2 * DAY_US) == 3
    assert left() == (0, 25)
    assert forget(database, now_us + 4 * DAY_US) == 3
    assert left() == (0, 0)


def test_errors_of_providers_are_proven_while_their_holds_are_kept(database: Database) -> None:
    """Roll-ups keep the errors of deleted holds, which nothing can prove any more; of kept holds each is proven."""
    who = history.made(1, 1)[0].attribution
    now_us = CLOCK.now_us()
    opened_us = [now_us - 8 * DAY_US, now_us - DAY_US]
    holds = [hold(f"call_{at_us}", 1, attribution=who, opened_at_us=at_us) for at_us in opened_us]
    for one in holds:
        books = Bookkeeper(database, lambda one=one: one.opened_at_us + 1, Sellers())
        books.refresh()
        books.transact([OpenHold(one, books.directory.revision)])
        books.transact([Void(one.hold_id, who, one.opened_at_us, ErrorKind.RATE_LIMITED)])
        books.close()

    def found() -> tuple[int, list[Difference]]:
        with database.read() as connection:
            archive = Archive(connection)
            errors = provider_errors(archive, 0, now_us, (), "UTC", {})
            return errors[()][ErrorKind.RATE_LIMITED], verify(archive, now_us).differences

    before = found()
    forget(database, now_us)
    after = found()
    with database.write() as connection:
        connection.execute(sa.delete(schema.ended_holds))
    with database.read() as connection:
        unproven = {one["id"][:6] for one in verify(Archive(connection), now_us).differences}

    assert before == after == (2, [])
    assert unproven == {"day (1", "quarte"}


def test_counters_of_short_windows_go_and_verify_knows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters by the minute and the hour go after their time, but where something is held; others stay, all agrees."""
    monkeypatch.setattr(retention, "ROWS_MAX", 10)
    with database.write() as connection:
        for window in ("minute", "hour", "day", "total"):
            wish = Wish(window, "1000000", window=window, each="customer")
            early = type("Clock", (SystemClock,), {"now_us": lambda _: history.SINCE_US})()
            set_budget(Administration(connection), early, wish)
    history.record(database, history.made(1, 300))
    with database.read() as connection:
        archive = Archive(connection)
        assert verify(archive, history.UNTIL_US).differences == []
        names = {budget.budget_id: budget.name for budget in archive.budgets()}
        before = [(names[key.budget_id], key.window_start_us) for key in archive.counters()]

    assert forget(database, history.UNTIL_US) > 5

    horizon_us = history.UNTIL_US - KEPT.counters_us
    with database.read() as connection:
        archive = Archive(connection)
        after = [(names[key.budget_id], key.window_start_us) for key in archive.counters()]
        assert verify(archive, history.UNTIL_US).differences == []
    kept = [(name, start) for name, start in before if name in ("day", "total") or start >= horizon_us]
    assert sorted(after) == sorted(kept)
    assert 0 < sum(name in ("minute", "hour") for name, _ in after) < len(before) - len(kept)

    history.record(database, history.made(2, 50))  # usage reported late, of times whose counters are gone
    with database.read() as connection:
        assert verify(Archive(connection), history.UNTIL_US).differences == []


def test_a_counter_that_holds_something_stays(database: Database) -> None:
    """While a call is under way, what it holds is kept however old its window is."""
    with database.write() as connection:
        set_budget(Administration(connection), CLOCK, Wish("hour", "1000000", window="hour"))
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    open_and_void(books, ["call_1"], void=False)
    forget(database, CLOCK.now_us() + 50 * DAY_US)
    with database.read() as connection:
        assert [held for held, _ in Archive(connection).counters().values()] == [1]
    who = history.made(1, 1)[0].attribution
    hold = books.expired_holds(CLOCK.now_us() + DAY_US)[0]
    books.transact([Void("call_1", who, hold.opened_at_us)])
    books.close()
    with database.read() as connection:
        assert [held for held, _ in Archive(connection).counters().values()] == [0]
