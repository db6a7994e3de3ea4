"""One call on one client connection: its request as it was read, and the writing of its answer.

Its state moves in `_move` alone, by the table in `states`.
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

JOINED_BYTES_MAX = 64 * 1024  # of an answer that is copied to stand behind its head
STATUS_LINES = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class ClientConnection(Protocol):
    """What an exchange asks of its connection."""

    transport: asyncio.Transport
    flow: FlowControl
    server_state: Any  # uvicorn's, with the headers of every answer

    @property
    def bodies(self) -> Bodies:
        """The count of what is kept of bodies."""

    def close(self) -> None:
        """Close once the client has taken what was written."""

    def on_response_complete(self) -> None:
        """Go on with the next request."""


class HotExchange:
    """Speaks for one request. It has the attributes that uvicorn's protocol expects of its current cycle."""

    __slots__ = (
        "_protocol", "_when_gone", "body", "counted_bytes", "expects", "head", "heavy", "keep_alive", "key_id",
        "message_event", "parts", "size", "state", "values_bound",
    )  # fmt: skip

    def __init__(self, protocol: ClientConnection, head: Head, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.state: str = QUEUED
        self._when_gone: Callable[[], None] | None = None
        self.head = head
        self.parts: io.BytesIO | None = None  # of the body, while it comes: it gives its bytes without a copy
        self.size = 0
        self.values_bound = 0  # how much structure came at most
        self.key_id: str | None = None  # once it is known who calls
        self.counted_bytes = 0  # in the account of `bodies`
        self.expects = False  # the client waits for a word before it sends the body
        self.body = b""
        self.heavy: Heavy | None = None
        self.keep_alive = keep_alive
        self.message_event = _NO_EVENT  # uvicorn's protocol sets it on its current cycle

    def take_turn(self) -> None:
        """Be answered next: all earlier requests are."""
        self._move(TURN)

    def be_whole(self) -> None:
        """Note that the last byte of the request has come."""
        self._move(WHOLE)

    @property
    def response_complete(self) -> bool:
        """Whether it is answered; uvicorn's protocol asks this of its current cycle as well."""
        return self.state == DONE

    @property
    def more_body(self) -> bool:
        """Whether its body is not yet whole, and nothing is answered."""
        return self.state == COMING or self.state == QUEUED  # noqa: PLR1714 - no tuple is made for each question

    @property
    def endpoint(self) -> Endpoint:
        """Which format it speaks."""
        return self.head.endpoint

    @property
    def query(self) -> bytes:
        """The query string of the request target."""
        return self.head.query

    @property
    def headers(self) -> HeaderList:
        """The header fields, names in lower case, without the length."""
        return self.head.headers

    @property
    def gone(self) -> bool:
        """Whether the client hung up."""
        return self.state == GONE

    def when_gone(self, do: Callable[[], None]) -> None:
        """Call `do` as soon as the client hangs up; at once where it has."""
        if self.state == GONE:
            do()
        else:
            self._when_gone = do

    def hung_up(self) -> None:
        """Note that the client is gone, and tell whoever asked."""
        do, self._when_gone = self._when_gone, None
        self._move(HANG_UP)
        if do is not None and self.state == GONE:
            do()

    def add(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.parts is None:
            self.parts = io.BytesIO()
        self.parts.write(piece)
        self.size += len(piece)
        self.values_bound += values_bound(piece, VALUES_MAX)

    def collected(self) -> bytes:
        """Return what came of the body."""
        return b"" if self.parts is None else self.parts.getvalue()

    def let_go(self) -> None:
        """Forget what came of the body, and stop counting it."""
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
        """Send a piece of a streamed answer. True: the client has not yet taken enough; `drain` before the next."""
        self._move(PIECE)
        if self.state == GONE:
            return False
        protocol = self._protocol
        if not protocol.transport.is_closing():
            protocol.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        return protocol.flow.write_paused

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
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
        """Close the connection without an end: the client must not take what it has for the whole."""
        self._move(ABORT)
        self.keep_alive = False
        self._complete()

    @property
    def started(self) -> bool:
        """Whether a part of a streamed answer was sent."""
        return self.state == STREAMING

    def _head(self, status: int, headers: AnswerHeaders) -> bytes:
        line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status  # type: ignore[call-overload]
        fields = b"\r\n".join(map(b": ".join, (*self._protocol.server_state.default_headers, *headers)))
        return b"%b%b\r\n%b" % (line, fields, b"" if self.keep_alive else b"connection: close\r\n")

    def _move(self, event: str) -> None:
        self.state = after(EXCHANGE, self.state, event)

    def _send(self, parts: tuple[bytes, ...]) -> None:
        # closed, and the client has not yet taken what came before: it is not gone, and takes nothing more
        if self.state != GONE and not self._protocol.transport.is_closing():
            self._protocol.transport.write(b"".join(parts))

    def _complete(self) -> None:
        self.heavy = None
        self.body = b""  # the connection may live long, and it knows its last request
        if self.state == GONE:
            return
        if not self.keep_alive:
            self._protocol.close()
        self._protocol.on_response_complete()


class _NoEvent(asyncio.Event):
    """Stands where uvicorn sets an event that nothing here waits for."""

    def __init__(self) -> None:
        pass

    def set(self) -> None:
        """Do nothing."""


_NO_EVENT = _NoEvent()
