"""One HTTP/1.1 connection to a provider: bytes to and from one transfer at a time; it knows no pool but by its port.

httptools (llhttp, strict) parses. What llhttp lets pass and we do not: transfer codings other than one `chunked`,
versions other than 1.0 and 1.1, an unlimited head, an answer that nobody asked for.

Two limits of the parser: it cannot be told that a HEAD answer has no body, so such a connection is not used again; and
it skips empty lines between messages, so a stray CRLF behind an answer goes unnoticed (and is harmless: the next answer
still starts at its status line).

Its state moves in `_move` alone, by the table in `states`.
"""

import asyncio
from typing import Protocol, cast

import httptools

from pertoken.upstream.errors import (
    ConnectionCut,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
    UpstreamError,
)
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.states import (
    ASK,
    BODY_TO_EOF,
    CLOSE,
    CLOSED,
    CONNECT,
    CONNECTION,
    DONE,
    END,
    END_LAST,
    HEAD,
    HEAD_TO_EOF,
    LAST_TO_EOF,
    LOST,
    MORE,
    NEW,
    RELEASE,
    SENDING,
    SENT,
    WAITING,
    after,
)
from pertoken.upstream.transfer import Transfer

_JOINED_BYTES = 16 * 1024  # below this, copying a body behind its head is cheaper than a second buffer
_AT_ONCE_BYTES = 1024 * 1024  # bodies up to this are handed over whole; larger ones wait for the socket
_SLICE_BYTES = 256 * 1024


class Owner(Protocol):
    """What a connection tells the pool that owns it."""

    def idle(self, connection: "Connection", now: float) -> None:
        """Take back a connection that can carry another transfer."""

    def spent(self, connection: "Connection") -> None:
        """Forget a connection that must not carry another transfer."""

    def lost(self, connection: "Connection") -> None:
        """Stop counting a connection whose socket is closed."""


