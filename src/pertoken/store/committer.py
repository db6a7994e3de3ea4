"""Group commit: makes waiting commands durable together.

Callers on the event loop append a command and await its future. When the loop turns, everything that waits is taken as
one batch: `decide` runs at once, in memory, on the event loop's thread; a second thread only commits, with fsync; then
the futures are resolved. While one commit runs, the next batch gathers by itself: under load an fsync is shared.

Deciding on the second thread would cost more, since each statement hands Python's interpreter lock over and back: with
32 connections a call took about 16 times the CPU of a bare proxy then, and 12 times now. But slow decisions do
run on the second thread: a big batch, a wait for another process that writes, or a changed directory.

The database is the only authority: rows are read in the transaction that decides on them, so several processes can
share one file.
"""

import asyncio
import collections
import contextlib
import functools
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from pertoken.core import refusals
from pertoken.core.census import DEFAULTS, Bounds, Census
from pertoken.core.commands import (
    Command,
    Expire,
    Held,
    OpenHold,
    Record,
    RecordResult,
    Result,
    Settle,
    Settled,
    Void,
    Voided,
)
from pertoken.core.customers import UnknownRule
from pertoken.core.directory import Directory
from pertoken.core.events import Event, settled_late
from pertoken.core.periods import DAY_US
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.refusals import RefusedCalls
from pertoken.core.tally import BATCH_BITS, StoreState
from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.store import refusals as store_refusals
from pertoken.store import retention
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.credit import CreditLine
from pertoken.store.customers import CustomerMaker
from pertoken.store.database import Database
from pertoken.store.lease import Lease, LeaseLost
from pertoken.store.owed import Ending, Owed
from pertoken.store.retention import Kept
from pertoken.store.summing import Summing

QUEUE_MAX = 20_000
BATCH_MAX = 1_000
QUICK_MAX = 200  # commands that are decided on the event loop's thread; more would stop it for too long
PAUSE_S = 0.001  # between two tries while another process is writing, and after a batch where others write, too
TRIES_MAX = 20  # before the thread waits instead
TIDY_US = 600 * 1_000_000  # how often what is only kept for a time is removed
PARKED_US = 365 * DAY_US  # how far the expiry of a hold is put off whose settlement was parked
LOOK_S = 1.0  # how often changes, expired holds and owed settlements are looked for

log = logging.getLogger("pertoken.store")

_T = TypeVar("_T")

_Receive = Callable[[Result | StoreUnavailable], None]
_Waiting = tuple[Command, _Receive]
_Done = tuple[_Receive, Result | StoreUnavailable]


class HoldOwner(NamedTuple):
    """The process, as its holds name it. Holds of an owner that stopped expire after `ttl_us`."""

    name: str  # no other process' name, ever
    ttl_us: int
    call_us_max: int  # the longest that one call may take


def _resolve(future: "asyncio.Future[_T]", result: _T | StoreUnavailable) -> None:
    if future.cancelled():
        return
    if isinstance(result, StoreUnavailable):
        future.set_exception(result)
        future.exception()  # a caller that went away must not leave a warning behind
    else:
        future.set_result(result)


class _Together:
    """One who waits for what becomes of several events."""

    def __init__(self, future: "asyncio.Future[list[RecordResult]]", number: int) -> None:
        self.future = future
        self._number = number
        self._results: list[Result | StoreUnavailable] = []

    def receive(self, result: Result | StoreUnavailable) -> None:
        """Take the result of the next event, for they are done in their order; the last one ends the wait."""
        self._results.append(result)
        if len(self._results) == self._number:
            failed = next((one for one in self._results if isinstance(one, StoreUnavailable)), None)
            _resolve(self.future, failed or cast("list[RecordResult]", self._results))


class _Job(NamedTuple):
    """What the thread does next."""

    batch: Sequence[_Waiting]
    decided: list[Result] | None  # None: the thread must decide, too
    look: bool  # whether to look around as well
    refused: refusals.Batch | None = None  # to be written then


