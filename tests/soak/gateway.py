"""The real command line, whose workers count what they have and what they do, and tell it when asked.

    SOAK_LOOKS=FOLDER python tests/soak/gateway.py serve --port 4000 --workers 2

Once FOLDER/ask says N, each worker writes FOLDER/N-PID: its objects, its bytes of heap, its tasks, and the steps that
calls took so far. Steps are counted only while FOLDER/count is there: function calls of the event loop's thread,
instructions of SQLite, and statements of PostgreSQL.
"""

import ctypes
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import sqlalchemy as sa

from pertoken.__main__ import main
from pertoken.gateway import protocol
from pertoken.wiring import providers

VARIABLE = "SOAK_LOOKS"
POLL_S = 0.05
SQLITE_STEP = 10  # instructions between two counts
KEPT_MS = 500  # a provider's connection that nobody uses, so that there is none where all is counted


class Steps:
    """What calls took, in steps that are the same on every machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counting = False
        self.functions = 0
        self.database = 0

    def profile(self, _frame: FrameType, event: str, _arg: object) -> None:
        """Count a call of a function; the interpreter calls this."""
        if event in ("call", "c_call"):
            self.functions += 1

    def instruct(self) -> int:
        """Count SQLite's instructions; it calls this, and goes on where 0 is returned."""
        if self.counting:
            self.database += SQLITE_STEP
        return 0

    def execute(self, *_: object) -> None:
        """Count a statement; SQLAlchemy calls this."""
        if self.counting:
            self.database += 1

    def wrap(self, serve: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that serves a call; it looks whether to count."""

        async def outer(*args: Any) -> Any:
            sys.setprofile(self.profile if self.counting else None)
            return await serve(*args)

        return outer

    def watch(self) -> None:
        """Answer what is asked, for ever."""
        answered = ""
        while True:
            self.counting = (self.folder / "count").exists()
            ask = self.folder / "ask"
            asked = ask.read_text() if ask.exists() else ""
            if asked and asked != answered:
                answered = asked
                answer = self.folder / f"{asked}-{os.getpid()}"
                answer.with_suffix(".new").write_text(json.dumps(self._look()))
                answer.with_suffix(".new").rename(answer)
            time.sleep(POLL_S)

    def _look(self) -> dict[str, int]:
        gc.collect()
        objects = gc.get_objects()
        tasks = sum(type(one).__name__ == "Task" for one in objects)
        has = {"objects": len(objects), "blocks": sys.getallocatedblocks(), "heap_bytes": heap(), "tasks": tasks}
        return {**has, "functions": self.functions, "database": self.database}


class MallInfo(ctypes.Structure):
    """What glibc's mallinfo2 returns, all in bytes but the counts."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names.split())


def heap() -> int:
    """Return how many bytes are allocated now by the C library's account; 0 where it has none."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    mallinfo.restype = MallInfo
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def count(steps: Steps) -> None:
    """Put the counters in place, in each worker to come."""
    protocol._serve_safely = steps.wrap(protocol._serve_safely)
    providers.ClientLimits = partial(providers.ClientLimits, idle_keepalive_ms=KEPT_MS)  # type: ignore[misc, assignment, attr-defined]

    @sa.event.listens_for(sa.Pool, "connect")
    def _connect(connection: Any, _record: object) -> None:
        if hasattr(connection, "set_progress_handler"):
            connection.set_progress_handler(steps.instruct, SQLITE_STEP)
        else:
            sa.event.listen(sa.Engine, "before_cursor_execute", steps.execute)

    os.register_at_fork(after_in_child=lambda: threading.Thread(target=steps.watch, daemon=True).start())


if __name__ == "__main__":
    count(Steps(Path(os.environ[VARIABLE])))
    main()
