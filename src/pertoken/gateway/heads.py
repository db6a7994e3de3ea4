"""The head of a request, and its form without an offer to upgrade the protocol."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from pertoken.ports.headers import HeaderList
from pertoken.wire import routes
from pertoken.wire.routes import Endpoint

_OFFERS = frozenset({b"upgrade", b"http2-settings"})


class Head(NamedTuple):
    """The parts of a request head, without content-length."""

    endpoint: Endpoint
    path: str
    query: bytes
    headers: HeaderList  # without content-length
    target: bytes  # path and query as they were sent


def head_of(target: bytes, fields: Sequence[tuple[bytes, bytes]], last: Head | None) -> Head | None:
    """Return the head of a POST to the data plane, or None for another path.

    `last` is the head of the connection's last call. Most calls of a connection have the same head, and caches find the
    same object sooner than an equal one. The length differs between calls and is known anyway, so it is left out.
    """
    headers = tuple([field for field in fields if field[0] != b"content-length"])
    if last is not None and target == last.target and headers == last.headers:
        return last
    return _head(target, headers)


@lru_cache(maxsize=256)  # connections of one client have the same head, too
def _head(target: bytes, headers: HeaderList) -> Head | None:
    raw_path, _, query = target.partition(b"?")
    if not routes.is_hot(raw_path):
        return None
    path = raw_path.decode("latin-1")
    if "%" in path:
        path = unquote(path)
    endpoint = routes.find(path)
    return None if endpoint is None else Head(endpoint, path, query, headers, target)


def expects_continue(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether the client waits for 100 Continue before it sends the body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def without_offer(method: bytes, target: bytes, version: str, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request without its offer to upgrade the protocol.

    A server may ignore the offer (RFC 9110, 7.8), but llhttp would treat the following bytes as the other protocol.
    """
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    for name, value in fields:
        if name == b"connection":
            kept = [word for word in value.split(b",") if word.strip().lower() not in _OFFERS]
            lines.append(b"connection: " + b",".join(kept))
        elif name not in _OFFERS:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
