"""Group commit: durable, in order, honest about failure."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.factories import CENT, WHO, event, hold, own, with_own

from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import (
    Conflict,
    Duplicate,
    Gone,
    Held,
    Known,
    Look,
    OpenHold,
    Record,
    Recorded,
    Refused,
    Resize,
    Resized,
    Settle,
    Settled,
    Stale,
    Void,
    Voided,
)
from pertoken.core.events import OfReport
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.verify import verify
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.committer import QUEUE_MAX, Committer, HoldOwner
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
OWNER = HoldOwner("here", 60_000_000, 60_000_000)


def run(database: Database, story: Callable[[Committer], Coroutine[Any, Any, None]]) -> None:
    """Run a story with a committer, then assert that the books verify."""

    async def scene() -> None:
        committer = Committer(database, CLOCK.now_us, Sellers(), OWNER)
        committer.start(asyncio.get_running_loop())
        try:
            await story(committer)
        finally:
            await committer.close()

    asyncio.run(scene())
    with database.read() as connection:
        verdict = verify(Archive(connection), CLOCK.now_us())
    assert verdict.differences == []


def budget(database: Database, limit: str, **wish: Any) -> None:
    """Set a budget on the test's key."""
    with database.write() as connection:
        set_budget(Administration(connection), CLOCK, Wish("b", limit, scope={"key": "key_1"}, **wish))


