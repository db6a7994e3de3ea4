"""Credit for when the store is down: bounded, on record, and in the books as soon as they can be written."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.factories import CENT, WHO, hold, own, settle

from pertoken.core.commands import Command, Held, OpenHold, OpenResult, Result, Settled, Void, Voided
from pertoken.core.holds import Hold
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.credit import CreditLine, read
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()


class Life:
    """One process' committer with a line of two cents; its store works until `fails` is set."""

    def __init__(self, database: Database, folder: Path, name: str) -> None:
        owner = HoldOwner(f"host:{name}", 60_000_000, 60_000_000)
        self.credit = CreditLine(folder, owner.name, 2 * CENT)
        self.committer = Committer(database, CLOCK.now_us, Sellers(), owner, self.credit)
        self.fails = False
        works = self.committer._bookkeeper.decide

        def decide(commands: Sequence[Command], *, wait: bool = True) -> list[Result] | None:
            if self.fails:
                raise StoreFailed("the disk is full")
            return works(commands, wait=wait)

        self.committer._bookkeeper.decide = decide  # type: ignore[method-assign]

    async def open(self, one: Hold) -> OpenResult | StoreUnavailable:
        """Ask for a hold."""
        try:
            result: OpenResult = await self.committer.submit(OpenHold(one, self.committer.directory.revision))
        except StoreUnavailable as error:
            return error
        return result

    async def paid(self) -> None:
        """Wait until nothing is owed."""
        deadline = time.monotonic() + 10
        while self.committer._owed and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert not self.committer._owed


def run(life: Life, story: Callable[[Life], Coroutine[Any, Any, None]]) -> None:
    """Run a process' life."""

    async def scene() -> None:
        life.committer.start(asyncio.get_running_loop())
        try:
            await story(life)
        finally:
            await life.committer.close()

    asyncio.run(scene())


def books(database: Database) -> list[tuple[str, int, bool]]:
    """Return (call, cost, late) of all events, the books proven."""
    with database.read() as connection:
        archive = Archive(connection)
        assert verify(archive, CLOCK.now_us()).differences == []
        return [(event.event_id, event.cost_picos, own(event).late) for event in archive.events()]


