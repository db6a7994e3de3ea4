"""Shows the progress of a long command on stderr, only on a terminal, and only after two seconds.

It never writes to stdout. The module that draws is imported only after the two seconds.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO, TypeVar

from pertoken.core.texts import escaped

if TYPE_CHECKING:
    from pertoken.cli.progress_bar import ProgressBar

WAIT_S = 2.0

T = TypeVar("T")


class Timer(Protocol):
    """A timer: calls a function once, later, on its own thread."""

    daemon: bool

    def start(self) -> None:
        """Start the timer."""

    def cancel(self) -> None:
        """Stop the timer."""


class Progress:
    """The current task and its progress; shown from WAIT_S after entering the context until leaving it."""

    def __init__(
        self,
        doing: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
    ) -> None:
        """Name the task, for people; `total` is the amount of work, None if it is unknown."""
        self.doing, self.total, self.done = doing, total, 0
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._timer = timer(WAIT_S, self._show) if self._stream.isatty() else None
        self._bar: ProgressBar | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        self._is_open = True
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._is_open = False
            self._hide()

    def begin(self, doing: str, total: int | None = None) -> None:
        """Begin another task, with nothing done."""
        self.doing, self.total, self.done = doing, total, 0

    def add(self, number: int = 1) -> None:
        """Add to the amount of work done."""
        self.done += number

    def see(self, doing: str, total: int | None = None) -> None:
        """Add one to the work done of the task `doing`; a new name begins another task."""
        if doing != self.doing:
            self.begin(doing, total)
        self.done += 1

    def over(self, items: Iterable[T], done: Callable[[], int] | None = None) -> Iterator[T]:
        """Yield the items. When the next one is requested, the last one is done, or as much as `done` says."""
        if self._timer is None:  # there is no terminal
            yield from items
            return
        for item in items:
            yield item
            self.done = self.done + 1 if done is None else done()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the bar while something else is printed, which may go to the same terminal."""
        with self._lock:
            was_shown = self._bar is not None
            self._hide()
            yield
            if was_shown:
                self._draw()

    def text(self) -> str:
        """Return the name of the current task, escaped."""
        return escaped(self.doing)

    def _show(self) -> None:
        with self._lock:
            if self._is_open:
                self._draw()

    def _draw(self) -> None:
        from pertoken.cli.progress_bar import ProgressBar

        self._bar = ProgressBar(self, self._stream)
        self._bar.start()

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
