"""Answers /metrics and /health. On the path of a call, only integers are added.

Only one scrape runs at a time. Its figures are taken on the event loop; the rest runs on the control plane's threads.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable
from importlib.metadata import version

import msgspec
from starlette.types import Scope

from pertoken.api.app import Plane
from pertoken.api.problem import ApiRefused
from pertoken.core import tally
from pertoken.core.calls import CallLine
from pertoken.core.tally import CallTally, Snapshot, total
from pertoken.gateway.readers import ReadingProcesses
from pertoken.gateway.shared_counts import FiguresTaken, SharedCounts, as_bytes, of_bytes
from pertoken.gateway.viewers import JSON, PlainAnswer, Viewers, refusal
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.shares import Fullness, read_fullness
from pertoken.services.world import World

PATHS = frozenset({"/metrics", "/health"})
WRITE_S = 1.0  # how often a worker writes its figures

log = logging.getLogger("pertoken.gateway")


class WorkerCounts:
    """The figures of one process. They start with the figures of the worker that it replaces."""

    def __init__(self, shared: SharedCounts | None = None) -> None:
        self.shared = shared
        self.left = None if shared is None else shared.left()
        self.tally = CallTally() if self.left is None else CallTally(self.left.series, self.left.refusals)

    def told(self, log_line: Callable[[CallLine], None] | None) -> Callable[[CallLine], None]:
        """Return a function that counts the line of each call, and passes it to `log_line` if there is one."""
        count = self.tally.count
        if log_line is None:
            return count

        def tell(line: CallLine) -> None:
            count(line)
            log_line(line)

        return tell


class Monitor:
    """Answers /metrics and /health in one serving process."""

    def __init__(
        self, counter: WorkerCounts, world: World, plane: Plane, readers: ReadingProcesses, viewers: Viewers
    ) -> None:
        self._counter = counter
        self._world = world
        self._plane = plane
        self._readers = readers
        self._viewers = viewers
        self._turn = asyncio.Lock()
        self._numbers = itertools.count(1)
        self.connections: Callable[[], int] = lambda: 0

    async def answer(self, scope: Scope) -> PlainAnswer:
        """Answer a request for one of PATHS."""
        try:
            refused = await self._viewers.why_not(scope)
            if refused is not None:
                return refused
            async with self._turn:
                return await (self._metrics(scope) if scope["path"] == "/metrics" else self._health())
        except ApiRefused as busy:
            return refusal(503, str(busy))

    async def keep_writing(self) -> None:
        """Write the figures every WRITE_S for the other workers, forever. Without other workers, return at once."""
        while self._counter.shared is not None:
            await asyncio.sleep(WRITE_S)
            with contextlib.suppress(ApiRefused):
                await self._plane.in_thread(functools.partial(self._write, self._taken()))

    def write_last(self) -> None:
        """Write the final figures, after the last call."""
        self._write(self._taken())

    async def _metrics(self, scope: Scope) -> PlainAnswer:
        taken = self._taken()
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        text, content_type = await self._plane.in_thread(lambda: self._render(taken, accept))
        return 200, text, ((b"content-type", content_type.encode()),)

    async def _health(self) -> PlainAnswer:
        taken = self._taken()
        counts, standing = await self._plane.in_thread(lambda: (self._together(taken), self._standing()))
        ledger = self._world.ledger
        failure = ledger.cannot_settle or ledger.failure
        shown = {
            "status": "ready" if failure is None else "ready, on credit" if ledger.on_credit else "not ready",
            "reason": failure,
            "version": version("pertoken"),
            "compiled": is_compiled(),
            "workers": counts.workers,
            **counts.gauges,
            "open_holds": None if standing is None else standing.open_holds,
            "full_budgets": None if standing is None else sum(share.used >= 1 for share in standing.shares),
        }
        return 200, msgspec.json.encode(shown), (JSON,)

    def _taken(self) -> FiguresTaken:
        """Return the current figures of this process. This takes 0.3 ms with the largest number of series."""
        state, left = self._world.ledger.state(), self._counter.left
        gauges = {
            "commands_waiting": state.waiting,
            "readings_waiting": self._readers.waiting,
            "api_waiting": self._plane.waiting,
            "drains": self._world.drains.now,
            "connections": self.connections(),
            "owed_settlements": state.owed,
            "parked_settlements": state.parked,
        }
        if state.credit_left_picos is not None:
            gauges["credit_left_picos"] = state.credit_left_picos
        batches, commands, cpu_us = state.batches, state.commands, time.process_time_ns() // 1_000
        if left is not None:
            batches = tuple(was + more for was, more in zip(left.batches, batches, strict=True))
            commands, cpu_us = commands + left.commands, cpu_us + left.cpu_us
        counted = self._counter.tally
        at_us = self._world.clock.now_us()
        snapshot = Snapshot(at_us, counted.series, counted.refusals, commands, batches, cpu_us, gauges)
        return FiguresTaken(next(self._numbers), as_bytes(snapshot))

    # -- on a thread ---------------------------------------------------------------------------------------------------

    def _write(self, taken: FiguresTaken) -> None:
        if self._counter.shared is not None:
            try:
                self._counter.shared.write(taken)
            except OSError as error:
                log.error("what this worker counted cannot be written: %s", error)  # noqa: TRY400 - the message is enough

    def _together(self, taken: FiguresTaken) -> Snapshot:
        """Return the sum over all workers. This worker's figures are written first, so that the sum never falls."""
        shared = self._counter.shared
        own = of_bytes(taken.data)
        if shared is None:
            return total([own], own.at_us)
        self._write(taken)
        return total(shared.read_all(), own.at_us)

    def _standing(self) -> Fullness | None:
        try:
            with self._plane.store.read() as opened:
                return read_fullness(opened.archive, self._world.clock.now_us())
        except StoreUnavailable:
            return None

    def _render(self, taken: FiguresTaken, accept: str) -> tuple[bytes, str]:
        from pertoken.gateway.metrics import Report, render  # noqa: PLC0415 - most processes are never scraped

        failure = self._world.ledger.failure
        report = Report(self._together(taken), self._standing(), failure, version("pertoken"), is_compiled())
        return render(report, accept)


def is_compiled() -> bool:
    """Tell whether the modules of the call path are compiled."""
    return not str(tally.__file__).endswith(".py")