class Connection(asyncio.Protocol):
    """A protocol on a TCP or TLS transport; `idle_since` is the loop time when its last transfer ended."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, limits: ClientLimits) -> None:
        self.state: str = NEW
        self._owner = owner
        self._loop = loop
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._transfer: Transfer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._bodiless = False  # the answer to HEAD
        self._write_paused = False
        self._quiet_bytes = 0  # received since the last piece of a body
        self._asked_at = 0.0
        self._heard_at = 0.0
        self.idle_since = 0.0
        self.gone: asyncio.Future[None] | None = None  # set by who wants to know when the socket is closed

    # -- what the client asks ------------------------------------------------------------------------------------------

    def usable(self) -> bool:
        """Tell whether a request can be written now: the other side has not been seen to close."""
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, started_at: float, *, bodiless: bool) -> Transfer:
        """Start a transfer; the connection must be usable and free."""
        self._move(ASK)
        self._transfer = transfer = Transfer(self, self._loop, started_at)
        self._headers = []
        self._bodiless = bodiless
        self._quiet_bytes = 0
        self._asked_at = self._heard_at = self._loop.time()
        return transfer

    def write(self, head: bytes, body: bytes) -> bool:
        """Write a request at once; False where the body is too large for that and only the head was written."""
        assert self._transport is not None
        if len(body) > _AT_ONCE_BYTES:
            self._transport.write(head)
            return False
        self._move(SENT)
        if len(body) <= _JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return True

    async def upload(self, transfer: Transfer, body: bytes) -> None:
        """Write a large body as fast as the socket takes it; stop where the answer or an error comes first."""
        view = memoryview(body)
        for start in range(0, len(body), _SLICE_BYTES):
            while self._write_paused and not transfer.status and transfer.error is None:
                await transfer.wait()
            if transfer.status or transfer.error is not None:
                return  # the request stays unfinished, the connection is not used again
            assert self._transport is not None
            self._transport.write(view[start : start + _SLICE_BYTES])
        self._move(SENT)

    def fail(self, error: UpstreamError) -> None:
        """End the transfer in flight, if any, with this error and close the connection without waiting for the peer."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.end(error)
        self.discard()

    def discard(self) -> None:
        """Close the connection; nothing is in flight."""
        self._move(CLOSE)
        self._owner.spent(self)
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """End the transfer in flight if one of its times is over; called by the pool's coarse timer."""
        transfer = self._transfer
        if transfer is None:
            return
        limits = self._limits
        if (now - transfer.started_at) * 1000 >= limits.total_ms:
            self.fail(TotalTimeout(f"the transfer took longer than {limits.total_ms} ms", sent=True))
        elif not transfer.status:
            if (now - self._asked_at) * 1000 >= limits.first_byte_ms:
                message = f"no answer began within {limits.first_byte_ms} ms"
                self.fail(FirstByteTimeout(message, sent=True))
        elif not transfer.paused and (now - self._heard_at) * 1000 >= limits.idle_ms:
            self.fail(IdleTimeout(f"the body stalled for longer than {limits.idle_ms} ms", sent=True))

    def pause(self) -> None:
        """Stop reading from the socket: the reader of the body is behind."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on; the provider's idle time starts anew, for it was we who waited."""
        assert self._transport is not None
        self._heard_at = self._loop.time()
        self._transport.resume_reading()

    # -- what the transport tells --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; behind a tunnel this is called by hand once TLS stands."""
        self._move(CONNECT)
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        if self.state == CLOSED:
            self._transport.abort()  # it was given up before

    def data_received(self, data: bytes) -> None:
        """Parse what came; hand the connection back once the answer is complete."""
        transfer = self._transfer
        if transfer is None:
            self._move(MORE)
            self.discard()
            return
        self._heard_at = self._loop.time()
        self._quiet_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # Behind a complete answer this is surplus, and the caller's answer stays good.
            self.fail(ProtocolError(f"the answer is not http/1.1: {error}", sent=True, cause=error))
            return
        if self._transfer is not None:
            transfer.pass_on()
            if self._quiet_bytes > self._limits.header_bytes:
                self._refuse(f"a head or trailer is larger than {self._limits.header_bytes} bytes")
        elif self.state == DONE and self.usable():
            self._move(RELEASE)
            self.idle_since = self._heard_at
            self._owner.idle(self, self._heard_at)
        else:
            self.discard()

    def eof_received(self) -> None:
        """Do nothing: the transport closes itself, and `connection_lost` judges what that means."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge whether the end of the connection is the end of the answer, and let go of everything."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            if exc is None and self.state in (BODY_TO_EOF, LAST_TO_EOF):
                transfer.finish()
            else:
                transfer.end(_cut(before_head=not transfer.status, cause=exc))
        self._move(LOST)
        self._owner.spent(self)
        self._owner.lost(self)
        self._parser = None  # type: ignore[assignment] # it knows us: a circle, which the collector finds late
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        """Note that the socket is full; only large bodies look at it."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let a large body go on."""
        self._write_paused = False
        if self._transfer is not None:
            self._transfer.wake()

    # -- what the parser tells -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Notice a second answer behind the first: the connection is out of step."""
        if self._transfer is None:
            self._move(MORE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field; trailers are collected, too (their size is limited) and forgotten."""
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head, and give it to who waits for it."""
        transfer = self._transfer
        if transfer is None:
            return
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if 100 <= status < 200:
            if status == 101:
                self._refuse("the provider switched protocols without being asked to: 101")
            return
        fault = self._fault(status, headers)
        if fault:
            self._refuse(fault)
            return
        transfer.take_head(status, headers)
        if self._bodiless:
            self._complete(END_LAST)
        else:
            transfer.wake()

    def on_body(self, piece: bytes) -> None:
        """Pass a piece of the body on."""
        transfer = self._transfer
        if transfer is not None:
            self._quiet_bytes = 0
            transfer.feed(piece)

    def on_message_complete(self) -> None:
        """End the transfer, unless it was only an interim head."""
        if self._transfer is not None and self.state not in (SENDING, WAITING):
            self._complete(END if self._parser.should_keep_alive() else END_LAST)

    # -- below ---------------------------------------------------------------------------------------------------------

    def _move(self, event: str) -> None:
        self.state = after(CONNECTION, self.state, event)

    def _complete(self, event: str) -> None:
        self._move(event)
        transfer, self._transfer = self._transfer, None
        assert transfer is not None
        transfer.finish()

    def _fault(self, status: int, headers: list[tuple[bytes, bytes]]) -> str:
        """Name what makes this head refused, "" if nothing; then the body is next."""
        if status < 200:
            return f"not a status: {status}"
        if self._quiet_bytes > self._limits.header_bytes:  # rare: the received bytes may be body, so count exactly
            head_bytes = sum(len(name) + len(value) + 4 for name, value in headers)
            if head_bytes > self._limits.header_bytes:
                return f"the head of the answer is larger than {self._limits.header_bytes} bytes"
        names = [name for name, _ in headers]
        lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
        if lengths + codings > 1:
            return f"the body has two lengths: {lengths} content-length, {codings} transfer-encoding"
        if codings:
            coding = headers[names.index(b"transfer-encoding")][1]
            if coding.lower() != b"chunked":
                return f"a transfer coding that nobody asked for: {coding!r}"
        if not self._parser.should_keep_alive() and self._parser.get_http_version() not in ("1.0", "1.1"):
            return f"not a version of http/1: {self._parser.get_http_version()}"
        self._move(HEAD if lengths or codings else HEAD_TO_EOF)
        return ""

    def _refuse(self, fault: str) -> None:
        self.fail(ProtocolError(fault, sent=True))


def _cut(*, before_head: bool, cause: Exception | None) -> ConnectionCut:
    when = "before the head of its answer" if before_head else "in the middle of its answer"
    return ConnectionCut(f"the provider closed the connection {when}", sent=True, before_head=before_head, cause=cause)
