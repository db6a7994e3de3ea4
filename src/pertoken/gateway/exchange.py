"""One call on one client connection: it holds the request and writes the answer.

The state changes only in `_move`, by the table in `states`.
"""

import asyncio
import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from pertoken.gateway.bodies import Bodies
from pertoken.gateway.heads import Head
from pertoken.gateway.states import (
    ABORT,
    ANSWER,
    COMING,
    DONE,
    EXCHANGE,
    FINISH,
    GONE,
    HANG_UP,
    PIECE,
    QUEUED,
    START,
    STREAMING,
    TURN,
    WHOLE,
    after,
)
from pertoken.ports.headers import AnswerHeaders, HeaderList
from pertoken.services.call.heavy import VALUES_MAX, Heavy
from pertoken.wire.routes import Endpoint
from pertoken.wire.structure import values_bound

JOINED_BYTES_MAX = 64 * 1024  # an answer up to this size is copied after its head, to write both at once
STATUS_LINES = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class ClientConnection(Protocol):
    """The client connection, as an exchange calls it."""

    transport: asyncio.Transport
    flow: FlowControl
    server_state: Any  # uvicorn's state, with the default headers of answers

    @property
    def bodies(self) -> Bodies:
        """The count of the bytes of request bodies."""

    def close(self) -> None:
        """Close when the client has taken all written bytes."""

    def on_response_complete(self) -> None:
        """Continue with the next request."""


class HotExchange:
    """One request and its answer. It has the attributes that uvicorn's protocol expects of its current cycle."""

    __slots__ = (
        "_protocol", "_when_gone", "body", "continued", "counted_bytes", "head", "heavy", "keep_alive", "key_id",
        "message_event", "parts", "size", "state", "values_bound",
    )  # fmt: skip

    def __init__(self, protocol: ClientConnection, head: Head, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.state: str = QUEUED
        self._when_gone: Callable[[], None] | None = None
        self.head = head
        self.parts: io.BytesIO | None = None  # of the body, while it arrives; BytesIO returns its bytes without a copy
        self.size = 0
        self.values_bound = 0  # an upper bound of the JSON values in the body
        self.key_id: str | None = None  # None until the caller is known
        self.counted_bytes = 0  # bytes of this body that `bodies` counts
        self.continued = False  # whether a client that waits for 100 Continue has got it
        self.body = b""
        self.heavy: Heavy | None = None
        self.keep_alive = keep_alive
        self.message_event = _NO_EVENT  # uvicorn's protocol sets it on its current cycle

    def take_turn(self) -> None:
        """Note that all earlier requests are answered, so that this one is next."""
        self._move(TURN)

    def be_whole(self) -> None:
        """Note that the last byte of the request has arrived."""
        self._move(WHOLE)

    @property
    def response_complete(self) -> bool:
        """Whether the answer is complete. uvicorn's protocol reads this attribute of its current cycle too."""
        return self.state == DONE

    @property
    def more_body(self) -> bool:
        """Whether the body is incomplete and no answer has begun."""
        return self.state == COMING or self.state == QUEUED  # noqa: PLR1714 - avoids a tuple for each call

    @property
    def endpoint(self) -> Endpoint:
        """The path of the request and its format."""
        return self.head.endpoint

    @property
    def query(self) -> bytes:
        """The query string of the request target."""
        return self.head.query

    @property
    def headers(self) -> HeaderList:
        """The header fields, with names in lower case, without content-length."""
        return self.head.headers

    @property
    def gone(self) -> bool:
        """Whether the client closed the connection."""
        return self.state == GONE

    def when_gone(self, do: Callable[[], None]) -> None:
        """Call `do` when the client closes the connection; at once if it already has."""
        if self.state == GONE:
            do()
        else:
            self._when_gone = do

    def hung_up(self) -> None:
        """Note that the client closed the connection, and call the function of `when_gone`."""
        do, self._when_gone = self._when_gone, None
        self._move(HANG_UP)
        if do is not None and self.state == GONE:
            do()

    def add(self, piece: bytes) -> None:
        """Add a piece of the body."""
        if self.parts is None:
            self.parts = io.BytesIO()
        self.parts.write(piece)
        self.size += len(piece)
        self.values_bound += values_bound(piece, VALUES_MAX)

    def collected(self) -> bytes:
        """Return the bytes of the body that have arrived."""
        return b"" if self.parts is None else self.parts.getvalue()

    def let_go(self) -> None:
        """Drop the collected body and stop counting its bytes."""
        self.parts = None
        self.size = 0
        if self.counted_bytes:
            self._protocol.bodies.give_back(self.key_id or "", self.counted_bytes)
            self.counted_bytes = 0

    def answer(self, status: int, headers: AnswerHeaders, body: bytes) -> None:
        """Send a whole answer."""
        self._move(ANSWER)
        head = (self._head(status, headers), b"content-length: %d\r\n\r\n" % len(body))
        if len(body) > JOINED_BYTES_MAX:
            self._send(head)
            self._send((body,))
        else:
            self._send((*head, body))
        self._complete()

    def start(self, status: int, headers: AnswerHeaders) -> None:
        """Send the head of a streamed answer."""
        self._move(START)
        self._send((self._head(status, headers), b"transfer-encoding: chunked\r\n\r\n"))

    def write(self, chunk: bytes) -> bool:
        """Send a piece of a streamed answer. Return True if the buffer is full: call `drain` before the next piece."""
        self._move(PIECE)
        if self.state == GONE:
            return False
        protocol = self._protocol
        if not protocol.transport.is_closing():
            protocol.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        return protocol.flow.write_paused

    async def drain(self) -> None:
        """Wait until the client has taken enough of the written bytes."""
        flow = self._protocol.flow
        if flow.write_paused and self.state != GONE:
            await flow.drain()

    def finish(self, chunk: bytes = b"") -> None:
        """Send the last piece and end the streamed answer."""
        self._move(FINISH)
        if chunk:
            self._send((b"%x\r\n" % len(chunk), chunk, b"\r\n0\r\n\r\n"))
        else:
            self._send((b"0\r\n\r\n",))
        self._complete()

    def abort(self) -> None:
        """Close the connection without the end marker, so that the client sees that the answer is incomplete."""
        self._move(ABORT)
        self.keep_alive = False
        self._complete()

    @property
    def started(self) -> bool:
        """Whether a streamed answer has begun and not ended."""
        return self.state == STREAMING

    def _head(self, status: int, headers: AnswerHeaders) -> bytes:
        line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status  # type: ignore[call-overload]
        fields = b"\r\n".join(map(b": ".join, (*self._protocol.server_state.default_headers, *headers)))
        return b"%b%b\r\n%b" % (line, fields, b"" if self.keep_alive else b"connection: close\r\n")

    def _move(self, event: str) -> None:
        self.state = after(EXCHANGE, self.state, event)

    def _send(self, parts: tuple[bytes, ...]) -> None:
        # A closing transport may still be sending earlier bytes to the client, but accepts no more.
        if self.state != GONE and not self._protocol.transport.is_closing():
            self._protocol.transport.write(b"".join(parts))

    def _complete(self) -> None:
        self.heavy = None
        self.body = b""  # the connection may live long and keeps a reference to its last request
        if self.state == GONE:
            return
        if not self.keep_alive:
            self._protocol.close()
        self._protocol.on_response_complete()


class _NoEvent(asyncio.Event):
    """Takes the place of an event that uvicorn sets and nothing here waits for."""

    def __init__(self) -> None:
        pass

    def set(self) -> None:
        """Do nothing."""


_NO_EVENT = _NoEvent()
