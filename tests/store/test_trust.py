"""A count that a provider contradicts is believed less by every worker, from the settlement on that shows it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.factories import event, hold

from pertoken.core.commands import Command, Duplicate, Held, OpenHold, Result, Settle, Settled, Stale
from pertoken.core.price_book import Sellers
from pertoken.core.trust import WHOLE, Disagreement, Doubt, Measured, Trust
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
WHAT = ("openai", "gpt-4o-mini")
MEASURED = Measured(1_000, 1_024, 4_200)
MORE = Disagreement(*WHAT, MEASURED, 2_512)
LEARNED = Trust(0, 255, 100)


def run(database: Database, story: Callable[[Committer, Committer], Coroutine[Any, Any, None]]) -> None:
    """Run a story with the committers of two workers."""

    async def scene() -> None:
        workers = [
            Committer(database, CLOCK.now_us, Sellers(), HoldOwner(name, 60_000_000, 60_000_000)) for name in ("a", "b")
        ]
        for one in workers:
            one.start(asyncio.get_running_loop())
        try:
            await story(*workers)
        finally:
            for one in workers:
                await one.close()

    asyncio.run(scene())


def doubts(database: Database) -> list[Doubt]:
    """Return what is doubted on disk."""
    with database.read() as connection:
        return Archive(connection).doubts()


def transact(database: Database, *commands: Command) -> list[Result]:
    """Apply commands in one transaction of a worker that starts now."""
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    results = books.transact(commands)
    books.close()
    return results


def test_no_worker_holds_on_the_count_of_before(database: Database) -> None:
    """Once a settlement that disagrees is on disk, a worker's hold on the old trust is sent back."""

    async def story(one: Committer, other: Committer) -> None:
        opened = hold("call_1")
        await one.submit(OpenHold(opened, one.directory.revision))
        before = other.directory
        settled = await one.submit(Settle("call_1", event(opened), disagreement=MORE))

        assert isinstance(settled, Settled)
        [doubt] = doubts(database)
        assert doubt == Doubt(*WHAT, LEARNED, 1_024, 2_512, "call_1", settled.event.recorded_at_us)
        assert one.directory.trust(*WHAT) == LEARNED
        assert before.trust(*WHAT) == WHOLE
        for worker in (one, other):
            assert await worker.submit(OpenHold(hold("call_2"), before.revision)) == Stale()
            assert worker.directory.trust(*WHAT) == LEARNED
        assert isinstance(await other.submit(OpenHold(hold("call_2"), other.directory.revision)), Held)

    run(database, story)


def test_keys_and_budgets_stay_as_they_are(database: Database) -> None:
    """The worker that learns has the directory that another reads from disk."""

    async def story(one: Committer, _: Committer) -> None:
        opened = hold("call_1")
        await one.submit(OpenHold(opened, one.directory.revision))
        await one.submit(Settle("call_1", event(opened), disagreement=MORE))
        fresh = Bookkeeper(database, CLOCK.now_us, Sellers())
        fresh.refresh()
        fresh.close()

        assert fresh.directory.revision == one.directory.revision
        assert fresh.directory.trusts == one.directory.trusts == {WHAT: LEARNED}
        assert isinstance(await one.submit(OpenHold(hold("call_2"), one.directory.revision)), Held)

    run(database, story)


def test_a_hold_in_the_same_transaction_is_sent_back(database: Database) -> None:
    """A hold that is decided behind the settlement, before anything is on disk, is stale already."""
    opened = hold("call_1")
    transact(database, OpenHold(opened, 1))
    settled, stale = transact(database, Settle("call_1", event(opened), disagreement=MORE), OpenHold(hold("call_2"), 1))

    assert isinstance(settled, Settled)
    assert stale == Stale()


def test_only_what_is_new_is_a_new_revision(database: Database) -> None:
    """A settlement that the trust explains, or one that is told twice, is no new revision."""
    one, two, three = hold("call_1"), hold("call_2"), hold("call_3")
    transact(database, *(OpenHold(opened, 1) for opened in (one, two, three)))
    transact(database, Settle("call_1", event(one), disagreement=MORE))
    [before] = doubts(database)
    less = MORE._replace(reported_tokens=2_500)
    transact(database, Settle("call_2", event(two), disagreement=less))
    again = MORE._replace(reported_tokens=9_000)

    assert transact(database, Settle("call_1", event(one), disagreement=again)) == [Duplicate()]
    assert doubts(database) == [before]
    assert isinstance(transact(database, OpenHold(hold("call_4"), 2))[0], Held)
    transact(database, Settle("call_3", event(three), disagreement=again))
    assert doubts(database)[0].trust == Trust(0, 860, 215)
    assert transact(database, OpenHold(hold("call_5"), 2)) == [Stale()]


def test_several_models_in_one_transaction(database: Database) -> None:
    """Each provider and model is doubted by itself; two settlements of one are both explained."""
    holds = [hold(f"call_{number}") for number in range(3)]
    transact(database, *(OpenHold(opened, 1) for opened in holds))
    told = [MORE, MORE._replace(model="other"), MORE._replace(reported_tokens=4_500)]
    ends = [Settle(one.hold_id, event(one), disagreement=said) for one, said in zip(holds, told, strict=True)]
    transact(database, *ends)

    assert {(one.provider, one.model): one.trust for one in doubts(database)} == {
        WHAT: Trust(0, 440, 110),
        ("openai", "other"): LEARNED,
    }


def test_an_operator_believes_again(database: Database) -> None:
    """After a reset the count is whole again in every worker, and a hold on the doubt is stale."""

    async def story(one: Committer, other: Committer) -> None:
        opened = hold("call_1")
        await one.submit(OpenHold(opened, one.directory.revision))
        await one.submit(Settle("call_1", event(opened), disagreement=MORE))
        doubted = one.directory.revision
        with database.write() as connection:
            assert Administration(connection).reset_trust(*WHAT)
            assert not Administration(connection).reset_trust(*WHAT)
        for worker in (one, other):
            assert await worker.submit(OpenHold(hold("call_2"), doubted)) == Stale()
            assert worker.directory.trust(*WHAT) == WHOLE

    run(database, story)
    assert doubts(database) == []


def test_a_settlement_that_was_owed_teaches_as_well(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disagreement that could not be written is not lost: it is written with its settlement, and nothing before."""

    async def story(one: Committer, _: Committer) -> None:
        opened = hold("call_1")
        await one.submit(OpenHold(opened, one.directory.revision))
        commit = one._bookkeeper._writer.commit

        def fail() -> None:
            monkeypatch.setattr(one._bookkeeper._writer, "commit", commit)
            raise one._bookkeeper._writer.failed(one._bookkeeper._writer.error("simulated"))

        monkeypatch.setattr(one._bookkeeper._writer, "commit", fail)
        failed = one.submit(Settle("call_1", event(opened), disagreement=MORE))
        with pytest.raises(Exception, match="simulated"):
            await failed
        assert one.directory.trust(*WHAT) == WHOLE
        assert doubts(database) == []
        while not doubts(database):
            await asyncio.sleep(0.1)
        assert one.directory.trust(*WHAT) == LEARNED

    run(database, story)
