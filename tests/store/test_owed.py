"""Settlements that the books do not have: on disk, their holds open, and posted as soon as the books take them."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import CENT, WHO, event, hold, own, settle

from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Command, Held, OpenHold, OpenResult, Result, Settle, Settled, Void
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.verify import verify
from pertoken.store import owed as owed_module
from pertoken.store.administration import Administration
from pertoken.store.amounts import HIGH_MAX
from pertoken.store.archive import Archive
from pertoken.store.commands import as_object
from pertoken.store.committer import PARKED_US, Committer, HoldOwner
from pertoken.store.database import Database
from pertoken.store.owed import Owed, read_all
from pertoken.store.schema import accounts
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """Return a fresh database, of each kind in turn, with a budget of a dollar on the test's key."""
    database = Database(migrated_url)
    with database.write() as connection:
        set_budget(Administration(connection), CLOCK, Wish("b", "1", scope={"key": "key_1"}))
    yield database
    database.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was parked is tried again each time that the committer looks."""
    monkeypatch.setattr(owed_module, "RETRY_US", 0)


class Life:
    """One process' committer, whose store does not take what `breaks` says: the reason, and whether one row is it."""

    def __init__(self, database: Database, folder: Path, name: str) -> None:
        owner = HoldOwner(f"host:{name}", 2_000_000, 60_000_000)
        self.owed = Owed(folder, owner.name)
        self.committer = Committer(database, CLOCK.now_us, Sellers(), owner, owed=self.owed)
        self.breaks: tuple[str, bool] | None = None
        works = self.committer._bookkeeper.decide

        def decide(commands: Sequence[Command], *, wait: bool = True) -> list[Result] | None:
            if self.breaks is not None and any(isinstance(one, Settle | Void) for one in commands):
                raise StoreFailed(self.breaks[0], is_one_row=self.breaks[1])
            return works(commands, wait=wait)

        self.committer._bookkeeper.decide = decide  # type: ignore[method-assign]

    async def open(self, name: str, **fields: Any) -> OpenResult | StoreUnavailable:
        """Ask for a hold."""
        asked = OpenHold(hold(name, owner=self.committer.owner.name, **fields), self.committer.directory.revision)
        try:
            result: OpenResult = await self.committer.submit(asked)
        except StoreUnavailable as error:
            return error
        return result

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        for _ in range(600):
            if holds():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it never was so")


def run(life: Life, story: Callable[[Life], Coroutine[Any, Any, None]], *, dies: bool = False) -> None:
    """Run a process' life; one that dies leaves its file as it is."""

    async def scene() -> None:
        life.committer.start(asyncio.get_running_loop())
        try:
            await story(life)
        finally:
            if dies:
                life.committer._timer.cancel()
                life.committer._bookkeeper.close()
                life.owed.close()
                life.owed._owing.clear()  # the thread, which ends now, pays nothing
                life.committer._jobs.put(None)
            else:
                await life.committer.close()

    asyncio.run(scene())


def posted(database: Database) -> dict[str, bool]:
    """Return the calls that have an event, and whether it was late; the books proven."""
    with database.read() as connection:
        archive = Archive(connection)
        assert verify(archive, CLOCK.now_us()).differences == []
        return {event.event_id: own(event).late for event in archive.events()}


def expiry_us(database: Database, name: str) -> int | None:
    """Return when an open hold expires, None where it is not open."""
    with database.read() as connection:
        found = Archive(connection).open_hold(name)
        return None if found is None else found.expires_at_us


