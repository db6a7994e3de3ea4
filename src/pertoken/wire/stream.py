"""Passing a stream of events through, while a format's own watch looks at the few events that matter.

The watch never sees an event that cannot carry usage or the end of the answer: most events cost one search of bytes.
"""

from collections.abc import Callable
from copy import copy
from enum import Enum
from functools import partial
from typing import Any, Protocol

from pertoken.core.usage import Reading
from pertoken.wire import sse
from pertoken.wire.content import events_text, parse

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


class EventStream:
    """Reads one streamed answer of events, as `format.StreamReader` says."""

    __slots__ = ("_cutter", "_held", "_held_bytes", "_tape", "_text_of", "_watch")

    def __init__(self, watch: Watch, written: Written) -> None:
        self._watch = watch
        # No method of ours: the tape would know us as we know it, and such a circle waits for the collector.
        self._text_of = partial(events_text, written=written)
        self._cutter = sse.Cutter()
        self._tape = sse.Tape(self._text_of, watch.skim)
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events that may go on now."""
        events = self._cutter.whole(chunk)
        if not events:
            return b""
        self._tape.add(events)
        if not self._held and not self._watch.may_matter(events):
            return events
        return b"".join([event for event in sse.split(events) if self._may_pass(event)])

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

    def text(self) -> str:
        """Return the output text seen so far."""
        rest = self._cutter.rest()
        return self._tape.text() + (self._text_of(rest) if _is_whole(sse.data(rest)) else "")

    @property
    def complete(self) -> bool:
        """Whether the answer's own end marker was seen."""
        return self._at_rest().complete

    def _may_pass(self, event: bytes) -> bool:
        data = sse.data(event)
        fate = self._watch.look(data) if data else Fate.PASS
        if fate is Fate.DROP:
            return False
        if fate is Fate.PASS and not self._held:
            return True
        self._held_bytes += len(event)
        if self._held_bytes <= HELD_BYTES_MAX:
            self._held.append(event)
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
