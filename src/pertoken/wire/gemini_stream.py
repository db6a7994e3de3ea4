"""Gemini's streams: every piece carries the usage so far, so only the last one is read, at the end.

They come as events (alt=sse) or, without it, as the pieces of one JSON array.
"""

from collections import deque
from functools import partial
from typing import Any

import msgspec

from pertoken.core.usage import Reading
from pertoken.wire import gemini_usage, scan, sse, usage_reading
from pertoken.wire.body import optional_text
from pertoken.wire.content import as_dict, as_list, parse
from pertoken.wire.stream import HELD_BYTES_MAX, EventStream, Fate
from pertoken.wire.usage_table import Table

TAIL_BYTES = 64 * 1024
ARRAY_BYTES_MAX = 16 * 1024 * 1024

_USAGE = b'"usageMetadata"'
_GROUNDING = b'"groundingMetadata"'
_MARKS = (b'"finishReason"', b'"blockReason"')
_SEAM_BYTES = max(map(len, _MARKS)) - 1


class GenerateStream:
    """Reads one streamed answer; what its first byte says decides how."""

    __slots__ = ("_model", "_rows", "_start", "_stream")

    def __init__(self, model: str, rows: Table) -> None:
        self._model = model
        self._rows = rows
        self._start = b""
        self._stream: EventStream | ArrayPieces | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return what may go on now."""
        if self._stream is None:
            self._start += chunk
            first = self._start.lstrip()[:1]
            if not first and len(self._start) < TAIL_BYTES:
                return b""
            if first == b"[":
                self._stream = ArrayPieces(self._model, self._rows)
            else:
                self._stream = EventStream(_Watch(self._model, self._rows), gemini_usage.written)
            chunk, self._start = self._start, b""
        return self._stream.feed(chunk)

    def end(self) -> bytes:
        """Return what was kept back."""
        start, self._start = self._start, b""
        return start if self._stream is None else self._stream.end()

    def reading(self) -> Reading:
        """Return the last usage seen: PARTIAL where the answer has not ended."""
        return usage_reading.missing() if self._stream is None else self._stream.reading()

    def text(self) -> str:
        """Return the output text seen so far."""
        return "" if self._stream is None else self._stream.text()

    @property
    def complete(self) -> bool:
        """Whether a piece was seen that says why the answer ended."""
        return self._stream is not None and self._stream.complete


class _Watch:
    """Looks for the piece that says why the answer ended; of the others it keeps the last, unread."""

    __slots__ = ("_grounded", "_last", "_model", "_rows", "complete")

    def __init__(self, model: str, rows: Table) -> None:
        self._model = model
        self._rows = rows
        self._last = b""  # the last events that carry usage
        self._grounded: dict[str, int] = {}
        self.complete = False

    def may_matter(self, events: bytes) -> bool:
        if _USAGE in events:
            self._last = events
        return _MARKS[0] in events or _MARKS[1] in events or _GROUNDING in events

    def look(self, data: bytes) -> Fate:
        if _USAGE in data:
            self._last = b"data: " + data.replace(b"\n", b" ") + b"\n\n"
        piece = as_dict(parse(data))
        self.complete = self.complete or _is_last(piece)
        model = optional_text(piece.get("modelVersion")) or self._model
        found = gemini_usage.count_grounding(as_list(piece.get("candidates")), model)
        known = self._grounded
        self._grounded = {**known, **{unit: max(many, known.get(unit, 0)) for unit, many in found.items()}}
        return Fate.KEEP if self.complete else Fate.PASS

    def reading(self) -> Reading:
        """Return the last usage seen."""
        event = next((event for event in reversed(sse.split(self._last)) if _USAGE in event), b"")
        if not event:
            return usage_reading.missing()
        try:
            piece = gemini_usage.decode(sse.data(event))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            read = partial(
                gemini_usage.read_usage,
                rows=self._rows,
                model=None,
                response_id=None,
                grounded=self._grounded,
                partial=not self.complete,
            )
            return usage_reading.unreadable(event, "usageMetadata", read)
        model, response_id = optional_text(piece.modelVersion), optional_text(piece.responseId)
        raw = bytes(piece.usageMetadata)
        return gemini_usage.read_usage(raw, self._rows, model, response_id, self._grounded, partial=not self.complete)


class ArrayPieces:
    """The pieces of one JSON array: nothing is parsed on the way, a bounded tail is read at the end."""

    __slots__ = (
        "_all", "_all_bytes", "_held", "_held_bytes", "_model", "_rows", "_seam", "_tail", "_tail_bytes", "complete",
    )  # fmt: skip

    def __init__(self, model: str, rows: Table) -> None:
        self._model = model
        self._rows = rows
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._all: list[bytes] = []  # for counting text where no usage came
        self._all_bytes = 0
        self._seam = b""  # the last bytes before the next chunk, for marks that lie across
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.complete = False

    def feed(self, chunk: bytes) -> bytes:
        """Return what may go on: all before the reason of the answer's end."""
        self._remember(chunk)
        if self._held:
            self._hold(chunk)
            return b""
        seam, joined = self._seam, self._seam + chunk
        self._seam = joined[-_SEAM_BYTES:]
        at = min((place for place in map(joined.find, _MARKS) if place >= 0), default=-1)
        if at < 0:
            return chunk
        self.complete = True
        cut = max(0, at - len(seam))
        self._hold(chunk[cut:])
        return chunk[:cut]

    def end(self) -> bytes:
        """Return what was kept back."""
        held, self._held = b"".join(self._held), []
        return held

    def reading(self) -> Reading:
        """Return the last usage seen."""
        tail = b"".join(self._tail)
        found = scan.last_object(tail, "usageMetadata")
        if found is None:
            return usage_reading.missing()
        model, response_id = scan.last_text(tail, "modelVersion"), scan.last_text(tail, "responseId")
        grounding = scan.last_object(tail, "groundingMetadata")
        candidates = [{"groundingMetadata": grounding.value}] if grounding else []
        grounded = gemini_usage.count_grounding(candidates, model or self._model)
        return gemini_usage.read_usage(found.raw, self._rows, model, response_id, grounded, partial=not self.complete)

    def text(self) -> str:
        """Return the output text seen so far; what cannot be read counts as it is."""
        texts: list[str] = []
        for piece in scan.values(b"".join(self._all)):
            if isinstance(piece, dict):
                gemini_usage.written(piece, texts)
            else:
                texts.append(str(piece))
        return "".join(texts)

    def _remember(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())
        if self._all_bytes < ARRAY_BYTES_MAX:
            self._all.append(chunk)
            self._all_bytes += len(chunk)

    def _hold(self, chunk: bytes) -> None:
        self._held_bytes += len(chunk)
        if self._held_bytes <= HELD_BYTES_MAX:
            self._held.append(chunk)


def _is_last(piece: dict[str, Any]) -> bool:
    if as_dict(piece.get("promptFeedback")).get("blockReason"):
        return True
    return any(as_dict(candidate).get("finishReason") for candidate in as_list(piece.get("candidates")))