@pytest.mark.parametrize("one_row", [True, False], ids=["parked", "owed"])
def test_what_is_owed_outlives_its_process(database: Database, tmp_path: Path, one_row: bool) -> None:
    """A settlement and a void that could not be posted are posted by the next process, once, and their file goes.

    Of one that was parked the hold stays open until then, however long that takes: its settlement is not late.
    """
    folder = tmp_path / "owed"

    async def loses(life: Life) -> None:
        one, two = hold("call_1"), hold("call_2")
        for each in (one, two):
            opened = OpenHold(each._replace(owner=life.committer.owner.name), life.committer.directory.revision)
            assert isinstance(await life.committer.submit(opened), Held)
        life.breaks = ("a rule of the table", one_row)
        for command in (settle(one), Void("call_2", WHO, two.opened_at_us)):
            with pytest.raises(StoreUnavailable):
                await life.committer.submit(command)
        assert sorted(owing.command.hold_id for _, owing in read_all(folder)) == ["call_1", "call_2"]
        assert {owing.parked for _, owing in read_all(folder)} == {one_row}
        assert {owing.reason for _, owing in read_all(folder)} == {"a rule of the table"}
        if one_row:
            expires_us = expiry_us(database, "call_1")
            assert expires_us is not None
            assert expires_us > CLOCK.now_us() + PARKED_US // 2

    async def finds(life: Life) -> None:
        await life.until(lambda: not life.owed)

    run(Life(database, folder, "1"), loses, dies=True)
    assert posted(database) == {}
    run(Life(database, folder, "2"), finds)
    assert posted(database) == {"call_1": False}
    assert list(folder.iterdir()) == []
    assert expiry_us(database, "call_2") is None


def test_no_call_goes_where_a_settlement_was_parked(database: Database, tmp_path: Path) -> None:
    """A parked settlement closes its provider and no other, also in the next process, until it is posted."""

    async def parks(life: Life) -> None:
        one = hold("call_1")
        await life.open("call_1", opened_at_us=one.opened_at_us)
        assert life.committer.cannot_settle is None
        life.breaks = ("a rule of the table", True)
        with pytest.raises(StoreUnavailable):
            await life.committer.submit(settle(one))
        await is_closed(life)

    async def is_closed(life: Life) -> None:
        refused = await life.open("call_2")
        assert isinstance(refused, StoreUnavailable)
        for word in ("openai", "call_1", "a rule of the table", "pertoken doctor"):
            assert word in str(refused)
        assert life.committer.cannot_settle == str(refused)
        elsewhere = WHO._replace(provider="anthropic")
        assert isinstance(await life.open("call_3", attribution=elsewhere, opened_at_us=0), Held)
        life.breaks = None
        await life.committer.submit(Void("call_3", elsewhere, 0))
        await life.until(lambda: life.committer.cannot_settle is None)
        assert isinstance(await life.open("call_4"), Held)

    run(Life(database, tmp_path / "owed", "1"), parks)
    assert "call_1" in posted(database)


def test_the_next_process_is_closed_from_its_start(database: Database, tmp_path: Path) -> None:
    """A process that takes over what was parked, and cannot post it either, sends no call there from its first on."""
    folder = tmp_path / "owed"
    dead = Owed(folder, "host:dead")
    assert dead.keep(settle(hold("call_1")), "a rule of the table", parked=True)
    dead.close()
    life = Life(database, folder, "next")
    life.breaks = ("still so", True)

    async def story(life: Life) -> None:
        assert isinstance(await life.open("call_2"), StoreUnavailable)

    run(life, story)
    assert [owing.reason for _, owing in read_all(folder)] == ["still so"]


def test_a_file_that_was_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    """The last line of a process that died while it wrote is left out: nothing followed from it.

    What was posted is not owed.
    """
    dead = Owed(tmp_path, "host:dead")
    for name in ("call_1", "call_2"):
        dead.keep(settle(hold(name)), "away")
    dead.posted([settle(hold("call_1"))])
    assert dead._journal is not None
    with dead._journal.path.open("ab") as file:
        file.write(b'{"settle":["call_3"')

    assert [owing.command.hold_id for _, owing in read_all(tmp_path)] == ["call_2"]


def lines_of(*names: str) -> list[bytes]:
    """Return the lines that settlements of these calls have in a file."""
    lines = (owed_module._Line(as_object(settle(hold(name))), None, "away") for name in names)
    return [owed_module.msgspec.json.encode(line) for line in lines]


