"""Says on stderr how far a long command is, on a terminal alone, and only once it has taken two seconds.

It never writes to stdout. What draws is imported when the two seconds are over.
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
    """What calls a function once, later, on a thread of its own."""

    daemon: bool

    def start(self) -> None:
        """Begin to wait."""

    def cancel(self) -> None:
        """Do not call it any more."""


class Progress:
    """What is done now and how much of it is done; shown from WAIT_S after it was entered until it is left."""

    def __init__(
        self,
        doing: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
    ) -> None:
        """Say what is done, in the words of people; `total` is how much there is to do, None where nobody knows."""
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
        """Go on with something else; what is done of it begins at nothing."""
        self.doing, self.total, self.done = doing, total, 0

    def add(self, number: int = 1) -> None:
        """Note that so much more is done."""
        self.done += number

    def see(self, doing: str, total: int | None = None) -> None:
        """Note that one more is done of what is called `doing`; another name begins at nothing."""
        if doing != self.doing:
            self.begin(doing, total)
        self.done += 1

    def over(self, items: Iterable[T], done: Callable[[], int] | None = None) -> Iterator[T]:
        """Yield the items, each of them done when the next is asked for, or so much as `done` says."""
        if self._timer is None:  # nobody looks
            yield from items
            return
        for item in items:
            yield item
            self.done = self.done + 1 if done is None else done()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something else is printed, which may go to the same terminal."""
        with self._lock:
            was_shown = self._bar is not None
            self._hide()
            yield
            if was_shown:
                self._draw()

    def text(self) -> str:
        """Return what is done now, as it may be shown."""
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
