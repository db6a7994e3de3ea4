"""Gemini's streams. Every piece carries the usage so far, so the last piece counts, and any that reported more.

The pieces come as server-sent events with `alt=sse`, or else as the entries of one JSON array.
"""

import re
from collections import deque
from functools import partial, reduce
from typing import Any

import msgspec

from pertoken.core.usage import Reading
from pertoken.wire import gemini_usage, scan, served_names, usage_falls, usage_reading
from pertoken.wire.body import optional_text
from pertoken.wire.content import as_dict, as_list, parse
from pertoken.wire.format import UnreadEvents
from pertoken.wire.stream import HELD_BYTES_MAX, EventStream, Fate
from pertoken.wire.usage_table import UsageTable

EARLIER_MAX = 16  # pieces that are kept because a later one reported less
TAIL_BYTES = 64 * 1024
ARRAY_BYTES_MAX = 16 * 1024 * 1024

_USAGE = b'"usageMetadata"'
_NAMES = ("usageMetadata", "usage_metadata")
_MODEL_NAMES = ("modelVersion", "model_version")
_GROUNDING = b'"groundingMetadata"'
_NAMED = re.compile(rb'"model(?:Version|_version)"\s*:\s*"([\w.:/@-]+)"', re.ASCII)
_CACHED = "cachedContentTokenCount"  # if this grows, fewer tokens are charged at the full price
_MARKS = (b'"finishReason"', b'"blockReason"')
_SEAM_BYTES = max(map(len, _MARKS)) - 1


