"""Several gateway processes on one port and one database: `pertoken serve --workers N`.

Each worker is a complete gateway; they share only the database, which decides. The parent holds a listening socket for
each worker, and the kernel distributes connections among the sockets (SO_REUSEPORT). If a worker dies, only the calls
that it was serving are lost: its replacement takes over the socket, and its open holds expire. If the parent dies, its
workers settle and end.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

from pertoken.gateway.server import BACKLOG, SHUTDOWN_S, say_address, serve_on
from pertoken.gateway.shared_counts import SharedCounts
from pertoken.settings import Settings
from pertoken.wiring.database import open_database

log = logging.getLogger("pertoken.workers")

POLL_S = 0.2
RESTART_S = 1.0  # the least time between two starts of a worker, so that one that cannot start does not spin


def run(settings: Settings, host: str, port: int, count: int) -> None:
    """Serve with `count` workers until SIGINT or SIGTERM. All workers settle first. Raises StoreFailed or OSError."""
    with open_database(settings):
        pass  # created, migrated and filled once, before the workers share it
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(_listen(host, port))]
        address = listeners[0].getsockname()[:2]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pertoken-counts-")))  # private
        listeners += [stack.enter_context(_listen(*address)) for _ in range(count - 1)]
        _Parent(settings, listeners, folder).run()


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=BACKLOG, reuse_port=True)


class _Parent:
    """Starts the workers, replaces those that die, and ends all of them on a signal."""

    def __init__(self, settings: Settings, listeners: list[socket.socket], folder: Path) -> None:
        self._settings = settings
        self._folder = folder  # for the figures of the workers
        self._listeners = listeners
        self._workers: dict[int, int] = {}  # process id -> index of its listener
        self._started_at: dict[int, float] = {}  # index -> time of its last start
        self._ending = False
        self._ready, self._says_ready = os.pipe()
        os.set_blocking(self._says_ready, False)  # restarted workers have no reader
        self._ends_with_parent, self._parent_lives = os.pipe()  # only the parent keeps the second end open

    def run(self) -> None:
        """Run until every worker has ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        for place in range(len(self._listeners)):
            self._start(place)
        waiting = len(self._listeners)
        while self._workers:
            if waiting and select.select([self._ready], [], [], POLL_S)[0]:
                waiting = max(0, waiting - len(os.read(self._ready, waiting)))
                if not waiting and not self._ending:
                    say_address(self._listeners[0], self._settings)
            pid, status = os.waitpid(-1, os.WNOHANG if waiting else 0)
            place = self._workers.pop(pid, -1)
            if place < 0 or self._ending:
                continue
            log.error("worker %d ended (%s): starting another", pid, _said(status))
            time.sleep(max(0.0, self._started_at[place] + RESTART_S - time.monotonic()))
            if not self._ending:
                self._start(place)

    def _start(self, place: int) -> None:
        self._started_at[place] = time.monotonic()
        pid = os.fork()
        if pid:
            self._workers[pid] = place
            return
        code = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for other, listener in enumerate(self._listeners):
                if other != place:
                    listener.close()
            os.close(self._parent_lives)
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            counts = SharedCounts(self._folder, place)
            serve_on(self._listeners[place], self._settings, self._say_ready, counts)
            code = 0
        except KeyboardInterrupt:
            code = 0
        except BaseException:
            log.exception("a worker failed")
        finally:
            logging.shutdown()
            os._exit(code)

    def _end_with_parent(self) -> None:
        """Wait until the parent has ended, then end this worker. An orphan would keep the port from a new gateway."""
        os.read(self._ends_with_parent, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _say_ready(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._says_ready, b".")

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        """Ask every worker to end. Workers that take longer than SHUTDOWN_S + 10 seconds are killed."""
        if self._ending:
            return
        self._ending = True
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, self._kill)
        signal.alarm(SHUTDOWN_S + 10)

    def _kill(self, _number: int, _frame: FrameType | None) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _said(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
