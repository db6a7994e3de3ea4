"""Passes a stream of events through, while a format's own watch looks at the few events that matter.

The watch never sees an event that cannot carry usage or the end of the answer, so most events cost one search of bytes.
Large events take long to parse; one may repeat a request of many megabytes. They wait as `unread` until another process
has looked at them. Everything after them waits too.
"""

from collections.abc import Callable
from copy import copy
from enum import Enum
from functools import partial
from typing import Any, NamedTuple, Protocol

from pertoken.core.usage import Reading
from pertoken.wire import sse
from pertoken.wire.content import events_text, parse
from pertoken.wire.format import UnreadEvents

APART_BYTES = 64 * 1024  # more bytes at once are read in another process; the densest 64 KiB take 8 ms
HELD_BYTES_MAX = 16 * 1024 * 1024  # the most that is held back at the end of an answer; the rest is dropped

Written = Callable[[dict[str, Any], list[str]], None]


class Fate(Enum):
    """What to do with an event."""

    PASS = "pass"  # noqa: S105 - no password
    KEEP = "keep"  # hold it back until the settlement, with all events after it
    DROP = "drop"  # do not send it, because the client did not ask for it


class Watch(Protocol):
    """Looks for what one format needs in its streams. Its fields are replaced, never changed, so a copy is cheap."""

    complete: bool

    def may_matter(self, events: bytes) -> bool:
        """Tell by a search of the bytes whether `look` must see any of these events."""

    def look(self, data: bytes) -> Fate:
        """Read the data of one event; return what to do with the event."""

    def skim(self, events: bytes) -> None:
        """Search the bytes of many events for names of models. `look` may have seen some of these events."""

    def reading(self) -> Reading:
        """Return what the stream has said about usage so far."""


class LookedInto(NamedTuple):
    """The result of reading large events in another process."""

    watch: Watch
    text: str
    passing: tuple[tuple[int, int], ...]  # (start, end) of the bytes that may go to the client
    kept: tuple[tuple[int, int], ...]  # (start, end) of the bytes that are held back


def look_at(events: bytes, watch: Watch, written: Written, keeps: bool, is_rest: bool) -> LookedInto:
    """Read whole events. With `keeps`, all of them are held back.

    `is_rest`: the events are the end of a stream, which may have stopped inside an event. An unfinished event is not
    read.
    """
    if is_rest and not _is_whole(sse.data(events)):
        return LookedInto(watch, "", (), ((0, len(events)),))
    keeps = keeps or is_rest
    passing: list[tuple[int, int]] = []
    kept: list[tuple[int, int]] = []
    at = 0
    watch.skim(events)
    for event in sse.split(events):
        start, at = at, at + len(event)
        data = sse.data(event)
        fate = watch.look(data) if data else Fate.PASS
        keeps = keeps or fate is Fate.KEEP
        if fate is not Fate.DROP:
            _add(kept if keeps else passing, start, at)
    return LookedInto(watch, events_text(events, written), tuple(passing), tuple(kept))


def _add(places: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a (start, end) range; extend the last range if the two touch."""
    if places and places[-1][1] == start:
        start = places.pop()[0]
    places.append((start, end))


class EventStream:
    """Reads one streamed answer of events; a `format.StreamReader`."""

    __slots__ = (
        "_cutter",
        "_held",
        "_held_bytes",
        "_is_rest",
        "_later",
        "_tape",
        "_text_of",
        "_unread",
        "_watch",
        "_written",
    )

    def __init__(self, watch: Watch, written: Written) -> None:
        self._watch = watch
        self._written = written
        # Not a bound method: it would create a reference cycle with the tape, which only the garbage collector frees.
        self._text_of = partial(events_text, written=written)
        self._cutter = sse.Cutter()
        self._tape = sse.Tape(self._text_of, watch.skim)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._unread = b""
        self._is_rest = False  # whether the unread events are the end of the stream
        self._later: list[bytes] = []  # chunks that came after the unread events

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events that may go to the client now."""
        if self._unread:
            self._later.append(chunk)
            return b""
        events = self._cutter.whole(chunk)
        if not events:
            return b""
        if len(events) > APART_BYTES:
            self._tape.show()  # before the watch is copied to the other process
            self._unread = events
            return b""
        self._tape.add(events)
        if not self._held and not self._watch.may_matter(events):
            return events
        return b"".join([event for event in sse.split(events) if self._may_pass(event)])

    @property
    def unread(self) -> UnreadEvents | None:
        """Events that must be read in another process before more bytes go out."""
        if not self._unread:
            return None
        return UnreadEvents(self._unread, (self._watch, self._written, bool(self._held), self._is_rest))

    def take(self, looked: Any) -> bytes:
        """Take the result for the unread events; return the bytes that may go on, including chunks that came later."""
        events, self._unread = self._unread, b""
        later, self._later = b"".join(self._later), []
        passing = self._taken(events, looked)
        return passing + self.feed(later) if later else passing

    def close(self) -> None:
        """Note that the stream has ended. A large event without an end becomes unread."""
        rest = self._cutter.rest()
        if len(rest) > APART_BYTES and sse.data(rest):
            self._tape.show()
            self._cutter = sse.Cutter()
            self._unread, self._is_rest = rest, True

    def end(self) -> bytes:
        """Return the bytes that were held back."""
        rest, self._cutter = self._cutter.rest(), sse.Cutter()
        data = sse.data(rest)
        fate = self._watch.look(data) if _is_whole(data) else Fate.PASS
        held, self._held = b"".join(self._held), []
        return held if fate is Fate.DROP else held + rest

    def reading(self) -> Reading:
        """Return what the stream has said about usage so far."""
        self._tape.show()
        return self._at_rest().reading()

    def text(self, *, at_end: bool = True) -> str:
        """Return the output text so far."""
        rest = self._cutter.rest() if at_end else b""
        return self._tape.text() + (self._text_of(rest) if _is_whole(sse.data(rest)) else "")

    @property
    def complete(self) -> bool:
        """Whether the answer's own end marker was seen."""
        return self._at_rest().complete

    def _taken(self, events: bytes, looked: LookedInto | None) -> bytes:
        if looked is None:
            all_of_it = ((0, len(events)),)
            keeps = self._held or self._is_rest
            looked = LookedInto(self._watch, "", () if keeps else all_of_it, all_of_it if keeps else ())
        self._watch = looked.watch
        self._tape.add_read(looked.text, looked.watch.skim)
        for start, end in looked.kept:
            self._keep(events[start:end])
        return b"".join([events[start:end] for start, end in looked.passing])

    def _keep(self, events: bytes) -> None:
        self._held_bytes += len(events)
        if self._held_bytes <= HELD_BYTES_MAX:
            self._held.append(events)

    def _may_pass(self, event: bytes) -> bool:
        data = sse.data(event)
        fate = self._watch.look(data) if data else Fate.PASS
        if fate is Fate.DROP:
            return False
        if fate is Fate.PASS and not self._held:
            return True
        self._keep(event)
        return False

    def _at_rest(self) -> Watch:
        """Return the watch as if the stream ended here. Some servers leave out the blank line after the last event."""
        data = sse.data(self._cutter.rest())
        if not _is_whole(data):
            return self._watch
        watch = copy(self._watch)
        watch.look(data)
        return watch


def _is_whole(data: bytes) -> bool:
    return data == b"[DONE]" or isinstance(parse(data), dict)
