"""SQLite's file torn, flipped, read-only, without room: refused or told by `verify`, never a silent wrong sum."""

import asyncio
import os
import random
import resource
import shutil
import sqlite3
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.conftest import put_prices
from tests.crash.house import House, fetch
from tests.crash.load import Load
from tests.crash.test_kills import check
from tests.e2e.conftest import Process

from pertoken.core.events import Event
from pertoken.ports.failures import StoreFailed
from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.database import Database

SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
COPIES = int(os.environ.get("CRASH_COPIES", "12"))
LOADED_S = 3 if "CRASH_COPIES" in os.environ else 1
CLIENTS = 12
FILES = ("pertoken.db", "pertoken.db-wal")
WAL_HEADER_BYTES, FRAME_BYTES = 32, 24 + 4096
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

Damage = Callable[[bytearray, random.Random], None]


class Wreck(NamedTuple):
    """What a gateway that was killed under load left on disk, and when."""

    folder: Path
    at_us: int


class Books(NamedTuple):
    """What can be read of it: what was said of it, its events, and what its budget and accounts say."""

    said: str
    events: list[Event]
    sums: tuple[object, ...] = ()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Wreck:
    """Return a database whose gateway was killed under load, its write-ahead log as it was left."""
    folder = tmp_path_factory.mktemp("killed")
    house = House(put_prices(folder), folder, simulator.url)
    house.prepare()
    key_id, secret = house.new_key("one")
    house.set_budget("one", "50", key_id)
    try:
        assert house.start(), house.said()
        load = Load(house.url, [secret], SEED)
        asyncio.run(under_load(load, house.kill_all, after_s=LOADED_S))
    finally:
        house.kill_all()
    (folder / "pertoken.db-shm").unlink()
    return Wreck(folder, time.time_ns() // 1_000)


@pytest.fixture(scope="module")
def checkpointed(killed: Wreck, tmp_path_factory: pytest.TempPathFactory) -> Wreck:
    """Return the same, killed after the log was copied into the main file and before it was begun anew."""
    work, folder = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("checkpointed")
    copy(killed, work)
    connection = sqlite3.connect(work / FILES[0])
    [(busy, frames, moved)] = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    assert not busy
    assert frames == moved > 0
    copy(Wreck(work, killed.at_us), folder)
    connection.close()
    return Wreck(folder, killed.at_us)


async def under_load(load: Load, do: Callable[[], None], after_s: float) -> None:
    """Let the clients call, and `do` something in the midst of it; then stop them."""

    async def disturb() -> None:
        await asyncio.sleep(after_s)
        await asyncio.to_thread(do)
        load.stopping = load.is_hopeless = True

    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(CLIENTS))
        group.create_task(disturb())


def copy(wreck: Wreck, folder: Path) -> Path:
    """Copy a wreck's files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in FILES:
        shutil.copyfile(wreck.folder / name, folder / name)
    return folder


def read(folder: Path, now_us: int) -> Books:
    """Open a database as the gateway does, verify it, and read all of it."""
    database = Database(f"sqlite:///{folder}/{FILES[0]}")
    try:
        database.migrate()
        with database.read() as connection:
            archive = Archive(connection)
            differences = verify(archive, now_us).differences
            sums = (archive.counters(), archive.balances())
            return Books("differences" if differences else "clean", list(archive.events()), sums)
    except StoreFailed as failure:
        assert "damaged" in str(failure), failure
        return Books("refused", [])
    finally:
        database.close()


def truncate(data: bytearray, dice: random.Random) -> None:
    """Lose the end."""
    del data[dice.randrange(len(data)) :]


def flip(data: bytearray, dice: random.Random) -> None:
    """Turn one bit over."""
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def damaged(wreck: Wreck, name: str, damage: Damage, folder: Path, now_us: int) -> Iterator[Books]:
    """Yield what is left of copies of which each is damaged elsewhere."""
    dice = random.Random(SEED)
    for _ in range(COPIES):
        copy(wreck, folder)
        data = bytearray((folder / name).read_bytes())
        damage(data, dice)
        (folder / name).write_bytes(data)
        yield read(folder, now_us)


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("when", ["killed", "checkpointed"])
def test_a_damaged_log(request: pytest.FixtureRequest, tmp_path: Path, when: str, damage: Damage) -> None:
    """A torn or flipped log gives the first so many transactions, whole, or what is wrong with the file is told."""
    wreck = request.getfixturevalue(when)
    whole = read(copy(wreck, tmp_path / "x"), wreck.at_us)
    told: Counter[str] = Counter()
    for left in damaged(wreck, FILES[1], damage, tmp_path / "x", wreck.at_us):
        told[left.said] += 1
        if left.said == "clean":
            assert left.events == whole.events[: len(left.events)]
            told["all of it"] += len(left.events) == len(whole.events)
    print(f"\nlog, {when}, {damage.__name__}, seed {SEED}: {dict(told)}")  # noqa: T201 - read by a person
    assert whole.said == "clean"
    assert told["clean"]


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_file(checkpointed: Wreck, tmp_path: Path, damage: Damage) -> None:
    """Where `verify` finds nothing wrong with a damaged file, every cost, counter and balance is as it was."""
    (checkpointed.folder / FILES[1]).write_bytes(b"")
    whole = read(copy(checkpointed, tmp_path / "x"), checkpointed.at_us)
    told: Counter[str] = Counter()
    for left in damaged(checkpointed, FILES[0], damage, tmp_path / "x", checkpointed.at_us):
        told[left.said] += 1
        if left.said == "clean":
            assert [event.cost_picos for event in left.events] == [event.cost_picos for event in whole.events]
            assert left.sums == whole.sums
            told["clean, though an event reads otherwise"] += left.events != whole.events
    print(f"\nfile, {damage.__name__}, seed {SEED}: {dict(told)}")  # noqa: T201 - read by a person
    assert whole.said == "clean"


def test_a_gateway_on_a_torn_log_serves(killed: Wreck, tmp_path: Path, simulator_url: str) -> None:
    """Half of the log is gone: the gateway starts on what is left, serves, and its books verify."""
    folder = copy(killed, tmp_path / "x")
    os.truncate(folder / FILES[1], (folder / FILES[1]).stat().st_size // 2)
    house = House(f"sqlite:///{folder}/{FILES[0]}", tmp_path, simulator_url)
    _, secret = house.new_key("another")
    try:
        assert house.start(), house.said()
        load = Load(house.url, [secret], SEED)
        asyncio.run(under_load(load, lambda: None, after_s=1))
        house.wait_for_expiry()
        assert house.run("verify").returncode == 0
    finally:
        house.stop()
    assert sum(call.acknowledged is not None for call in load.calls) > 0


def test_a_gateway_on_a_destroyed_file_does_not_start(killed: Wreck, tmp_path: Path, simulator_url: str) -> None:
    """What is no database is said to be none, by `serve` and by `verify`, in one line."""
    folder = copy(killed, tmp_path / "x")
    (folder / FILES[1]).unlink()
    (folder / FILES[0]).write_bytes(random.Random(SEED).randbytes(100_000))
    house = House(f"sqlite:///{folder}/{FILES[0]}", tmp_path, simulator_url)

    assert not house.start()
    assert "the database is damaged" in house.said()
    verified = house.run("verify")
    assert verified.returncode == 1
    assert "the database is damaged" in verified.stderr
    assert "Traceback" not in house.said() + verified.stderr


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Make the database's files and their folder read-only for a while."""
    for path in folder.glob("pertoken.db*"):
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)
        for path in folder.glob("pertoken.db*"):
            path.chmod(0o644)


