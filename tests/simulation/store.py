"""The real committer and bookkeeper on a real database, without a thread, and with a store that fails when told to.

All that decides is production code: batches, what fails alone, what is owed, expiry, the lease. Only the thread is
replaced: its jobs run at once, and what it acknowledges comes a moment later.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pertoken.core.commands import Command, Result
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.store.backend import HotWriter
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.committer import LOOK_S, Committer, HoldOwner, _Job
from pertoken.store.database import Database
from pertoken.store.owed import Owed

Journal = list[tuple[Command, Result]]


class Faults:
    """Counts every step that the store takes, and fails the one it is told to, and perhaps some after it."""

    def __init__(self, first: int | None = None, again: float = 0.0, seed: int = 0) -> None:
        self._first = first
        self._again = again  # how likely each later step fails as well
        self._random = random.Random(seed)
        self.steps = 0
        self.on = True

    @property
    def met(self) -> bool:
        """Whether the step that was to fail has been taken."""
        return self._first is not None and self.steps >= self._first

    def step(self) -> bool:
        """Take a step; tell whether it fails."""
        if not self.on:
            return False
        self.steps += 1
        if self._first is None or self.steps < self._first:
            return False
        return self.steps == self._first or self._random.random() < self._again


class _Cursor:
    """A cursor whose statements are steps."""

    def __init__(self, cursor: Any, faults: Faults, error: type[Exception]) -> None:
        self._cursor = cursor
        self._faults = faults
        self._error = error

    def execute(self, *arguments: Any) -> Any:
        """Take a step."""
        self._step()
        return self._cursor.execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        """Take a step."""
        self._step()
        return self._cursor.executemany(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def _step(self) -> None:
        if self._faults.step():
            raise self._error("simulated failure of a statement")


class _Writer:
    """A writer whose transactions fail at the beginning, inside, before they are durable, or just after."""

    def __init__(self, writer: HotWriter, faults: Faults, committed: Callable[[], None]) -> None:
        self._writer = writer
        self._faults = faults
        self._committed = committed
        self.error = writer.error

    @property
    def cursor(self) -> Any:
        return _Cursor(self._writer.cursor, self._faults, self.error)

    def begin(self, *, wait: bool) -> bool:
        if self._faults.step():
            raise self._failed("of a begin")
        return self._writer.begin(wait=wait)

    def cover(self, times_us: Iterable[int]) -> None:
        if self._faults.step():
            raise self.error("simulated failure of a cover")
        self._writer.cover(times_us)

    def commit(self) -> None:
        if self._faults.step():
            raise self._failed("before the commit")
        self._writer.commit()
        self._committed()
        if self._faults.step():  # durable, and nobody is told
            raise self._failed("after the commit")

    def _failed(self, when: str) -> StoreFailed:
        return self._writer.failed(self.error(f"simulated failure {when}"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class _Bookkeeper(Bookkeeper):
    """Tells the journal what is durable."""

    def __init__(self, database: Database, now_us: Callable[[], int], faults: Faults, journal: Journal) -> None:
        super().__init__(database, now_us, Sellers())
        self._journal = journal
        self._pending: Journal = []
        self._writer: Any = _Writer(self._writer, faults, self._note)

    def decide(self, commands: Sequence[Command], *, wait: bool = True) -> list[Result] | None:
        results = super().decide(commands, wait=wait)
        self._pending = [] if results is None else list(zip(commands, results, strict=True))
        return results

    def _note(self) -> None:
        self._journal += self._pending
        self._pending = []


class FaultyDatabase(Database):
    """A database whose other transactions are steps, too."""

    def __init__(self, url: str, faults: Faults) -> None:
        super().__init__(url, synced=False)  # no run loses its machine
        self._faults = faults

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Take a step, then write."""
        self._step()
        with super().write() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Take a step, then read."""
        self._step()
        with super().read() as connection:
            yield connection

    def _step(self) -> None:
        if self._faults.step():
            raise StoreFailed("simulated failure of the database")


class _Thread:
    """Stands for the committer's thread and its queue of jobs."""

    def __init__(self, committer: "SimulatedCommitter", chance: random.Random) -> None:
        self._committer = committer
        self._chance = chance

    def put(self, job: _Job | None) -> None:
        """Do a job at once, and say so a moment later."""
        if job is None:
            return
        committer = self._committer
        done = committer._commit(job.batch, job.decided) if job.batch else []
        if job.look:
            committer._look_around()
        if not committer.is_dead:
            committer._loop.call_later(self._chance.uniform(0.0005, 0.01), self._acknowledge, done)

    def _acknowledge(self, done: Any) -> None:
        if not self._committer.is_dead:
            self._committer._finished(done)


class SimulatedCommitter(Committer):
    """The committer of one worker."""

    def __init__(
        self,
        database: FaultyDatabase,
        now_us: Callable[[], int],
        owner: HoldOwner,
        journal: Journal,
        chance: random.Random,
        folder: Path,
    ) -> None:
        super().__init__(database, now_us, Sellers(), owner, owed=Owed(folder, owner.name))
        self._bookkeeper.close()
        self._bookkeeper = _Bookkeeper(database, now_us, database._faults, journal)
        self._jobs: Any = _Thread(self, chance)
        self.is_dead = False

    def start(self, loop: Any) -> None:
        """Begin to take commands. Raises StoreFailed."""
        self._loop = loop
        self._bookkeeper.refresh()
        self._owed.take_over()
        self._look_around()
        self._timer = loop.call_later(LOOK_S, self._look_soon)

    def die(self) -> None:
        """End as a killed process does: nothing more is written, nothing is said, what is owed is in its file."""
        self.is_dead = True
        self._timer.cancel()
        self._bookkeeper.close()
        self._owed.close()

    @property
    def owes(self) -> bool:
        """Whether a settlement still waits for the store."""
        return bool(self._owed)