DAMAGE = {
    "torn": lines_of("call_9")[0][:100],
    "its end alone": lines_of("call_9")[0][100:],
    "two in one": b"".join(lines_of("call_8", "call_9"))[50:],
    "garbage": b"\xff\xfe\x9c garbage",
    "zeros": bytes(64),
    "no object": b"[1]",
    "nothing known": b"{}",
    "half a command": b'{"settle":["call_9",[]]}',
    "another shape": b'{"void":{"a":1}}',
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_line_that_cannot_be_read_is_kept(database: Database, tmp_path: Path, damage: bytes) -> None:
    """What can be read is posted; the file stays, and no process is ready until a person has seen to it."""
    folder = tmp_path / "owed"
    folder.mkdir()
    one, two, nine = lines_of("call_1", "call_2", "call_9")
    text = b"\n".join([one, damage, two, b""])
    (folder / "host-dead.owed").write_bytes(text)
    kept = folder / "host-dead.owed.unreadable"

    async def is_not_ready(life: Life) -> None:
        await life.until(lambda: not life.owed)
        assert str(kept) in str(life.committer.cannot_settle)
        assert "pertoken doctor" in str(life.committer.cannot_settle)
        assert isinstance(await life.open(f"call_{life.committer.owner.name}"), Held)

    run(Life(database, folder, "1"), is_not_ready)
    run(Life(database, folder, "2"), is_not_ready)
    assert posted(database).keys() == {"call_1", "call_2"}
    assert [path.name for path in folder.iterdir()] == [kept.name]
    assert kept.read_bytes() == text

    async def is_ready_again(life: Life) -> None:
        await life.until(lambda: life.committer.cannot_settle is None and not life.owed)

    kept.rename(folder / "host-dead.owed")
    (folder / "host-dead.owed").write_bytes(b"\n".join([one, nine, two, b""]))
    run(Life(database, folder, "3"), is_ready_again)
    assert posted(database).keys() == {"call_1", "call_2", "call_9"}
    assert list(folder.iterdir()) == []


def test_a_file_that_was_moved_away_makes_ready(database: Database, tmp_path: Path) -> None:
    """A process that runs sees that the file is gone."""
    folder = tmp_path / "owed"
    folder.mkdir()
    (folder / "host-dead.owed").write_bytes(b"garbage\n")

    async def story(life: Life) -> None:
        assert life.committer.cannot_settle is not None
        (folder / "host-dead.owed.unreadable").rename(tmp_path / "elsewhere")
        await life.until(lambda: life.committer.cannot_settle is None)

    run(Life(database, folder, "1"), story)


def test_no_file_is_lost_while_the_disk_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what could be read cannot be written down again, the file stays as it is, and is told."""
    (tmp_path / "host-dead.owed").write_bytes(b"\n".join([*lines_of("call_1"), b"garbage", b""]))
    taking = Owed(tmp_path, "host:1")
    monkeypatch.setattr(taking, "_append", lambda _: False)
    taking.take_over()

    assert taking.unreadable == [tmp_path / "host-dead.owed"]
    assert len(taking) == 1


def test_wherever_a_file_ends_its_whole_lines_are_read(tmp_path: Path) -> None:
    """A file that ends anywhere gives all settlements before that, and no line that cannot be read."""
    path = tmp_path / "host-dead.owed"
    lines = lines_of("call_1", "call_2", "call_3")
    text = b"\n".join([lines[0], b"", lines[1], b" ", lines[2], b""])
    ends = [at for at in range(1, len(text)) if text[at - 1 : at + 1] == b"}\n"]
    for size in range(len(text) + 1):
        path.write_bytes(text[:size])
        owing, unreadable = owed_module.read(path)
        assert (len(owing), unreadable) == (sum(end < size for end in ends), []), size


def test_a_line_that_was_half_written_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk takes half a line, it is taken back, so that the next line stands alone."""
    owed = Owed(tmp_path, "host:1")
    write = os.write
    assert owed.keep(settle(hold("call_1")), "away")
    monkeypatch.setattr(os, "write", lambda file, text: write(file, text[: len(text) // 2]))
    assert not owed.keep(settle(hold("call_2")), "away")
    monkeypatch.setattr(os, "write", write)
    assert owed.keep(settle(hold("call_3")), "away")

    assert [one.command.hold_id for _, one in read_all(tmp_path)] == ["call_1", "call_3"]
    [path] = tmp_path.iterdir()
    assert owed_module.read(path)[1] == []


def test_what_cannot_be_written_down_is_kept_in_memory(database: Database, tmp_path: Path) -> None:
    """Where not even the file can be written, what is owed is posted once the store works again."""
    (tmp_path / "owed").write_text("not a folder")

    async def story(life: Life) -> None:
        one = hold("call_1")
        await life.open("call_1", opened_at_us=one.opened_at_us)
        life.breaks = ("the disk is full", False)
        with pytest.raises(StoreUnavailable):
            await life.committer.submit(settle(one))
        life.breaks = None
        await life.until(lambda: not life.owed)

    run(Life(database, tmp_path / "owed", "1"), story)
    assert posted(database) == {"call_1": False}


def test_no_call_goes_where_an_account_is_full(database: Database, tmp_path: Path) -> None:
    """An account that is a tenth full takes no more calls, while those under way are still settled."""
    with database.write() as connection:
        add = database.sql.add(accounts, ["balance_picos"])
        add.run(connection.connection.cursor(), [("provider_cost:openai", "USD", HIGH_MAX // 10 - 1, 0)])

    async def story(life: Life) -> None:
        one = hold("call_1")
        assert isinstance(await life.open("call_1", opened_at_us=one.opened_at_us), Held)
        settled = await life.committer.submit(settle(one, 10**27))
        assert isinstance(settled, Settled)
        await life.until(lambda: life.committer.cannot_settle is not None)
        refused = await life.open("call_2")
        assert isinstance(refused, StoreUnavailable)
        assert "account in USD" in str(refused)

    run(Life(database, tmp_path / "owed", "1"), story)


def test_an_amount_beyond_all_is_parked_and_no_neighbour_suffers(database: Database, tmp_path: Path) -> None:
    """A cost that no column holds, which only a mistake of ours could make, is parked; the others are settled."""
    folder = tmp_path / "owed"

    async def story(life: Life) -> None:
        now_us = CLOCK.now_us()
        names = [f"call_{number}" for number in range(5)]
        for name in names:
            await life.open(name, opened_at_us=now_us)
        costs = [10**40 if name == "call_2" else CENT for name in names]
        ends = [settle(hold(name, opened_at_us=now_us), cost) for name, cost in zip(names, costs, strict=True)]
        results = await asyncio.gather(*map(life.committer.submit, ends), return_exceptions=True)
        assert [isinstance(one, Settled) for one in results] == [name != "call_2" for name in names]

    run(Life(database, folder, "1"), story)
    assert posted(database).keys() == {"call_0", "call_1", "call_3", "call_4"}
    [(_, owing)] = read_all(folder)
    assert isinstance(owing.command, Settle)
    assert owing.parked
    assert owing.command.event.cost_picos == 10**40
    assert expiry_us(database, "call_2") is not None


AMOUNT = st.integers(-(10**40), 10**40)


@given(AMOUNT, AMOUNT, st.integers(0, 10**12), st.binary(max_size=20), st.text(max_size=10))
def test_a_line_is_what_was_written(cost: int, line: int, tokens: int, raw: bytes, text: str) -> None:
    """Whatever a settlement has, amounts beyond 64 bits as well, comes back from a file as it was."""
    one = event(hold("call_1"), raw=raw, reason=text)
    one = one._replace(
        cost_picos=cost, lines=(("input_tokens", tokens, "pr", line),), quantities={"input_tokens": tokens},
        parts=(("m", {"input_tokens": tokens}),), context=(("batch", "true"),),
    )  # fmt: skip
    outcome = Outcome(200, ((b"a", raw),), raw, stream=True)
    command = Settle("call_1", one, Claim("key", text, raw), outcome)
    encoded = owed_module.msgspec.json.encode(owed_module._Line(as_object(command), None, text, parked=True))

    line_read = owed_module._read.decode(encoded)
    assert owed_module._command(line_read) == command
    assert (line_read.reason, line_read.parked) == (text, True)
