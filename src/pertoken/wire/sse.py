"""Server-sent events: cutting a byte stream at event ends, and remembering it within bounds.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from collections.abc import Callable

EVENT_BYTES_MAX = 16 * 1024 * 1024
TAPE_BYTES_MAX = 32 * 1024


class Cutter:
    """Splits a stream into whole events; what is not yet whole waits."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def whole(self, chunk: bytes) -> bytes:
        """Return the bytes up to the last event end; the rest is kept for the next call."""
        if not self._rest and (chunk.endswith((b"\n\n", b"\r\n\r\n"))):
            return chunk
        data = self._rest + chunk if self._rest else chunk
        cut = max(data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0, _crlf_cut(data))
        self._rest = data[cut:]
        if len(self._rest) > EVENT_BYTES_MAX:  # no provider sends events this large: stop waiting, pass it on
            cut, self._rest = len(data), b""
        return data[:cut]

    def rest(self) -> bytes:
        """Return and forget what never became a whole event."""
        rest, self._rest = self._rest, b""
        return rest


class Tape:
    """Remembers the output text of a stream cheaply: raw bytes first, parsed only when many or asked for."""

    __slots__ = ("_chunks", "_extract", "_size", "_texts")

    def __init__(self, extract: Callable[[bytes], str]) -> None:
        self._extract = extract
        self._chunks: list[bytes] = []
        self._size = 0
        self._texts: list[str] = []

    def add(self, events: bytes) -> None:
        """Remember whole events."""
        self._chunks.append(events)
        self._size += len(events)
        if self._size > TAPE_BYTES_MAX:
            self._fold()

    def text(self) -> str:
        """Return all output text so far."""
        self._fold()
        return "".join(self._texts)

    def _fold(self) -> None:
        self._texts.append(self._extract(b"".join(self._chunks)))
        self._chunks.clear()
        self._size = 0


def split(events: bytes) -> list[bytes]:
    """Return whole events one by one, each with its end."""
    separator = b"\r\n\r\n" if b"\r\n\r\n" in events else b"\n\n"
    parts = events.split(separator)
    result = [part + separator for part in parts[:-1] if part.strip()]
    if parts[-1].strip():
        result.append(parts[-1])
    return result


def data(event: bytes) -> bytes:
    """Return the data of one event, its lines joined; empty when it has none."""
    if event.startswith(b"data:") and event.count(b"data:") == 1 and event.count(b"\n") <= 2:
        return event[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines).strip()


def _crlf_cut(data: bytes) -> int:
    at = data.rfind(b"\r\n\r\n")
    return at + 4 if at >= 0 else 0
