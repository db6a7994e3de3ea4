"""Request heads, each read once.

A client's requests begin with the same bytes again and again, but for the length of the body. llhttp reads a head with
a callback a field; a head that it has read and accepted before, byte for byte but for the digits of its length, need
not be read again.

What must be certain is that such a message is what llhttp would make of the same bytes. So only heads of the plainest
kind are remembered: HTTP/1.1 to be kept alive, one Content-Length in decimal digits on a line of its own, every line
ended by CRLF, no transfer coding, no expectation, no upgrade; and only messages that arrive whole and alone.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pertoken.ports.headers import HeaderList
from pertoken.wire.routes import Endpoint

HEADS_MAX = 1_024
HEAD_BYTES_MAX = 8 * 1024  # of one that is remembered

# The line that differs. Behind it no line may begin with a blank: that would go on with the value.
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([1-9][0-9]{0,8})(?=\r\n[^ \t])")
_OFFERS = frozenset({b"upgrade", b"http2-settings"})
_DIFFERENT = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"content-length"})


class Head(NamedTuple):
    """What a head says, its length aside."""

    endpoint: Endpoint
    path: str
    query: bytes
    headers: HeaderList  # without the length


class Message(NamedTuple):
    """A whole request, cut at its head."""

    key: bytes  # the head without its length
    body_at: int


class Heads:
    """The heads of one process, by their bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, key: bytes) -> Head | None:
        """Return what was remembered of a head."""
        return self._known.get(key)

    def remember(self, key: bytes, head: Head) -> None:
        """Remember a head that llhttp has accepted, if it is of the plainest kind."""
        lines = key.count(b"\r\n")
        if key.count(b"\n") != lines or key.count(b"\r") != lines or b" HTTP/1.1\r\n" not in key:
            return
        for name, value in head.headers:
            if name in _DIFFERENT or (name == b"connection" and value.lower() != b"keep-alive"):
                return
        if len(self._known) >= HEADS_MAX:
            self._known.clear()
        self._known[key] = head


def cut(data: bytes) -> Message | None:
    """Return where head and body of a whole message are, None where `data` is not surely just that."""
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    length = _LENGTH.search(data, 0, end + 3) if end > 0 else None  # the next line begins before that, or the end does
    if length is None or len(data) - end - 4 != int(length[1]):
        return None
    return Message(data[: length.start()] + data[length.end() : end + 2], end + 4)


def without_offer(method: bytes, target: bytes, version: str, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request without its offer to go on in another protocol.

    A server may ignore the offer (RFC 9110, 7.8), but llhttp takes what follows for the other protocol.
    """
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    for name, value in fields:
        if name == b"connection":
            kept = [word for word in value.split(b",") if word.strip().lower() not in _OFFERS]
            lines.append(b"connection: " + b",".join(kept))
        elif name not in _OFFERS:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
