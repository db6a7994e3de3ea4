"""The clock is set back, or ahead by a year and back: what waits for a time goes on, and nothing is lost by it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.factories import CENT, WHO, hold, own, settle

from pertoken.core.commands import Held, OpenHold, Settled, Void
from pertoken.core.periods import DAY_US
from pertoken.core.price_book import Sellers
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.verify import verify
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.database import Database
from pertoken.store.lease import LEASE_US, Lease
from pertoken.store.owed import RETRY_US, Owed
from pertoken.store.schema import holds
from pertoken.wiring.clock import SystemClock

YEAR_US = 365 * DAY_US
HOUR_US = 3_600_000_000
TTL_US = 120_000_000
NOW_US = SystemClock().now_us()


class House:
    """A process whose clock is set by hand, and which looks around when it is told to."""

    def __init__(self, database: Database, name: str = "one") -> None:
        self.now_us = NOW_US
        self.committer = Committer(database, lambda: self.now_us, Sellers(), HoldOwner(name, TTL_US, TTL_US * 10))

    def look(self) -> None:
        """Look around, as a process does each second."""
        self.committer._look_around()


def run(house: House, story: Callable[[House], Awaitable[None]]) -> None:
    """Run a process while `story` is told."""

    async def scene() -> None:
        house.committer.start(asyncio.get_running_loop())
        house.committer._timer.cancel()
        try:
            await story(house)
        finally:
            await house.committer.close()

    asyncio.run(scene())


def made(house: House, call: str, owner: str = "one") -> Any:
    """Return a hold that a process opens now."""
    return hold(call, opened_at_us=house.now_us, expires_at_us=house.now_us + TTL_US, owner=owner)


def open_holds(database: Database) -> dict[str, int]:
    """Return when each open hold expires."""
    with database.read() as connection:
        return {row.hold_id: row.expires_at_us for row in connection.execute(sa.select(holds))}


@pytest.mark.parametrize("back_us", [HOUR_US, YEAR_US])
def test_a_running_call_keeps_its_hold(database: Database, back_us: int) -> None:
    """A call that runs for longer than a hold lasts by itself keeps its hold, also after the clock was set back."""

    async def story(house: House) -> None:
        house.look()
        house.now_us -= back_us
        assert isinstance(await house.committer.submit(OpenHold(made(house, "call_1"), 1)), Held)
        for _ in range(8):
            house.now_us += TTL_US // 3
            house.look()
        assert list(open_holds(database)) == ["call_1"]

    run(House(database), story)


@pytest.mark.parametrize("ahead_us", [HOUR_US, YEAR_US])
def test_what_a_dead_process_held_ahead_of_time_ends(database: Database, ahead_us: int) -> None:
    """A hold of a process that died while the clock was ahead expires as soon as any other once it is right again."""

    async def opens(house: House) -> None:
        house.now_us += ahead_us
        house.look()
        assert isinstance(await house.committer.submit(OpenHold(made(house, "call_1", "dead"), 1)), Held)

    async def story(house: House) -> None:
        house.look()
        assert open_holds(database) == {"call_1": NOW_US + TTL_US}
        house.now_us += TTL_US
        house.look()
        assert open_holds(database) == {}

    run(House(database, "dead"), opens)
    run(House(database), story)


def test_a_running_call_of_a_clock_that_was_ahead_keeps_its_hold(database: Database) -> None:
    """Its process lives: another one that looks around takes nothing from it, and its settlement is no late one."""

    async def story(house: House) -> None:
        house.now_us += YEAR_US
        house.look()
        one = made(house, "call_1")
        assert isinstance(await house.committer.submit(OpenHold(one, 1)), Held)
        house.now_us -= YEAR_US
        other = House(database, "two")
        other.committer._bookkeeper.refresh()
        for _ in range(12):
            house.now_us += TTL_US // 3
            other.now_us = house.now_us
            other.look()
            house.look()
        other.committer._bookkeeper.close()
        assert list(open_holds(database)) == ["call_1"]
        settled = await house.committer.submit(settle(one))
        assert isinstance(settled, Settled)
        assert not own(settled.event).late

    run(House(database), story)
    with database.read() as connection:
        assert verify(Archive(connection), NOW_US).differences == []


def test_a_lease_of_a_clock_that_was_ahead_is_none(database: Database) -> None:
    """Whoever took it then and died is replaced at once; who lives and has it goes on, and says so again."""
    dead, one = Lease(database, "work", "dead"), Lease(database, "work", "one")
    assert dead.hold(YEAR_US)
    assert one.hold(0)
    assert not dead.hold(0)
    assert one.hold(YEAR_US)
    assert one.hold(HOUR_US), "it is his"
    assert not dead.hold(HOUR_US + 1), "and it was said again"
    assert dead.hold(HOUR_US + LEASE_US + 1)


def test_what_was_parked_is_tried_again(database: Database) -> None:
    """A settlement that was tried while the clock was ahead is tried again within the same time as any other."""
    owed = Owed()
    owed.keep(Void("call_1", WHO, NOW_US), "no room", parked=True)
    assert len(owed.due(NOW_US + YEAR_US)) == 1
    assert owed.due(NOW_US + YEAR_US + 1) == []
    assert len(owed.due(NOW_US)) == 1
    assert owed.due(NOW_US + RETRY_US - 1) == []


def test_nothing_is_removed_by_a_clock_that_is_wrong_for_a_moment(database: Database) -> None:
    """What is spent in this hour is still spent when the clock comes back from next year."""
    with database.write() as connection:
        clock = type("Clock", (SystemClock,), {"now_us": lambda _: NOW_US})()
        set_budget(Administration(connection), clock, Wish("hour", "0.01", window="hour"))

    def spent() -> list[int]:
        with database.read() as connection:
            return [spent for _, spent in Archive(connection).counters().values()]

    async def story(house: House) -> None:
        revision = house.committer.directory.revision
        one = made(house, "call_1")._replace(amount_picos=CENT)
        assert isinstance(await house.committer.submit(OpenHold(one, revision)), Held)
        await house.committer.submit(settle(one))
        house.look()
        before = spent()
        assert sum(before)
        house.now_us += YEAR_US
        house.look()
        house.look()
        house.now_us -= YEAR_US
        house.look()
        assert spent() == before

    run(House(database), story)
