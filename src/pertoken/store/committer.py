"""Group commit: one thread that makes waiting commands durable together.

Callers on the event loop append a command and await its future. The thread takes everything that waits, opens one
transaction, loads the touched rows, lets `core.ledger` decide, writes, commits with fsync, and only then resolves the
futures. While one commit runs, the next batch gathers by itself: under load the cost of an fsync is shared.

The database is the only authority: rows are read in the transaction that decides on them, so several processes can
share one file.
"""

import asyncio
import collections
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence

from pertoken.core.directory import Directory
from pertoken.core.ledger import Command, Expire, Result, Settle, Void
from pertoken.core.prices import PriceBook
from pertoken.ports import StoreUnavailable
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database, StoreFailed

QUEUE_MAX = 20_000
BATCH_MAX = 1_000
OWED_MAX = 20_000
IDLE_S = 1.0  # how long the thread sleeps when nothing waits, before it looks for changes and expired holds

log = logging.getLogger("pertoken.store")

_Waiting = tuple[Command, "asyncio.Future[Result]"]
_Done = tuple["asyncio.Future[Result]", Result | StoreUnavailable]


class Committer:
    """Makes commands durable. `start` once, `submit` from the event loop, `close` at the end."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._bookkeeper = Bookkeeper(database, now_us)
        self._now_us = now_us
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._owed: collections.deque[Command] = collections.deque()
        self._wake = threading.Event()
        self._closing = False
        self._looked_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self.failure: str | None = None  # why the last transaction failed, None after one that did not

    @property
    def directory(self) -> Directory:
        """Keys and budgets at their newest known revision."""
        return self._bookkeeper.directory

    @property
    def prices(self) -> PriceBook:
        """The price book at the same revision."""
        return self._bookkeeper.prices

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the directory and start the thread. Raises StoreFailed when the database cannot be read."""
        self._loop = loop
        self._bookkeeper.refresh()
        self._thread.start()

    def submit(self, command: Command) -> "asyncio.Future[Result]":
        """Return a future of the result, resolved when the command is on disk. Fails with StoreUnavailable."""
        assert self._loop is not None
        future: asyncio.Future[Result] = self._loop.create_future()
        if len(self._waiting) >= QUEUE_MAX or self._closing:
            future.set_exception(
                StoreUnavailable("too many calls wait for the store" if not self._closing else "closing")
            )
            return future
        self._waiting.append((command, future))
        if not self._wake.is_set():
            self._wake.set()
        return future

    def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._bookkeeper.close()

    def _run(self) -> None:
        while True:
            self._wake.wait(IDLE_S)
            self._wake.clear()
            if self._waiting:
                self._commit(self._take())
                if self._waiting:
                    self._wake.set()
            if time.monotonic() - self._looked_at >= IDLE_S:
                self._look_around()
            if self._closing and not self._waiting:
                self._pay_owed()
                return

    def _take(self) -> list[_Waiting]:
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(len(waiting), BATCH_MAX))]

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            results = self._bookkeeper.transact([command for command, _ in batch])
        except StoreFailed as failure:
            self._fail(batch, failure)
            return
        self.failure = None
        self._resolve([(future, result) for (_, future), result in zip(batch, results, strict=True)])

    def _fail(self, batch: Sequence[_Waiting], failure: StoreFailed) -> None:
        """Answer each command of a failed batch: alone if it can be, else unavailable; what is owed is kept."""
        if len(batch) > 1 and failure.is_one_row:
            for one in batch:  # one command does not fit its row: the others must not suffer
                self._commit([one])
            return
        self.failure = str(failure)
        log.error("%d commands failed: %s", len(batch), failure)
        for command, _ in batch:
            if isinstance(command, Settle | Void):
                self._owe(command)
        self._resolve([(future, StoreUnavailable(str(failure))) for _, future in batch])

    def _owe(self, command: Settle | Void) -> None:
        """Keep a settlement that could not be written; it is tried again until it is, and logged in full meanwhile."""
        if isinstance(command, Settle):
            event = command.event
            text = json.dumps({"call_id": command.hold_id, "cost_picos": event.cost_picos, **event.quantities})
            log.error("settlement not yet on disk, will be retried: %s", text)
        if len(self._owed) < OWED_MAX:
            self._owed.append(command)

    def _pay_owed(self) -> None:
        if not self._owed:
            return
        owed = list(self._owed)
        try:
            self._bookkeeper.transact(owed)
        except StoreFailed as failure:
            self.failure = str(failure)
            return
        self.failure = None
        self._owed.clear()
        log.warning("%d settlements that were owed are on disk now", len(owed))

    def _look_around(self) -> None:
        """Once a second: settle what is owed, read a changed directory, let expired holds go."""
        self._looked_at = time.monotonic()
        self._pay_owed()
        try:
            self._bookkeeper.refresh()
            now_us = self._now_us()
            gone = self._bookkeeper.expired_holds(now_us)
            if gone:
                self._bookkeeper.transact(
                    [Expire(hold.hold_id, hold.attribution, hold.opened_at_us, now_us) for hold in gone]
                )
                log.warning("%d holds expired, the first: %s", len(gone), gone[0].hold_id)
        except StoreFailed as failure:
            self.failure = str(failure)
            log.error("the store failed: %s", failure)  # noqa: TRY400 - the reason says it all, a trace adds nothing
        else:
            self.failure = None

    def _resolve(self, done: Sequence[_Done]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve_all, done)


def _resolve_all(done: Sequence[_Done]) -> None:
    for future, result in done:
        if future.cancelled():
            continue
        if isinstance(result, StoreUnavailable):
            future.set_exception(result)
            future.exception()  # a caller that went away must not leave a warning behind
        else:
            future.set_result(result)