class GenerateStream:
    """Reads one streamed answer. Its first byte decides whether it is an array or a stream of events."""

    __slots__ = ("_model", "_rows", "_start", "_stream")

    def __init__(self, model: str, rows: UsageTable) -> None:
        self._model = model
        self._rows = rows
        self._start = b""
        self._stream: EventStream | ArrayPieces | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes that may go to the client now."""
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

    @property
    def unread(self) -> UnreadEvents | None:
        """Events that must be read in another process before more bytes go out."""
        return None if self._stream is None else self._stream.unread

    def take(self, looked: Any) -> bytes:
        """Take the result for the unread events; return the bytes that may go to the client now."""
        assert self._stream is not None, "there were events"
        return self._stream.take(looked)

    def close(self) -> None:
        """Note that the stream has ended."""
        if self._stream is not None:
            self._stream.close()

    def end(self) -> bytes:
        """Return the bytes that were held back."""
        start, self._start = self._start, b""
        return start if self._stream is None else self._stream.end()

    def reading(self) -> Reading:
        """Return the last usage seen. It is PARTIAL if the answer has not ended."""
        return usage_reading.missing() if self._stream is None else self._stream.reading()

    def text(self, *, at_end: bool = True) -> str:
        """Return the output text so far."""
        return "" if self._stream is None else self._stream.text(at_end=at_end)

    @property
    def complete(self) -> bool:
        """Whether a piece with the reason for the end of the answer was seen."""
        return self._stream is not None and self._stream.complete


class _Watch:
    """Looks for the piece with the reason for the end. Keeps the last piece with usage and any that reported more."""

    __slots__ = ("_earlier", "_grounded", "_last", "_made", "_model", "_models", "_rows", "_told", "complete")

    def __init__(self, model: str, rows: UsageTable) -> None:
        self._model = model
        self._rows = rows
        self._last = b""  # the last piece that carries usage
        self._told: dict[str, Any] = {}  # its usage
        self._models: tuple[str, ...] = ()
        self._earlier: tuple[bytes, ...] = ()  # pieces that are kept because a later one reported less
        self._grounded: dict[str, int] = {}
        self._made: frozenset[str] = frozenset()
        self.complete = False

    def may_matter(self, events: bytes) -> bool:
        return (
            _USAGE in events
            or _MARKS[0] in events
            or _MARKS[1] in events
            or _GROUNDING in events
            or gemini_usage.SNAKE_USAGE in events
            or gemini_usage.INLINE in events
        )

    def look(self, data: bytes) -> Fate:
        data = gemini_usage.spelled(data)
        if _USAGE in data:
            self._take(data)
        self._made = self._made or gemini_usage.made_in(data)
        if not (_MARKS[0] in data or _MARKS[1] in data or _GROUNDING in data):
            return Fate.PASS
        piece = as_dict(parse(data))
        self.complete = self.complete or _is_last(piece)
        model = optional_text(piece.get("modelVersion")) or self._model
        found = gemini_usage.count_grounding(as_list(piece.get("candidates")), model)
        known = self._grounded
        self._grounded = {**known, **{unit: max(many, known.get(unit, 0)) for unit, many in found.items()}}
        return Fate.KEEP if self.complete else Fate.PASS

    def skim(self, events: bytes) -> None:
        """Find the models that pieces without usage name."""
        for name in _MODEL_NAMES:
            self._models = served_names.skimmed(self._models, events, b'"%s"' % name.encode(), _model_of)

    def reading(self) -> Reading:
        """Return the last usage seen."""
        reading = usage_reading.missing()
        if self._last:
            reading = reduce(usage_falls.follow, map(self._read, (*self._earlier, self._last)))
        reading = usage_reading.with_models(reading, self._models)
        reading = usage_reading.with_shown(reading, self._grounded)
        return reading._replace(made=self._made) if self._made else reading

    def _take(self, data: bytes) -> None:
        try:
            piece = gemini_usage.decode(data)
            told = as_dict(parse(bytes(piece.usageMetadata)))
            self._models = usage_reading.also_named(self._models, piece.modelVersion)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = {}
        if self._last and not _grew(self._told, told):
            self._earlier = (*self._earlier, self._last)[-EARLIER_MAX:]
        self._last, self._told = data, told

    def _read(self, data: bytes) -> Reading:
        try:
            piece = gemini_usage.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            read = partial(
                gemini_usage.read_usage,
                rows=self._rows,
                model=None,
                response_id=None,
                grounded=self._grounded,
                partial=not self.complete,
            )
            return usage_reading.unreadable(data, "usageMetadata", read)
        model, response_id = optional_text(piece.modelVersion), optional_text(piece.responseId)
        raw = bytes(piece.usageMetadata)
        return gemini_usage.read_usage(raw, self._rows, model, response_id, self._grounded, partial=not self.complete)


class ArrayPieces:
    """The pieces of one JSON array. Nothing is parsed until the end; then usage is read from the last TAIL_BYTES."""

    __slots__ = (
        "_all", "_all_bytes", "_held", "_held_bytes", "_model", "_rows", "_seam", "_tail", "_tail_bytes", "complete",
    )  # fmt: skip

    def __init__(self, model: str, rows: UsageTable) -> None:
        self._model = model
        self._rows = rows
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._all: list[bytes] = []  # to count the text if no usage came
        self._all_bytes = 0
        self._seam = b""  # the last bytes of the previous chunk, to find marks that cross two chunks
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.complete = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes that may go to the client: all before the reason for the end of the answer."""
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

    @property
    def unread(self) -> UnreadEvents | None:
        """Return None: no piece is parsed before the end."""
        return None

    def take(self, looked: Any) -> bytes:  # noqa: ARG002 - there is nothing to take
        """Return no bytes: `unread` is always None."""
        return b""

    def close(self) -> None:
        """Do nothing: no piece waits."""

    def end(self) -> bytes:
        """Return the bytes that were held back."""
        held, self._held = b"".join(self._held), []
        return held

    def reading(self) -> Reading:
        """Return the last usage seen."""
        tail = b"".join(self._tail)
        told = [found.raw for name in _NAMES for found in scan.last_objects(tail, name)]
        seen = b"".join(self._all)
        made = gemini_usage.made_in(seen)
        model, response_id = scan.last_text(tail, "modelVersion"), scan.last_text(tail, "responseId")
        grounding = scan.last_object(tail, "groundingMetadata")
        candidates = [{"groundingMetadata": grounding.value}] if grounding else []
        grounded = gemini_usage.count_grounding(candidates, model or self._model)
        if not told:
            return usage_reading.with_shown(usage_reading.missing(), grounded)._replace(made=made)
        is_cut = not self.complete
        said = (gemini_usage.read_usage(raw, self._rows, model, response_id, grounded, partial=is_cut) for raw in told)
        models: tuple[str, ...] = ()
        for name in _NAMED.findall(seen if self._all_bytes < ARRAY_BYTES_MAX else seen + tail):
            models = usage_reading.also_named(models, name.decode())
        reading = reduce(usage_falls.follow, reversed([*said]))._replace(made=made)
        return usage_reading.with_models(reading, models)

    def text(self, *, at_end: bool = True) -> str:  # noqa: ARG002 - pieces have no ends to wait for
        """Return the output text so far. A piece that cannot be read counts as text itself."""
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


def _model_of(data: bytes) -> object:
    """Return the model that a piece names, in either spelling."""
    piece = as_dict(parse(data))
    return next((piece[name] for name in _MODEL_NAMES if piece.get(name)), None)


def _grew(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Tell whether each number is unchanged or larger. If not, `usage_falls` compares the whole readings."""
    for key, old in before.items():
        new = now.get(key)
        if old != new and not (type(old) is int and type(new) is int and new > old and key != _CACHED):
            return False
    return True


def _is_last(piece: dict[str, Any]) -> bool:
    if as_dict(piece.get("promptFeedback")).get("blockReason"):
        return True
    return any(as_dict(candidate).get("finishReason") for candidate in as_list(piece.get("candidates")))