@pytest.mark.parametrize("torn", [False, True])
def test_a_read_only_file(tmp_path: Path, simulator_url: str, torn: bool) -> None:
    """Nothing can be written: the gateway says so and serves nothing; once it can be, it starts with all it had."""
    folder = tmp_path / "x"
    folder.mkdir()
    house = House(put_prices(folder), tmp_path, simulator_url)
    house.prepare()
    _, secret = house.new_key("one")
    assert house.start(), house.said()
    load = Load(house.url, [secret], SEED)
    asyncio.run(under_load(load, house.kill_all if torn else house.stop, after_s=1))
    with unwritable(folder):
        if house.start(as_anybody=True):  # with its index left in place, the log can be read without writing
            in_vain = Load(house.url, [secret], SEED + 1)
            try:
                asyncio.run(under_load(in_vain, lambda: None, after_s=0.5))
                with pytest.raises(urllib.error.HTTPError, match="503"):
                    fetch(f"{house.url}/health/ready")
            finally:
                house.stop()
            assert in_vain.calls
            told = {answer.status for call in in_vain.calls for answer in call.answers}
            assert told == {503}
        assert "the database is read-only" in house.said() or "cannot open the database" in house.said()
        assert "Traceback" not in house.said()
    try:
        assert house.start(), house.said()
        house.wait_for_expiry()
        assert house.run("verify").returncode == 0
    finally:
        house.stop()
    facts = house.facts()
    assert Counter(check(call, facts.get(call.marker, [])) for call in load.calls)["acknowledged"] > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_under_load(tmp_path: Path, simulator_url: str, workers: int) -> None:
    """Full for a while, three times, once killed while it was: what was acknowledged is there, once."""
    house = House(put_prices(tmp_path), tmp_path, simulator_url, workers)
    house.prepare()
    key_id, secret = house.new_key("one")
    house.set_budget("one", "50", key_id)
    assert house.start(), house.said()
    load = Load(house.url, [secret], SEED)

    def fill_up() -> None:
        for time_s in (0.3, 1.0, 0.5):
            pids = house.worker_pids()
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            time.sleep(time_s)
            if time_s == 1.0:
                house.kill_all()
                assert house.start(), house.said()
            else:
                for pid in pids:
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, NO_LIMIT)
            time.sleep(1.5)

    try:
        asyncio.run(under_load(load, fill_up, after_s=1))
        house.wait_for_expiry()
        assert house.run("verify").returncode == 0
    finally:
        house.stop()
    facts = house.facts()
    told = Counter(check(call, facts.get(call.marker, [])) for call in load.calls)
    refused = sum(answer.status == 503 for call in load.calls for answer in call.answers)
    print(f"\n{workers} worker(s), seed {SEED}: {dict(told)}, 503 {refused} times")  # noqa: T201 - read by a person
    assert told["acknowledged"] > 0
    assert refused > 0
