"""The real command line, that kills its own process where a file tells it to, on a clock that a file sets ahead.

    CRASH_ORDER=FILE CRASH_AHEAD=FILE python tests/crash/gateway.py serve --port 4000

Once FILE says "POINT N", the process that is the first to pass POINT for the N-th time from then on takes the file
away and ends by SIGKILL there: no handler runs, nothing is flushed. Workers obey as well; one order kills one process.

The other file is a number of microseconds, 8 bytes: how far the clock of this process is ahead of the machine's.
"""

import functools
import mmap
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pertoken.__main__ import main
from pertoken.gateway.exchange import HotExchange
from pertoken.services import serve
from pertoken.services.call import attempt
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.wiring.clock import SystemClock

VARIABLE = "CRASH_ORDER"
AHEAD_VARIABLE = "CRASH_AHEAD"
AHEAD = struct.Struct("q")
BEFORE_DECIDE = "before-decide"
DECIDED = "decided"  # rows are written, the transaction is open
COMMITTED = "committed"  # on disk, nobody was told
HELD = "held"  # about to forward
STREAMING = "streaming"  # some of the answer is with the client
ANSWERED = "answered"  # the provider has done its work, nothing is settled
SETTLED = "settled"  # all is on disk, the client has not the last byte
LOOKING = "looking"  # expired holds are found, not let go
STATEMENT = "statement"  # any statement that does not belong to a call: migrations, prices, the directory
POINTS = (BEFORE_DECIDE, DECIDED, COMMITTED, HELD, STREAMING, ANSWERED, SETTLED, LOOKING)


class Order:
    """What the file says, and how often this process has passed that point since it says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: tuple[str, int] | None = None
        self._passed = 0

    def passes(self, point: str) -> None:
        """Tell that the process is at `point`; it may be its last."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            self._said = None
            return
        name, count = text.split()
        said = (name, int(count))
        if said != self._said:
            self._said, self._passed = said, 0
        if name != point:
            return
        self._passed += 1
        if self._passed >= said[1] and self._take():
            os.kill(os.getpid(), signal.SIGKILL)

    def _take(self) -> bool:
        """Take the order away; False where another process was faster."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


def wrap(holder: Any, name: str, *, before: Callable[[], None] | None, after: Callable[[], None] | None) -> None:
    """Have a function, or method, call `before` and `after`; `after` not where it raises."""
    inner = getattr(holder, name)

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before()
        result = inner(*args, **kwargs)
        if after is not None:
            after()
        return result

    @functools.wraps(inner)
    async def outer_async(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before()
        result = await inner(*args, **kwargs)
        if after is not None:
            after()
        return result

    is_async = inner.__code__.co_flags & 0x80
    setattr(holder, name, outer_async if is_async else outer)


def arm(order: Order) -> None:
    """Put every point in its place."""

    def at(point: str) -> Callable[[], None]:
        return functools.partial(order.passes, point)

    wrap(Bookkeeper, "decide", before=at(BEFORE_DECIDE), after=None)
    wrap(Bookkeeper, "commit", before=at(DECIDED), after=at(COMMITTED))
    wrap(Bookkeeper, "expired_holds", before=None, after=at(LOOKING))
    wrap(attempt, "forward", before=at(HELD), after=None)
    wrap(serve, "settle", before=at(ANSWERED), after=at(SETTLED))
    wrap(HotExchange, "write", before=None, after=at(STREAMING))

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def _execute(*_: object) -> None:
        order.passes(STATEMENT)


def set_ahead(path: Path) -> None:
    """Have the clock be ahead by what the file says, whenever it is asked."""
    with path.open("rb") as file:
        ahead = mmap.mmap(file.fileno(), AHEAD.size, access=mmap.ACCESS_READ)
    now_us = SystemClock.now_us

    def now_ahead_us(clock: SystemClock) -> int:
        return now_us(clock) + int(AHEAD.unpack_from(ahead)[0])

    SystemClock.now_us = now_ahead_us  # type: ignore[method-assign]


if __name__ == "__main__":
    set_ahead(Path(os.environ[AHEAD_VARIABLE]))
    arm(Order(Path(os.environ[VARIABLE])))
    main()
