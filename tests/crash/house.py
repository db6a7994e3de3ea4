"""One gateway that may die and live again: its processes, its database, and the proof that its books are right."""

import ctypes
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from tests.crash import gateway
from tests.e2e.conftest import HASHER, gateway_environ, is_running

from pertoken.services import budgets, keys
from pertoken.services.verify import verify
from pertoken.settings import load
from pertoken.store.administration import Administration
from pertoken.store.amounts import gather, pairs
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.schema import counters, events, holds, series
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.database import open_database

START_S = 120
PATIENCE_S = 120  # for what must come true: many processes may want the machine
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # of Linux
HOLD_S = 5  # and no less: a process that the machine leaves waiting must not look dead
GIVEN_UP_S = 0.5  # in which calls end whose clients hung up
LEASE_S = 5  # how long a gateway that died keeps others from looking
TOTAL_MS = 3_000  # a call ends, or is given up, long before its hold expires


class Sample(NamedTuple):
    """How a budget on a key stood at one instant: as its counter says, and as its events and holds say."""

    held: int
    spent: int
    held_by_holds: int
    spent_by_events: int


class House:
    """A gateway under test. `url` is the database's; the port stays the same over all its lives."""

    def __init__(self, url: str, folder: Path, simulator_url: str, workers: int = 1, **environ: str) -> None:
        self.folder = folder
        self.workers = workers
        self.database_url = url
        self.order = folder / "order"
        self._ahead = folder / "ahead"
        self._ahead_us = 0
        self._ahead.write_bytes(gateway.AHEAD.pack(0))
        self.port = 0
        self.lives = 0
        self.environ = gateway_environ(
            simulator_url,
            folder,
            PERTOKEN_DATABASE_URL=url,
            **{gateway.VARIABLE: str(self.order), gateway.AHEAD_VARIABLE: str(self._ahead)},
            **{"PERTOKEN_LIMITS__HOLD_S": str(HOLD_S), "PERTOKEN_LIMITS__TOTAL_MS": str(TOTAL_MS), **environ},
        )
        self.hold_s = int(self.environ["PERTOKEN_LIMITS__HOLD_S"])
        self.clock = SystemClock()
        self.may_look = threading.Lock()  # whoever holds it knows that only the gateway has the database open
        self._popen: subprocess.Popen[bytes] | None = None

    # -- processes ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where calls are answered."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._popen is not None
        return self._popen.pid

    def start(self, *, as_anybody: bool = False) -> bool:
        """Start it and wait until it listens. False: it ended instead; `said` tells why.

        With `as_anybody`, the permissions of files bind it even where the tests run as root.
        """
        self.lives += 1
        words = ["serve", "--port", str(self.port), "--workers", str(self.workers)]
        with self.log.open("wb") as sink:
            self._popen = subprocess.Popen(
                [sys.executable, gateway.__file__, *words],
                stdout=sink,
                stderr=sink,
                env={**os.environ, **self.environ},
                start_new_session=True,
                preexec_fn=_give_up_override if as_anybody else None,  # noqa: PLW1509 - no thread runs at that time
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            found = re.search(r"listening on http://\S+:(\d+)", self.said())
            if found:
                self.port = int(found[1])
                return True
            if not self.is_alive:
                return False
            time.sleep(0.02)
        raise AssertionError(f"neither started nor ended: {self.said()}")

    @property
    def log(self) -> Path:
        """The log of the present life."""
        return self.folder / f"gateway-{self.lives}.log"

    def said(self) -> str:
        """Return the log of the present life."""
        return self.log.read_text()

    def worker_pids(self) -> list[int]:
        """Return the workers that live now; with one worker, the process itself."""
        if self.workers == 1:
            return [self.pid] if self.is_alive else []
        with suppress(FileNotFoundError):
            return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    def kill(self, pid: int) -> None:
        """End one of its processes at once."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """End all of its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        assert self._popen is not None
        self._popen.wait(PATIENCE_S)

    def stop(self) -> int:
        """Ask it to end, as a service manager would; return its exit code."""
        assert self._popen is not None
        if self.is_alive:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                return self._popen.wait(30)
        self.kill_all()
        return self._popen.returncode

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the real command line on the same database."""
        command = [sys.executable, "-m", "pertoken", *words]
        environ = {**os.environ, **self.environ}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    # -- the database ------------------------------------------------------------------------------------------------

    @contextmanager
    def open(self) -> Iterator[Database]:
        """Yield the database; no connection is left behind."""
        database = Database(self.database_url)
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees one state."""
        with self.open() as database, database.read() as connection:
            yield connection

    @contextmanager
    def prepared(self) -> Iterator["House"]:
        """Make its database; in the end, stop what still runs."""
        self.prepare()
        try:
            yield self
        finally:
            if self.lives:
                self.stop()

    def prepare(self) -> None:
        """Make the database as the gateway would."""
        with open_database(load({**os.environ, **self.environ})):
            pass

    def new_key(self, name: str) -> tuple[str, str]:
        """Make a key; return its id and secret."""
        with self.open() as database, database.write() as connection:
            made = keys.create_key(Administration(connection), self.clock, HASHER, name)
        return made.key.key_id, made.secret

    def set_budget(self, name: str, limit: str, key_id: str, **fields: str) -> None:
        """Set a hard budget on a key; `fields` are those of `budgets.Wish`."""
        wish = budgets.Wish(name, limit, **{"window": "total", **fields}, scope={"key": key_id})
        with self.open() as database, database.write() as connection:
            budgets.set_budget(Administration(connection), self.clock, wish)

    def differences(self) -> list[dict[str, Any]]:
        """Return what verification finds wrong."""
        with self.read() as connection:
            return verify(Archive(connection), self.clock.now_us()).differences

    def sample(self, connection: sa.Connection, key_id: str, budget_id: str) -> Sample:
        """Return how a money budget on a key stands, from its counter and from first entries, at one instant."""
        counter = connection.execute(
            sa.select(*_sums(counters, "held", "spent")).where(counters.c.budget_id == budget_id)
        ).one()
        owned = sa.select(series.c.series_id).where(series.c.key_id == key_id)
        held = connection.execute(sa.select(*_sums(holds, "amount_picos")).where(holds.c.series_id.in_(owned))).one()
        spent = connection.execute(sa.select(*_sums(events, "cost_picos")).where(events.c.series_id.in_(owned))).one()
        return Sample(*gather([int(value or 0) for value in (*counter, *held, *spent)]))

    def facts(self) -> dict[str, list[Any]]:
        """Return all events by conversation: the name that the load gives to each of its calls."""
        found = defaultdict(list)
        with self.read() as connection:
            for event in Archive(connection).events():
                found[event.attribution.conversation or ""].append(event)
        return found

    def open_holds(self) -> list[Any]:
        """Return the holds that are open."""
        with self.read() as connection:
            return Archive(connection).open_holds()

    def pass_time(self, seconds: float) -> None:
        """Have the gateway's clock go on by so much at once."""
        self._ahead_us += int(seconds * 1_000_000)
        with self._ahead.open("r+b") as file:  # in place: the gateway has it mapped
            file.write(gateway.AHEAD.pack(self._ahead_us))

    def wait_for_expiry(self) -> None:
        """Let all the time pass that expiry may take, and wait until no hold is open."""
        time.sleep(GIVEN_UP_S)
        self.pass_time(self.hold_s + LEASE_S)
        deadline = time.monotonic() + START_S
        while (left := self.open_holds()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left, left


def _give_up_override() -> None:
    """Have the program that is started next do without root's right to write any file. Others never had it."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


WHOLE = ("all at once", "at the start")


def points(dice: random.Random, workers: int) -> Iterator[str]:
    """Yield where to kill, without end: each point once before any comes again.

    A gateway of one worker begins with one half of the points and a gateway of two with the other, so that a few kills
    of both are at every point.
    """
    known = [*gateway.POINTS, "any moment", *WHOLE, "the parent"]
    first, second = known[::2], known[1::2]
    assert "the parent" in second
    dice.shuffle(first)
    dice.shuffle(second)
    if workers > 1:
        return itertools.cycle([*second, *first])
    return itertools.cycle([*first, *(point for point in second if point != "the parent")])


class Killer:
    """Kills where it is its turn, what the dice say, and brings it back."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self._house = house
        self._dice = dice
        self._points = points(dice, house.workers)
        self.done: Counter[str] = Counter()

    def strike(self) -> None:
        """Kill once: at a named point, or just now; then see that the gateway serves again."""
        house, dice = self._house, self._dice
        point = next(self._points)
        quiet = dice.random() < 0.5  # nobody else has the file open: the gateway alone recovers it
        if quiet:
            house.may_look.acquire()
        try:
            if point == "any moment":
                house.kill(dice.choice(house.worker_pids()))
            elif point in WHOLE:
                house.kill_all()
            elif point == "the parent":
                workers = house.worker_pids()
                house.kill(house.pid)
                self._wait_for(lambda: not any(map(is_running, workers)))
            else:
                self._order(point, 1 if point == gateway.LOOKING else dice.randint(1, 8))
            self._revive(point)
        finally:
            if quiet:
                house.may_look.release()
        self.done[point] += 1

    def _order(self, point: str, count: int) -> None:
        """Order a kill at the count-th passage of a point, and wait until somebody has obeyed."""
        order = self._house.order
        draft = order.with_suffix(".draft")
        draft.write_text(f"{point} {count}")
        draft.rename(order)
        self._wait_for(lambda: not order.exists())

    def _revive(self, point: str) -> None:
        house = self._house
        if house.workers == 1 or point in (*WHOLE, "the parent"):
            self._wait_for(lambda: not house.is_alive)
            house.kill_all()
            if point == "at the start":
                house.order.write_text(f"{gateway.STATEMENT} {self._dice.randint(1, 3)}")
                assert not house.start(), "survived its own start"
            assert house.start(), house.said()
        else:
            self._wait_for(lambda: len(house.worker_pids()) == house.workers)

    def _wait_for(self, holds: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self._house.said()
            time.sleep(0.01)


def fetch(url: str) -> Any:
    """Ask the simulator."""
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


def _sums(table: sa.Table, *amounts: str) -> list[Any]:
    return [sa.func.sum(table.c[name]) for name in pairs(amounts)]
