"""Passing a stream of events through, while a format's own watch looks at the few events that matter.

The watch never sees an event that cannot carry usage or the end of the answer: most events cost one search of bytes.
Events of many bytes that come at once, such as one that repeats a request of megabytes, take a parser long. Those wait
as `unread` until another process has looked at them; all that follows them waits as well.
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

APART_BYTES = 64 * 1024  # more of them at once are read apart: the densest take 8 ms
HELD_BYTES_MAX = 16 * 1024 * 1024  # kept back at most; what a provider sends after that behind its end is dropped

Written = Callable[[dict[str, Any], list[str]], None]


class Fate(Enum):
    """What becomes of an event."""

    PASS = "pass"  # noqa: S105 - no password
    KEEP = "keep"  # until the settlement, with all that follows it
    DROP = "drop"  # the client did not ask for it


class Watch(Protocol):
    """What one format looks for in its streams. Its fields are replaced, never changed, so that a copy is cheap."""

    complete: bool

    def may_matter(self, events: bytes) -> bool:
        """Tell by their bytes whether any of these events has to be looked at."""

    def look(self, data: bytes) -> Fate:
        """Take the data of one event."""

    def skim(self, events: bytes) -> None:
        """Take the bytes of many events, seen or not: any of them may name a model."""

    def reading(self) -> Reading:
        """Return what was said about usage so far."""


class LookedInto(NamedTuple):
    """What was found in events that were read apart."""

    watch: Watch
    text: str
    passing: tuple[tuple[int, int], ...]  # where the bytes stand that may go on, and
    kept: tuple[tuple[int, int], ...]  # those that are kept back


def look_at(events: bytes, watch: Watch, written: Written, keeps: bool, is_rest: bool) -> LookedInto:
    """Return what is found in whole events: with `keeps`, all of them are kept back.

    `is_rest`: a stream ended with them, perhaps in the middle of one; then nothing was said in it.
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
    """Add a place, as one with that before it where they touch."""
    if places and places[-1][1] == start:
        start = places.pop()[0]
    places.append((start, end))


class EventStream:
    """Reads one streamed answer of events, as `format.StreamReader` says."""

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
        # No method of ours: the tape would know us as we know it, and such a circle waits for the collector.
        self._text_of = partial(events_text, written=written)
        self._cutter = sse.Cutter()
        self._tape = sse.Tape(self._text_of, watch.skim)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._unread = b""
        self._is_rest = False  # what is unread: all that is left
        self._later: list[bytes] = []  # what came after that

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events that may go on now."""
        if self._unread:
            self._later.append(chunk)
            return b""
        events = self._cutter.whole(chunk)
        if not events:
            return b""
        if len(events) > APART_BYTES:
            self._tape.show()  # to the watch that goes with them
            self._unread = events
            return b""
        self._tape.add(events)
        if not self._held and not self._watch.may_matter(events):
            return events
        return b"".join([event for event in sse.split(events) if self._may_pass(event)])

    @property
    def unread(self) -> UnreadEvents | None:
        """Events that must be read apart before anything goes on."""
        if not self._unread:
            return None
        return UnreadEvents(self._unread, (self._watch, self._written, bool(self._held), self._is_rest))

    def take(self, looked: Any) -> bytes:
        """Take what was found in the unread events; return what may go on of them, and of what came after."""
        events, self._unread = self._unread, b""
        later, self._later = b"".join(self._later), []
        passing = self._taken(events, looked)
        return passing + self.feed(later) if later else passing

    def close(self) -> None:
        """Take it that no more comes: a large event that was left without an end is unread."""
        rest = self._cutter.rest()
        if len(rest) > APART_BYTES and sse.data(rest):
            self._tape.show()
            self._cutter = sse.Cutter()
            self._unread, self._is_rest = rest, True

    def end(self) -> bytes:
        """Return what was kept back."""
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
        """Return the output text seen so far."""
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
        """Return the watch as it is if nothing more comes: some servers leave out the last event's blank line."""
        data = sse.data(self._cutter.rest())
        if not _is_whole(data):
            return self._watch
        watch = copy(self._watch)
        watch.look(data)
        return watch


def _is_whole(data: bytes) -> bool:
    return data == b"[DONE]" or isinstance(parse(data), dict)
