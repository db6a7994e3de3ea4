"""A small HTTP client that tells a whole answer from a torn one, and can hang up in the middle."""

import asyncio
import contextlib
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PATIENCE_S = 30


class Answer(NamedTuple):
    """What came back; `whole` when its end came too."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def is_acknowledged(self) -> bool:
        """Whether a client may take it for the served and settled call."""
        if not self.whole or self.status != 200:
            return False
        return b"[DONE]" in self.body or b"message_stop" in self.body if self.is_stream else True

    @property
    def is_stream(self) -> bool:
        """Whether it came as server-sent events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")


class Torn(Exception):
    """The connection ended before the answer did."""


class Connection:
    """One keep-alive connection, opened when it is needed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(
        self, path: str, headers: dict[str, str], body: dict[str, Any], *, pieces_max: int | None = None
    ) -> Answer | None:
        """Return the answer, or as much of it as came; None where not even a head came.

        With `pieces_max`, hang up after so many pieces of a stream.
        """
        data = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", f"host: {self._host}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()] + [f"content-length: {len(data)}", "", ""]
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._exchange("\r\n".join(lines).encode() + data, pieces_max)
        except (OSError, Torn, TimeoutError, asyncio.IncompleteReadError):
            self.close()
            return None

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, data: bytes, pieces_max: int | None) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(data)
        status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        pieces: list[bytes] = []
        whole = False
        with contextlib.suppress(OSError, Torn, TimeoutError, asyncio.IncompleteReadError):
            if headers.get("transfer-encoding") == "chunked":
                whole = await _read_chunks(reader, pieces, pieces_max)
            else:
                pieces.append(await reader.readexactly(int(headers["content-length"])))
                whole = True
        if not whole or headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, b"".join(pieces), whole)


async def _read_chunks(reader: asyncio.StreamReader, pieces: list[bytes], pieces_max: int | None) -> bool:
    """Read a chunked body into `pieces`; return whether its end came."""
    while pieces_max is None or len(pieces) < pieces_max:
        size = int(await reader.readuntil(b"\r\n"), 16)
        piece = await reader.readexactly(size + 2)
        if not size:
            return True
        pieces.append(piece[:-2])
    return False


def _head(data: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = data.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}
