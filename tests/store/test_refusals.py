"""Refused calls in the database: added up over processes, the last kept whole, found by what they are of."""

import asyncio
import time

import pytest

from pertoken.core.access import View
from pertoken.core.budgets import Attribution
from pertoken.core.periods import DAY_US
from pertoken.core.price_book import Sellers
from pertoken.core.refusals import HOUR_US, WHOLE_MAX, RefusedCall, RefusedCalls, RefusedKind, RefusedSearch
from pertoken.ports.failures import StoreFailed
from pertoken.services.explain import explain
from pertoken.services.narrow import NarrowArchive
from pertoken.store import refusals, retention
from pertoken.store.archive import Archive
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.database import Database
from pertoken.store.retention import Kept

RED = Attribution("k1", "red", "acme", "ann", "p", "m", (("env", "test"),), "talk")
BLUE = Attribution("k2", "blue")
ALL = RefusedSearch({}, 0, 10 * DAY_US, 10)


def call(number: int, of: Attribution = RED, at_us: int | None = None, budget: str | None = "b") -> RefusedCall:
    """Return a refused call."""
    return RefusedCall(f"call_{number:05}", number if at_us is None else at_us, "budget_exceeded", "no", budget, of)


def save(database: Database, *calls: RefusedCall) -> None:
    """Write refused calls as a process does."""
    refused = RefusedCalls()
    for one in calls:
        refused.add(one)
    batch = refused.take()
    assert batch is not None
    with database.write() as connection:
        refusals.save(connection, database.sql, batch)


def test_counts_add_up_and_the_last_are_whole(database: Database) -> None:
    """What several processes write is counted together; of the calls the newest stay, as they were."""
    save(database, *[call(number) for number in range(WHOLE_MAX)])
    save(database, call(0), call(WHOLE_MAX), call(WHOLE_MAX + 1, BLUE, budget=None))

    with database.read() as connection:
        archive = Archive(connection)
        assert archive.refused_counts(0, HOUR_US) == {
            RefusedKind(0, "budget_exceeded", "b", "k1"): WHOLE_MAX + 2,
            RefusedKind(0, "budget_exceeded", "", "k2"): 1,
        }
        assert archive.refused_counts(HOUR_US, 2 * HOUR_US) == {}
        kept = archive.refused_calls(RefusedSearch({}, 0, DAY_US, 10_000))
        assert [one.call_id for one in kept] == [f"call_{number:05}" for number in range(WHOLE_MAX + 1, 1, -1)]
        assert (kept[0], kept[1]) == (call(WHOLE_MAX + 1, BLUE, budget=None), call(WHOLE_MAX))
        assert archive.refused_call("call_00000") is None
        assert archive.refused_call("call_00002") == call(2)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, [2, 1, 0]), ({"key": "k1"}, [2, 0]), ({"team": "blue"}, [1]), ({"customer": "acme"}, [2, 0]),
        ({"user": "ann"}, [2, 0]), ({"model": "m"}, [2, 0]), ({"code": "rate_limited"}, []),
        ({"budget": "b"}, [2, 1, 0]), ({"provider": "nobody"}, []), ({"conversation": "nobody"}, []),
    ],
)  # fmt: skip
def test_refused_calls_are_found(database: Database, where: dict[str, str], found: list[int]) -> None:
    """Each filter selects what it says, the newest first; a range of time and a limit cut that."""
    save(database, call(0), call(1, BLUE), call(2))

    with database.read() as connection:
        archive = Archive(connection)
        assert [one.at_us for one in archive.refused_calls(ALL._replace(where=where))] == found
        assert [one.at_us for one in archive.refused_calls(RefusedSearch(where, 0, 2, 1))] == [
            one for one in found if one < 2
        ][:1]


def test_a_team_sees_its_own_refused_calls(database: Database) -> None:
    """Calls, counts and explanations of others are not there for a team."""
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO keys (key_id, name, secret_hash, secret_hint, team, tags, created_at_us)"
            " VALUES ('k1', 'n', '1', 'x', 'red', '{}', 1)"
        )
    save(database, call(0), call(1, BLUE), call(2, Attribution()))

    with database.read() as connection:
        red = NarrowArchive(Archive(connection), View(team="red"))
        assert [one.attribution for one in red.refused_calls(ALL)] == [RED]
        assert red.refused_calls(ALL._replace(where={"team": "blue"})) == []
        assert {kind.key for kind in red.refused_counts(0, DAY_US)} == {"k1"}
        explained = explain(red, "call_00000")
        assert explained is not None
        assert (explained["status"], explained["cost"], explained["attribution"]["team"]) == ("refused", "0", "red")
        assert explained["refusal"]["code"] == "budget_exceeded"
        assert explain(red, "call_00001") is None
        assert explain(Archive(connection), "call_00001") is not None


def test_old_counts_are_forgotten(database: Database) -> None:
    """Counts are kept as long as holds that ended, and no longer."""
    save(database, call(0), call(1, at_us=2 * DAY_US))
    with database.write() as connection:
        retention.forget_old(connection, 3 * DAY_US, Kept(ended_holds_us=DAY_US))

    with database.read() as connection:
        assert {kind.hour_us for kind in Archive(connection).refused_counts(0, 9 * DAY_US)} == {2 * DAY_US}


def test_a_process_writes_what_it_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a look, or at its end, a process has written what it refused; what a failing store missed comes later."""

    async def live() -> None:
        owner = HoldOwner("test", 60_000_000, 60_000_000)
        committer = Committer(database, lambda: time.time_ns() // 1_000, Sellers(), owner)
        committer.start(asyncio.get_running_loop())
        save_really, failed = refusals.save, asyncio.Event()
        loop = asyncio.get_running_loop()

        def fail(*_: object) -> None:
            loop.call_soon_threadsafe(failed.set)
            raise StoreFailed("the disk is full")

        monkeypatch.setattr(refusals, "save", fail)
        committer.refused.add(call(0))
        await asyncio.wait_for(failed.wait(), 60)
        monkeypatch.setattr(refusals, "save", save_really)
        await until(lambda: known() == 1)
        committer.refused.add(call(1))
        await committer.close()

    def known() -> int:
        with database.read() as connection:
            return sum(Archive(connection).refused_counts(0, DAY_US).values())

    async def until(holds: object) -> None:
        for _ in range(1_200):
            if holds():  # type: ignore[operator]
                return
            await asyncio.sleep(0.05)
        pytest.fail("it was not written")

    asyncio.run(live())
    assert known() == 2
