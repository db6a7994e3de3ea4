"""Server-sent events: split a byte stream into events, and keep its text within limits.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Line ends are LF or CRLF; no
provider ends lines with CR alone.
"""

import re
from collections.abc import Callable

EVENT_BYTES_MAX = 16 * 1024 * 1024
PIECES_MAX = 1024  # chunks of an unfinished event; a tiny chunk takes much more memory than its bytes
TAPE_BYTES_MAX = 64 * 1024  # few answers are longer, so most are never parsed for their text
TAPE_LETTERS_MAX = 16 * 1024 * 1024

_END = re.compile(rb"\n\r?\n(?:\r?\n)*")


class Cutter:
    """Splits a stream into whole events. Bytes of an unfinished event wait for the next chunk."""

    __slots__ = ("_seam", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        self._seam = b""  # the last waiting bytes, which may be the start of an event end

    def whole(self, chunk: bytes) -> bytes:
        """Return all bytes up to the last event end. The rest is kept for the next call."""
        if not self._waiting:
            if chunk.endswith((b"\n\n", b"\r\n\r\n")):
                return chunk
            return self._cut(chunk, 0)
        # Only the new bytes are searched, and the few before them that may start an event end. An event of many
        # megabytes may come in small chunks; it must not be searched or copied again with each chunk.
        joined = self._seam + chunk
        if b"\n\n" not in joined and b"\n\r\n" not in joined:
            return self._keep(chunk)
        self._waiting.append(chunk)
        data = b"".join(self._waiting)
        return self._cut(data, len(data) - len(joined))

    def rest(self) -> bytes:
        """Return the bytes of the unfinished event without removing them."""
        return b"".join(self._waiting)

    def _cut(self, data: bytes, search_from: int) -> bytes:
        self._waiting, self._size, self._seam = [], 0, b""
        lf, crlf = data.rfind(b"\n\n", search_from), data.rfind(b"\n\r\n", search_from)
        cut = max(lf + 2 if lf >= 0 else 0, crlf + 3 if crlf >= 0 else 0)
        return data if cut == len(data) else data[:cut] + self._keep(data[cut:])

    def _keep(self, rest: bytes) -> bytes:
        if len(self._waiting) >= PIECES_MAX:
            self._waiting = [b"".join(self._waiting)]
        self._waiting.append(rest)
        self._size += len(rest)
        self._seam = (self._seam + rest)[-3:]
        if self._size <= EVENT_BYTES_MAX:
            return b""
        passed = b"".join(self._waiting)  # no provider sends events this large, so do not wait for the end
        self._waiting, self._size, self._seam = [], 0, b""
        return passed


class Tape:
    """Keeps the output text of a stream at low cost. It keeps raw bytes, and parses them only when it must.

    It parses them when there are more than TAPE_BYTES_MAX, or when `text` is called. `skim` gets all bytes at least
    once before they are dropped, many events at a time.
    """

    __slots__ = ("_chunks", "_extract", "_letters", "_size", "_skim", "_texts")

    def __init__(self, extract: Callable[[bytes], str], skim: Callable[[bytes], None]) -> None:
        self._extract = extract
        self._skim = skim
        self._chunks: list[bytes] = []
        self._size = 0
        self._texts: list[str] = []
        self._letters = 0

    def add(self, events: bytes) -> None:
        """Keep whole events."""
        self._chunks.append(events)
        self._size += len(events)
        if self._size > TAPE_BYTES_MAX:
            self._fold()

    def add_read(self, text: str, skim: Callable[[bytes], None]) -> None:
        """Keep the text of events that another process has read. From now on the given `skim` gets the bytes."""
        self._fold()
        self._skim = skim
        self._remember(text)

    def text(self) -> str:
        """Return all output text so far, at most TAPE_LETTERS_MAX characters."""
        self._fold()
        return "".join(self._texts)

    def show(self) -> None:
        """Pass the kept bytes to `skim`."""
        if self._chunks:
            self._chunks = [b"".join(self._chunks)]
            self._skim(self._chunks[0])

    def _fold(self) -> None:
        self.show()
        if self._letters < TAPE_LETTERS_MAX and self._chunks:
            self._remember(self._extract(b"".join(self._chunks)))
        self._chunks.clear()
        self._size = 0

    def _remember(self, text: str) -> None:
        text = text[: TAPE_LETTERS_MAX - self._letters]
        self._texts.append(text)
        self._letters += len(text)


def split(events: bytes) -> list[bytes]:
    """Return the single events, each with its end. Joined, they are `events` again."""
    result = []
    start = 0
    for end in _END.finditer(events):
        result.append(events[start : end.end()])
        start = end.end()
    if start < len(events):
        result.append(events[start:])
    return result


def data(event: bytes) -> bytes:
    """Return the data of one event with its lines joined; empty if the event has no data."""
    line = event.rstrip(b"\r\n")
    if line.startswith(b"data:") and b"\n" not in line:
        return line[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