class Committer:
    """Makes commands durable. `start` once, `submit` from the event loop, `close` at the end.

    The bookkeeper has one user at a time: the thread while `_busy`, else the event loop.
    """

    def __init__(
        self,
        database: Database,
        now_us: Callable[[], int],
        sellers: Sellers,
        owner: HoldOwner,
        credit: CreditLine | None = None,
        *,
        owed: Owed | None = None,
        kept: Kept = Kept(),  # noqa: B008 - a value that does not change
        bounds: Bounds = DEFAULTS,
        customers: UnknownRule = UnknownRule(),  # noqa: B008 - a value that does not change
    ) -> None:
        self._database = database
        self._kept = kept
        self.census = Census(bounds)  # whom keys have named
        self.refused = RefusedCalls()  # what was refused and is not yet written; the event loop's
        self._bookkeeper = Bookkeeper(database, now_us, sellers, self.census, customers.unknown)
        self.owner = owner
        self._credit = credit
        self._lease = Lease(database, "housekeeping", owner.name)
        self._maker = CustomerMaker(database, customers)
        self._summing = Summing(database, now_us)
        self._kept_alive_at_us = 0
        self._now_us = now_us
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._owed = Owed() if owed is None else owed
        self._closed_to: dict[str, str] = {}  # provider -> why no call goes there
        self._unreadable: str | None = None  # which file of what is owed has lines that cannot be read
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._tries = 0  # to begin a batch while another process is writing
        self._busy = False  # a batch is on its way, or about to begin
        self._look_due = False
        self._tidied_at_us = 0
        self._looked_at_us = 0
        self._commands = 0  # that batches had so far
        self._batches = [0] * BATCH_BITS  # so far, by the bits of their size
        self._closing = False
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle
        self._committing = threading.Thread(target=self._run, name="committer", daemon=True)
        self.failure: str | None = None  # why the last transaction failed, None after one that wrote

    @property
    def directory(self) -> Directory:
        """Keys and budgets at their newest known revision."""
        return self._bookkeeper.directory

    @property
    def prices(self) -> PriceBook:
        """The price book at the same revision."""
        return self._bookkeeper.prices

    @property
    def on_credit(self) -> bool:
        """Whether calls are served although the store does not work."""
        return self.failure is not None and self._credit is not None and self._credit.left_picos > 0

    @property
    def cannot_settle(self) -> str | None:
        """Why calls to some provider could not be settled and are refused, or what is owed cannot be read, or None."""
        return next(iter(self._closed_to.values()), self._unreadable)

    def state(self) -> StoreState:
        """Return what waits, what is owed, and what was committed so far."""
        credit = None if self._credit is None else self._credit.left_picos
        owed = len(self._owed)
        parked = len(self._owed.parked) if owed else 0
        return StoreState(len(self._waiting), owed, parked, credit, self._commands, tuple(self._batches))

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the directory and start the thread. Raises StoreFailed when the database cannot be read.

        What expired meanwhile is let go first: a process that dies again and again, sooner than it would look, must
        not keep money held.
        """
        self._loop = loop
        self._bookkeeper.refresh()
        self._owed.take_over()
        if self._credit is not None:
            for command in self._credit.take_over():
                self._owed.keep(command, "it was served on credit")
        self._look_around()
        self._committing.start()
        self._timer = loop.call_later(LOOK_S, self._look_soon)

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Return a future of the command's own result, resolved when it is on disk. Fails with StoreUnavailable."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._closed_to and isinstance(command, OpenHold):
            reason = self._closed_to.get(command.hold.attribution.provider or "")
            if reason is not None:
                _resolve(future, StoreUnavailable(reason))
                return future
        self._queue([(command, functools.partial(_resolve, future))])
        return future

    def record_all(self, events: Sequence[Event]) -> "asyncio.Future[list[RecordResult]]":
        """Return a future of what became of each event, resolved when all are on disk.

        Fails with StoreUnavailable where one of them could not be done; the others may have been. One future for all
        spares 2 us an event.
        """
        together = _Together(self._loop.create_future(), len(events))
        if not events:
            together.future.set_result([])
        self._queue([(Record(event), together.receive) for event in events])
        return together.future

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._closing = True
        self._timer.cancel()
        self._turn()
        await asyncio.to_thread(self._committing.join)
        await asyncio.to_thread(self._summing.close)
        await asyncio.to_thread(self._save_refused, self.refused.take())
        self._bookkeeper.close()
        self._owed.close()

    # -- on the event loop -------------------------------------------------------------------------------------------

    def _queue(self, waiting: Sequence[_Waiting]) -> None:
        """Have commands wait for the next batch, all or none."""
        if len(self._waiting) + len(waiting) > QUEUE_MAX or self._closing:
            unavailable = StoreUnavailable("closing" if self._closing else "too many calls wait for the store")
            for _, receive in waiting:
                receive(unavailable)
            return
        self._waiting.extend(waiting)
        self._turn()

    def _turn(self) -> None:
        """See that a batch begins when the loop turns, so that all that is submitted in this turn comes along."""
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Take what waits, decide it here if that is quick, and leave the rest to the thread."""
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), BATCH_MAX))]
        look, self._look_due = self._look_due, False
        if not batch and not look:
            if self._closing:
                self._jobs.put(None)
            else:
                self._busy = False
            return
        decided = None
        if 0 < len(batch) <= QUICK_MAX:
            with contextlib.suppress(StoreFailed):  # the thread tries again, and deals with it
                decided = self._bookkeeper.decide([command for command, _ in batch], wait=False)
            if decided is None and self._bookkeeper.others_write and self._tries < TRIES_MAX:
                self._tries += 1
                self._look_due = look
                waiting.extendleft(reversed(batch))
                self._loop.call_later(PAUSE_S, self._begin)
                return
        self._tries = 0
        if batch:
            self._commands += len(batch)
            self._batches[len(batch).bit_length()] += 1
        self._jobs.put(_Job(batch, decided, look, self.refused.take() if look else None))

    def _finished(self, done: Sequence[_Done]) -> None:
        """Give the results of a batch to those who wait; the next begins after they have run."""
        for receive, result in done:
            receive(result)
        if self._bookkeeper.is_shared:
            self._loop.call_later(PAUSE_S, self._begin)  # the others' turn; ours gathers meanwhile
        else:
            self._loop.call_soon(self._begin)

    def _look_soon(self) -> None:
        self._look_due = True
        self._turn()
        self._timer = self._loop.call_later(LOOK_S, self._look_soon)

    # -- on the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            done = self._commit(job.batch, job.decided) if job.batch else []
            if job.look:
                try:
                    self._look_around()
                    self._save_refused(job.refused)
                except Exception:  # whoever waits for a commit would wait for ever if this thread ended
                    log.exception("housekeeping failed because of a bug in pertoken")
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._finished, done)
        self._pay_owed()

    def _commit(self, batch: Sequence[_Waiting], decided: list[Result] | None = None) -> list[_Done]:
        try:
            if decided is None:
                decided = self._bookkeeper.decide([command for command, _ in batch])
                assert decided is not None
            if self._bookkeeper.commit():
                self.failure = None
        except StoreFailed as failure:
            return self._fail(batch, failure)
        self._give_back(command for command, _ in batch)
        return [(receive, result) for (_, receive), result in zip(batch, decided, strict=True)]

    def _give_back(self, commands: Iterable[Command]) -> None:
        """Give back the credit of calls that the books have now."""
        if self._credit is not None:
            for command in commands:
                if isinstance(command, Settle | Void):
                    self._credit.posted(command.hold_id)

    def _fail(self, batch: Sequence[_Waiting], failure: StoreFailed) -> list[_Done]:
        """Answer each command of a failed batch: alone if it can be, else unavailable; what is owed is kept."""
        if len(batch) > 1 and failure.is_one_row:
            return [done for one in batch for done in self._commit([one])]  # the others must not suffer
        self._note(failure)
        return [(receive, self._without_store(command, failure)) for command, receive in batch]

    def _without_store(self, command: Command, failure: StoreFailed) -> Result | StoreUnavailable:
        """Keep what a settlement says, and serve a call on credit where the operator has opened a line of it."""
        unavailable = StoreUnavailable(str(failure))
        if isinstance(command, Settle | Void):
            self._owe(command, failure)
        credit = self._credit
        if credit is None:
            return unavailable
        if isinstance(command, OpenHold) and command.claim is None and credit.grant(command.hold):
            return Held(None)
        if isinstance(command, Settle) and credit.settle(command):
            return Settled(settled_late(command.event), None)
        if isinstance(command, Void) and credit.release(command.hold_id):
            return Voided()
        return unavailable

    def _note(self, failure: StoreFailed) -> None:
        """Log why the store fails, once for each distinct failure, because every call would repeat it."""
        if self.failure != str(failure):
            self.failure = str(failure)
            log.error("the store fails: %s", failure)

    def _owe(self, command: Ending, failure: StoreFailed) -> None:
        """Keep a settlement that could not be written; it is tried again until it is, and logged in full meanwhile.

        One that a store which works did not take is parked.
        """
        if isinstance(command, Settle):
            event = command.event
            text = json.dumps({"call_id": command.hold_id, "cost_picos": event.cost_picos, **event.quantities})
            log.error("settlement not yet on disk, will be retried: %s", text)
        self._owed.keep(command, str(failure), failure.is_one_row)
        if failure.is_one_row:
            with contextlib.suppress(StoreFailed):  # `_look_around` tries again
                self._close(self._now_us())

    def _pay_owed(self) -> None:
        """Write what could not be written before, all at once; where one row is at fault, one by one."""
        paid = self._pay(self._owed.due(self._now_us()))
        if paid:
            self.failure = None
            log.warning("%d settlements that were owed are on disk now", paid)

    def _pay(self, owed: Sequence[Ending]) -> int:
        if not owed:
            return 0
        try:
            self._bookkeeper.end_all(owed)
        except StoreFailed as failure:
            if failure.is_one_row and len(owed) > 1:
                return sum(self._pay([command]) for command in owed)
            self._note(failure)
            if failure.is_one_row:
                self._owed.keep(owed[0], str(failure), parked=True)
            return 0
        self._owed.posted(owed)
        self._give_back(owed)
        return len(owed)

    def _close(self, now_us: int) -> None:
        """Send no call to a provider whose calls cannot be settled, and keep the holds open of those that were parked.

        That is where a settlement was parked, or an account is a tenth full. Raises StoreFailed.
        """
        parked = self._owed.parked
        closed = {}
        for one in parked:
            what = f"the settlement of {one.command.hold_id} cannot be posted: {one.reason}"
            closed[one.provider] = f"no call goes to {one.provider}: {what}; see: pertoken doctor"
        self._closed_to = self._closed_to | closed  # before what may fail
        if parked:
            self._bookkeeper.put_off([one.command.hold_id for one in parked], now_us + PARKED_US)
        for provider, currency in self._bookkeeper.full_accounts():
            what = f"its account in {currency} is full"
            closed[provider] = f"no call goes to {provider}: {what}; see: pertoken doctor"
        self._closed_to = closed

    def _look_around(self) -> None:
        """Settle what is owed, read a changed directory, keep our holds alive; one process does the rest for all."""
        self._pay_owed()
        self._look_for_unreadable()
        now_us = self._now_us()
        try:
            if self.failure is not None:
                self._bookkeeper.prove()
            self._bookkeeper.refresh()
            self._close(now_us)
            self._keep_alive(now_us)
            if self._lease.hold(now_us):
                self._keep_house(now_us)
        except LeaseLost as lost:
            log.warning("%s: this process leaves the rest to that one", lost)
        except StoreFailed as failure:
            self._note(failure)
        else:
            self.failure = None

    def _look_for_unreadable(self) -> None:
        """See whether a file of what is owed has lines that cannot be read, which only a person can mend."""
        found = [*self._owed.unreadable, *(() if self._credit is None else self._credit.unreadable)]
        self._unreadable = f"{found[0]} has lines that cannot be read; see: pertoken doctor" if found else None

    def _save_refused(self, batch: refusals.Batch | None) -> None:
        """Write which calls were refused; where the store fails, that is kept in memory until it works."""
        if batch is None:
            return
        try:
            with self._database.write() as connection:
                store_refusals.save(connection, self._database.sql, batch)
        except StoreFailed as failure:
            self._note(failure)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.refused.put_back, batch)

    def _keep_alive(self, now_us: int) -> None:
        """Put off the expiry of our holds: they expire when we stop doing so, or when no call can be behind them."""
        owner = self.owner
        if not 0 <= now_us - self._kept_alive_at_us < owner.ttl_us // 4:  # also after the clock went back
            self._kept_alive_at_us = now_us
            opened_after_us = now_us - owner.call_us_max
            self._bookkeeper.pull_in(now_us, now_us + owner.ttl_us)
            self._bookkeeper.keep_alive(owner.name, now_us + owner.ttl_us // 2, now_us + owner.ttl_us, opened_after_us)

    def _keep_house(self, now_us: int) -> None:
        """Let expired holds go, remove what is only kept for a time, have days summed that are over, make customers.

        Not at once after the clock has jumped: what is removed by a wrong one is gone when it is set right.
        """
        if self._looked_at_us and not 0 <= now_us - self._looked_at_us <= TIDY_US:
            self._tidied_at_us = now_us
        self._looked_at_us = now_us
        if not 0 <= now_us - self._tidied_at_us <= TIDY_US:
            self._tidied_at_us = now_us
            with self._database.write() as connection:
                self._lease.guard(connection)
                if retention.forget_old(connection, now_us, self._kept):
                    self._tidied_at_us = 0  # there is more
        self._summing.wake()
        self._maker.make_new(now_us, self._lease)
        gone = self._bookkeeper.expired_holds(now_us)
        if gone:  # needs no guard: a hold that was put off or ended meanwhile is left alone
            self._bookkeeper.end_all(
                [Expire(hold.hold_id, hold.attribution, hold.opened_at_us, now_us) for hold in gone]
            )
            log.warning("%d holds expired, the first: %s", len(gone), gone[0].hold_id)