def test_hold_and_settle_are_on_disk_when_their_futures_resolve(database: Database) -> None:
    """What a resolved future says can be read by another connection at once."""

    async def story(committer: Committer) -> None:
        budget(database, "1")
        await committer.submit(Look())
        opened = hold("call_1")
        held = await committer.submit(OpenHold(opened, committer.directory.revision))

        assert isinstance(held, Held)
        assert held.tightest is not None
        assert held.tightest.held == CENT
        with database.read() as connection:
            assert Archive(connection).open_holds() == [opened]

        settled = await committer.submit(Settle("call_1", event(opened)))

        assert isinstance(settled, Settled)
        assert settled.tightest is not None
        assert (settled.tightest.held, settled.tightest.spent) == (0, CENT // 2)
        with database.read() as connection:
            archive = Archive(connection)
            assert archive.open_holds() == []
            assert [one.cost_picos for one in archive.call_events("call_1")] == [CENT // 2]

    run(database, story)


def test_a_budget_holds_under_concurrency(database: Database) -> None:
    """Of 200 holds of a cent submitted at once against a dollar, exactly 100 open."""

    async def story(committer: Committer) -> None:
        budget(database, "1")
        await committer.submit(Look())
        revision = committer.directory.revision
        results = await asyncio.gather(*(committer.submit(OpenHold(hold(f"call_{n}"), revision)) for n in range(200)))

        assert sum(isinstance(result, Held) for result in results) == 100
        assert sum(isinstance(result, Refused) for result in results) == 100

    run(database, story)


def test_two_committers_share_one_budget(database: Database) -> None:
    """Two processes' worth of committers on one file admit no more than the budget together."""

    async def story(committer: Committer) -> None:
        budget(database, "0.5")
        other = Committer(database, CLOCK.now_us, Sellers(), OWNER)
        other.start(asyncio.get_running_loop())
        await asyncio.gather(committer.submit(Look()), other.submit(Look()))
        revision = committer.directory.revision
        results = await asyncio.gather(
            *((committer if n % 2 else other).submit(OpenHold(hold(f"call_{n}"), revision)) for n in range(100))
        )
        await other.close()

        assert sum(isinstance(result, Held) for result in results) == 50

    run(database, story)


def test_what_others_wrote_is_read_again(database: Database) -> None:
    """Two committers that take turns on one budget know of each other's holds, although each remembers its own."""

    async def story(committer: Committer) -> None:
        budget(database, "0.05")
        other = Committer(database, CLOCK.now_us, Sellers(), OWNER)
        other.start(asyncio.get_running_loop())
        await asyncio.gather(committer.submit(Look()), other.submit(Look()))
        revision = committer.directory.revision
        results = [
            await (committer if n % 2 else other).submit(OpenHold(hold(f"call_{n}"), revision)) for n in range(10)
        ]
        await other.close()

        assert sum(isinstance(result, Held) for result in results) == 5

    run(database, story)


def test_commands_keep_their_order_while_another_process_writes(database: Database) -> None:
    """A batch that waits for another writer is decided in the order it was submitted, and answered in that order."""

    async def story(committer: Committer) -> None:
        opened = hold("call_1")
        commands = [OpenHold(opened, committer.directory.revision), Settle("call_1", event(opened))]
        with database.write():
            results = asyncio.gather(*[committer.submit(command) for command in commands])
            for _ in range(10):  # turns of the loop, in one of which the batch meets the other writer
                if not committer._tries:
                    await asyncio.sleep(0)
            assert committer._tries == 1

        assert [type(result) for result in await results] == [Held, Settled]

    run(database, story)


def test_a_hold_decided_on_an_old_directory_is_sent_back(database: Database) -> None:
    """A budget set by another process counts from the very next hold."""

    async def story(committer: Committer) -> None:
        revision = committer.directory.revision
        budget(database, "0.001")

        assert await committer.submit(OpenHold(hold("call_1"), revision)) == Stale()
        again = await committer.submit(OpenHold(hold("call_1"), committer.directory.revision))
        assert isinstance(again, Refused)

    run(database, story)


def test_commands_are_idempotent(database: Database) -> None:
    """Settling or voiding twice changes nothing; recording other content under one id is a conflict."""

    async def story(committer: Committer) -> None:
        revision = committer.directory.revision
        one, two = hold("call_1"), hold("call_2")
        await committer.submit(OpenHold(one, revision))
        await committer.submit(OpenHold(two, revision))
        assert isinstance(await committer.submit(Settle("call_1", event(one))), Settled)
        assert await committer.submit(Settle("call_1", event(one))) == Duplicate()
        assert await committer.submit(Void("call_2", WHO, two.opened_at_us)) == Voided()
        assert await committer.submit(Void("call_2", WHO, two.opened_at_us)) == Duplicate()

        reported = event(hold("report_1"), source="files", of=OfReport(b"one"))
        assert await committer.submit(Record(reported)) == Recorded()
        assert await committer.submit(Record(reported)) == Duplicate()
        assert await committer.submit(Record(reported._replace(of=OfReport(b"two")))) == Conflict()

    run(database, story)


def test_a_budget_set_while_calls_run_counts_them(database: Database) -> None:
    """Open holds and the window's events fill a new budget, and settling releases from it."""

    async def story(committer: Committer) -> None:
        revision = committer.directory.revision
        one, two = hold("call_1"), hold("call_2")
        await committer.submit(OpenHold(one, revision))
        await committer.submit(OpenHold(two, revision))
        await committer.submit(Settle("call_1", event(one)))
        budget(database, "1")

        settled = await committer.submit(Settle("call_2", event(two)))

        assert isinstance(settled, Settled)
        assert settled.tightest is not None
        assert (settled.tightest.held, settled.tightest.spent) == (0, CENT)

    run(database, story)


def test_expired_holds_are_let_go_and_a_late_settlement_still_posts(database: Database) -> None:
    """An expired hold frees its budget within two seconds; the service delivered is charged all the same."""

    async def story(committer: Committer) -> None:
        budget(database, "1")
        await committer.submit(Look())
        gone = hold("call_1", expires_at_us=CLOCK.now_us() + 1)
        await committer.submit(OpenHold(gone, committer.directory.revision))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with database.read() as connection:
                if not Archive(connection).open_holds():
                    break
            await asyncio.sleep(0.05)

        settled = await committer.submit(Settle("call_1", event(gone)))

        assert isinstance(settled, Settled)
        assert own(settled.event).late
        assert settled.tightest is not None
        assert (settled.tightest.held, settled.tightest.spent) == (0, CENT // 2)

    run(database, story)


def test_a_hold_lives_as_long_as_its_owner_and_its_call_can(database: Database) -> None:
    """A short time to live is put off for calls under way; not for a dead owner's hold, nor one that outlived calls."""
    owner = HoldOwner("here", 3_000_000, 3_600_000_000)

    async def story(_: Committer) -> None:
        committer = Committer(database, CLOCK.now_us, Sellers(), owner)
        committer.start(asyncio.get_running_loop())
        now_us = CLOCK.now_us()
        soon = now_us + owner.ttl_us
        mine = hold("mine", owner="here", expires_at_us=soon)
        dead = hold("dead", owner="gone", expires_at_us=soon)
        lost = hold("lost", owner="here", expires_at_us=soon, opened_at_us=now_us - owner.call_us_max - 1)
        for one in (mine, dead, lost):
            await committer.submit(OpenHold(one, committer.directory.revision))
        left = ["mine", "dead", "lost"]
        while CLOCK.now_us() < now_us + 3 * owner.ttl_us:
            with database.read() as connection:
                left = [one.hold_id for one in Archive(connection).open_holds()]
            await asyncio.sleep(0.2)

        assert left == ["mine"]
        settled = await committer.submit(Settle("mine", event(mine)))
        assert isinstance(settled, Settled)
        assert not own(settled.event).late
        await committer.close()

    run(database, story)


def test_a_resized_hold_is_what_the_books_say(database: Database) -> None:
    """A hold grows and shrinks on disk, is refused beyond the budget, and its settlement knows its last size."""

    async def story(committer: Committer) -> None:
        budget(database, "0.05")
        await committer.submit(Look())
        opened = hold("call_1")
        await committer.submit(OpenHold(opened, committer.directory.revision))

        def to(picos: int) -> Resize:
            return Resize("call_1", WHO, opened.opened_at_us, picos, 200, opened.expires_at_us + 1)

        assert isinstance(await committer.submit(to(6 * CENT)), Refused)
        grown = opened._replace(amount_picos=5 * CENT, tokens=200, expires_at_us=opened.expires_at_us + 1)
        assert await committer.submit(to(5 * CENT)) == Resized(grown)
        with database.read() as connection:
            assert Archive(connection).open_holds() == [grown]
        assert isinstance(await committer.submit(OpenHold(hold("call_2"), committer.directory.revision)), Refused)
        await committer.submit(to(CENT))
        assert isinstance(await committer.submit(OpenHold(hold("call_2"), committer.directory.revision)), Held)
        settled = await committer.submit(Settle("call_1", with_own(event(opened, picos=2 * CENT), held_picos=7)))
        assert isinstance(settled, Settled)
        assert (own(settled.event).held_picos, own(settled.event).overrun_picos) == (CENT, CENT)
        assert await committer.submit(to(CENT)) == Gone()

    run(database, story)


def test_a_hold_keeps_its_currency(database: Database) -> None:
    """The currency of a hold is on disk, open and ended, and is what a process knows that did not open it."""

    async def story(committer: Committer) -> None:
        opened = hold("call_1", currency="CNY")
        await committer.submit(OpenHold(opened, committer.directory.revision))
        budget(database, "1")  # another has written: what is remembered is read again
        await committer.submit(Look())
        grown = opened._replace(amount_picos=2 * CENT)
        asked = Resize("call_1", WHO, opened.opened_at_us, 2 * CENT, opened.tokens, opened.expires_at_us)

        assert await committer.submit(asked) == Resized(grown)
        with database.read() as connection:
            assert Archive(connection).open_holds() == [grown]
            assert set(Archive(connection).counters().values()) == {(0, 0)}  # of dollars nothing is held
        assert await committer.submit(Void("call_1", WHO, opened.opened_at_us)) == Voided()
        with database.read() as connection:
            ended = Archive(connection).ended_hold("call_1")
        assert ended is not None
        assert ended.hold == grown

    run(database, story)


def test_overrun_is_recorded(database: Database) -> None:
    """A settlement above its hold posts the real cost and says by how much it exceeded."""

    async def story(committer: Committer) -> None:
        opened = hold("call_1")
        await committer.submit(OpenHold(opened, committer.directory.revision))
        settled = await committer.submit(Settle("call_1", event(opened, picos=3 * CENT)))

        assert isinstance(settled, Settled)
        assert (own(settled.event).held_picos, own(settled.event).overrun_picos) == (CENT, 2 * CENT)

    run(database, story)


def test_a_command_that_does_not_fit_fails_alone(database: Database) -> None:
    """A cost beyond what the database can hold is refused loudly; its neighbours in the batch are served."""

    async def story(committer: Committer) -> None:
        revision = committer.directory.revision
        good, bad = hold("call_1"), hold("call_2", picos=10**38)
        results = await asyncio.gather(
            committer.submit(OpenHold(good, revision)),
            committer.submit(OpenHold(bad, revision)),
            return_exceptions=True,
        )

        assert isinstance(results[0], Held)
        assert isinstance(results[1], StoreUnavailable)

    run(database, story)


def test_events_recorded_together_have_one_wait(database: Database) -> None:
    """What became of them comes in their order, once all are on disk; none at all are done at once."""

    async def story(committer: Committer) -> None:
        events = [event(hold(f"call_{number}"), source="test") for number in range(1_500)]  # more than one batch

        assert await committer.record_all([]) == []
        results = await committer.record_all([events[0], *events])

        assert results[1] == Duplicate()
        assert [results[0], *results[2:]] == [Recorded()] * len(events)

    run(database, story)


def test_together_they_fail_where_one_cannot_be_done(database: Database) -> None:
    """The wait fails when one of them cannot be written, after the others are: asked again, those are duplicates."""

    async def story(committer: Committer) -> None:
        good, bad = (event(hold("call_1"), picos, source="test") for picos in (1, 10**38))
        bad = bad._replace(event_id="call_2")

        with pytest.raises(StoreUnavailable):
            await committer.record_all([bad, good])

        assert await committer.record_all([good]) == [Duplicate()]

    run(database, story)


def test_more_than_can_wait_is_refused_as_a_whole(database: Database) -> None:
    """Events beyond the queue's end are unavailable, all of them, and nothing of them is written."""

    async def story(committer: Committer) -> None:
        one = event(hold("call_1"), source="test")

        with pytest.raises(StoreUnavailable, match="too many"):
            await committer.record_all([one] * (QUEUE_MAX + 1))

        assert await committer.record_all([one]) == [Recorded()]

    run(database, story)


def test_a_broken_rule_stops_one_command_alone(database: Database) -> None:
    """A settlement that contradicts its hold fails by itself; its neighbours and later calls are served."""

    async def story(committer: Committer) -> None:
        revision = committer.directory.revision
        one, two = hold("call_1"), hold("call_2")
        await committer.submit(OpenHold(one, revision))
        broken = event(one)._replace(opened_at_us=one.opened_at_us + 1)
        results = await asyncio.gather(
            committer.submit(OpenHold(two, revision)),
            committer.submit(Settle("call_1", broken)),
            return_exceptions=True,
        )

        assert isinstance(results[0], Held)
        assert isinstance(results[1], StoreUnavailable)
        assert isinstance(await committer.submit(Settle("call_2", event(two))), Settled)
        assert isinstance(await committer.submit(Settle("call_1", event(one))), Settled)

    run(database, story)


def test_a_failing_store_answers_unavailable_and_pays_what_it_owes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settlement whose commit fails is kept and written once the store works again, exactly once."""

    async def story(committer: Committer) -> None:
        opened = hold("call_1")
        await committer.submit(OpenHold(opened, committer.directory.revision))
        bookkeeper = committer._bookkeeper
        works = bookkeeper.decide

        def fails(commands: Any, *, wait: bool = True) -> Any:
            raise StoreFailed("the disk is full")

        monkeypatch.setattr(bookkeeper, "decide", fails)
        with pytest.raises(StoreUnavailable):
            await committer.submit(Settle("call_1", event(opened)))
        assert committer.failure is not None
        monkeypatch.setattr(bookkeeper, "decide", works)
        deadline = time.monotonic() + 10
        while committer.failure is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

        with database.read() as connection:
            assert len(Archive(connection).call_events("call_1")) == 1
            assert Archive(connection).open_holds() == []

    run(database, story)


def test_a_commit_that_fails_is_not_acknowledged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decided and could not be made durable is answered as unavailable, and is not in the books."""

    async def story(committer: Committer) -> None:
        writer = committer._bookkeeper._writer

        def fails() -> None:
            raise writer.failed(writer.error("the disk is full"))

        with monkeypatch.context() as failing:
            failing.setattr(writer, "commit", fails)
            with pytest.raises(StoreUnavailable):
                await committer.submit(OpenHold(hold("call_1"), committer.directory.revision))

        with database.read() as connection:
            assert Archive(connection).open_holds() == []

    run(database, story)


def test_only_a_write_shows_that_the_store_works(database: Database) -> None:
    """What reads alone succeeds on a read-only database, too: it does not end a failure, what writes does."""

    async def story(committer: Committer) -> None:
        committer.failure = "the database is read-only"
        await committer.submit(Look())
        assert committer.failure is not None
        opened = hold("call_1")
        await committer.submit(OpenHold(opened, committer.directory.revision))
        assert committer.failure is None
        await committer.submit(Settle("call_1", event(opened)))

    run(database, story)


def test_a_mistake_of_ours_beside_the_calls_stops_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When looking around breaks, commands are committed all the same."""

    async def story(committer: Committer) -> None:
        def breaks(now_us: int) -> bool:
            broken.set()
            raise ZeroDivisionError

        broken = threading.Event()
        monkeypatch.setattr(committer._lease, "hold", breaks)
        assert await asyncio.to_thread(broken.wait, 10)
        opened = hold("call_1")
        assert isinstance(await committer.submit(OpenHold(opened, committer.directory.revision)), Held)
        assert isinstance(await committer.submit(Settle("call_1", event(opened))), Settled)

    run(database, story)


def test_a_name_is_one_calls_until_it_ended_without_an_outcome(database: Database) -> None:
    """While its call runs, and once it has an outcome, a name is taken; after a void it is free again."""
    claim = Claim("key_1", "order-1", b"hash")
    answered = Outcome(200, ((b"content-type", b"text/plain"),), b"hello", stream=False)

    async def story(committer: Committer) -> None:
        revision = committer.directory.revision
        one, two, three = hold("call_1"), hold("call_2"), hold("call_3")
        assert isinstance(await committer.submit(OpenHold(one, revision, claim)), Held)
        running = await committer.submit(OpenHold(two, revision, claim))
        assert isinstance(running, Known)
        assert (running.claimed.call_id, running.claimed.outcome, running.same_request) == ("call_1", None, True)
        await committer.submit(Void("call_1", WHO, one.opened_at_us))
        assert isinstance(await committer.submit(OpenHold(two, revision, claim)), Held)
        # A late settlement of the call that lost the name must not answer for the one that has it now.
        await committer.submit(Settle("call_1", event(one), claim, answered._replace(body=b"late")))
        assert isinstance(await committer.submit(OpenHold(three, revision, claim)), Known)
        await committer.submit(Settle("call_2", event(two), claim, answered))
        done = await committer.submit(OpenHold(three, revision, claim._replace(request_hash=b"other")))
        assert isinstance(done, Known)
        assert (done.claimed.call_id, done.claimed.outcome, done.same_request) == ("call_2", answered, False)
        # Nor in one transaction with it, whichever comes first.
        for number, latest in enumerate(("four", "five")):
            again, old, new = claim._replace(name=latest), hold(f"{latest}_old"), hold(f"{latest}_new")
            await committer.submit(OpenHold(old, revision, again))
            await committer.submit(Void(old.hold_id, WHO, old.opened_at_us))
            await committer.submit(OpenHold(new, revision, again))
            both = [Settle(new.hold_id, event(new), again, answered)]
            both.insert(number, Settle(old.hold_id, event(old), again, answered._replace(body=b"late")))
            await asyncio.gather(*map(committer.submit, both))
            done = await committer.submit(OpenHold(three, revision, again))
            assert isinstance(done, Known)
            assert (done.claimed.call_id, done.claimed.outcome) == (new.hold_id, answered)
        results = await asyncio.gather(
            *(committer.submit(OpenHold(hold(f"call_{n}"), revision, Claim("key_1", "x", b""))) for n in range(10, 20))
        )
        assert sum(isinstance(result, Held) for result in results) == 1
        assert sum(isinstance(result, Known) for result in results) == 9

    run(database, story)


@pytest.mark.parametrize(("synced", "level"), [(True, 2), (False, 1)])
def test_durability_is_what_it_says(tmp_path: Path, synced: bool, level: int) -> None:
    """Full durability flushes each commit to the disk; relaxed leaves that to the system."""
    database = Database(f"sqlite:///{tmp_path}/ledger.db", synced=synced)
    database.migrate()
    writer = database.hot_writer()
    assert writer.begin(wait=False)
    assert writer.cursor.execute("PRAGMA synchronous").fetchall() == [(level,)]
    writer.rollback()
    writer.close()
    database.close()


def test_what_waits_and_what_was_committed_is_counted(database: Database) -> None:
    """Commands that wait are counted until their batch begins; then the batch is counted by the bits of its size."""

    async def story(committer: Committer) -> None:
        before = committer.state()
        looked = [committer.submit(Look()) for _ in range(5)]
        waiting = committer.state()
        await asyncio.gather(*looked)
        after = committer.state()

        assert (waiting.waiting, after.waiting) == (5, 0)
        assert after.commands == before.commands + 5
        assert [now - was for was, now in zip(before.batches, after.batches, strict=True)] == [0, 0, 0, 1, *[0] * 8]
        assert (after.owed, after.parked, after.credit_left_picos) == (0, 0, None)

    run(database, story)