def test_calls_are_served_up_to_the_line_and_posted_later(database: Database, tmp_path: Path) -> None:
    """Two calls of a cent go through, a third does not; what they cost is in the books once the store works."""
    folder = tmp_path / "credit"

    async def story(life: Life) -> None:
        one, two, three = hold("call_1"), hold("call_2"), hold("call_3")
        life.fails = True
        assert await life.open(one) == Held(None)
        assert await life.open(two) == Held(None)
        assert isinstance(await life.open(three), StoreUnavailable)
        settled = await life.committer.submit(settle(one))
        assert isinstance(settled, Settled)
        assert own(settled.event).late
        assert await life.committer.submit(Void("call_2", WHO, two.opened_at_us)) == Voided()
        assert life.committer.on_credit
        assert life.credit.left_picos == CENT + CENT // 2
        assert len(list(folder.iterdir())) == 1
        life.fails = False
        await life.paid()
        assert life.credit.left_picos == 2 * CENT
        assert isinstance(await life.open(three), Held)

    run(Life(database, folder, "1"), story)
    assert books(database) == [("call_1", CENT // 2, True)]
    assert list(folder.iterdir()) == []


def test_a_call_that_outlives_the_failure_gives_its_credit_back(database: Database, tmp_path: Path) -> None:
    """A call granted while the store was down and settled when it works is posted as any other, late."""

    async def story(life: Life) -> None:
        one = hold("call_1")
        life.fails = True
        assert await life.open(one) == Held(None)
        life.fails = False
        settled = await life.committer.submit(settle(one))
        assert isinstance(settled, Settled)
        assert life.credit.left_picos == 2 * CENT

    run(Life(database, tmp_path / "credit", "1"), story)
    assert books(database) == [("call_1", CENT // 2, True)]


def test_the_next_process_posts_what_a_dead_one_left(database: Database, tmp_path: Path) -> None:
    """What is on record survives its process, is posted once, and a line that was cut off is left out."""
    folder = tmp_path / "credit"
    dead = CreditLine(folder, "host:dead", 5 * CENT)
    one, two = hold("call_1"), hold("call_2")
    assert dead.grant(one)
    assert dead.grant(two)
    assert dead.settle(settle(one))
    assert dead._journal.file is not None
    alive = Life(database, folder, "alive")
    assert alive.credit.take_over() == [], "a living process keeps its file"
    with dead._journal.path.open("ab") as file:
        file.write(b'{"settled":["call_2"')
    import os

    os.close(dead._journal.file)

    async def story(life: Life) -> None:
        await life.paid()

    run(Life(database, folder, "next"), story)
    run(Life(database, folder, "after"), story)
    assert books(database) == [("call_1", CENT // 2, True)]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", [b'{"settled":["call_2",', b"garbage", bytes(9), b"{}", b'{"granted":[]}'])
def test_a_line_that_cannot_be_read_is_kept(database: Database, tmp_path: Path, damage: bytes) -> None:
    """What can be read is posted; the file stays, and no process is ready until a person has seen to it."""
    folder = tmp_path / "credit"
    dead = CreditLine(folder, "host:dead", 5 * CENT)
    one = hold("call_1")
    assert dead.grant(one)
    assert dead.settle(settle(one))
    path = dead._journal.path
    dead._journal.close()
    text = path.read_bytes() + damage + b"\n\n"
    path.write_bytes(text)
    kept = path.with_name(f"{path.name}.unreadable")

    async def story(life: Life) -> None:
        await life.paid()
        assert "pertoken doctor" in str(life.committer.cannot_settle)

    run(Life(database, folder, "1"), story)
    run(Life(database, folder, "2"), story)
    assert books(database) == [("call_1", CENT // 2, True)]
    assert list(folder.iterdir()) == [kept]
    assert kept.read_bytes() == text


def test_no_flipped_bit_changes_what_is_charged(tmp_path: Path) -> None:
    """Whatever bit of a file is another one: what is read is what was written, or the line is told to be unreadable."""
    dead = CreditLine(tmp_path, "host:dead", 5 * CENT)
    one = hold("call_1")
    assert dead.grant(one)
    assert dead.settle(settle(one))
    path = dead._journal.path
    dead._journal.close()
    text = path.read_bytes()
    written, lost, unreadable = read(path)
    assert (len(written), lost, unreadable) == (1, [], [])
    dice = random.Random(16)
    for at in dice.sample(range(len(text)), min(len(text), 400)):
        damaged = bytearray(text)
        damaged[at] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        found, _, unreadable = read(path)
        assert unreadable or damaged[-1:] != b"\n" or found == written, bytes(damaged)
        assert found in ([], written), bytes(damaged)


def test_a_file_that_is_there_again_is_posted_once(database: Database, tmp_path: Path) -> None:
    """A copy that somebody puts back, also under another name, adds nothing to the books."""
    folder = tmp_path / "credit"
    dead = CreditLine(folder, "host:dead", 5 * CENT)
    one = hold("call_1")
    assert dead.grant(one)
    assert dead.settle(settle(one))
    text = dead._journal.path.read_bytes()
    dead._journal.close()
    for name in ("host-dead.credit", "host-dead.credit", "another.credit"):
        (folder / name).write_bytes(text)

        async def story(life: Life) -> None:
            await life.paid()

        run(Life(database, folder, name), story)
        assert books(database) == [("call_1", CENT // 2, True)]
        assert list(folder.iterdir()) == []


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Lines without a sum are taken as they are."""
    dead = CreditLine(tmp_path, "host:dead", 5 * CENT)
    one = hold("call_1")
    assert dead.grant(one)
    assert dead.settle(settle(one))
    path = dead._journal.path
    dead._journal.close()
    written = read(path)
    before = b"".join(line.rpartition(b" ")[0] + b"\n" for line in path.read_bytes().splitlines())
    path.write_bytes(before)

    assert b"}\n" in before
    assert read(path) == written


def test_what_cannot_be_recorded_is_not_served(database: Database, tmp_path: Path) -> None:
    """Without a place for the record there is no credit."""
    (tmp_path / "credit").write_text("not a folder")

    async def story(life: Life) -> None:
        life.fails = True
        assert isinstance(await life.open(hold("call_1")), StoreUnavailable)

    run(Life(database, tmp_path / "credit", "1"), story)
    assert books(database) == []
