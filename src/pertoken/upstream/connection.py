"""One HTTP/1.1 connection to a provider, which carries one transfer at a time.

It knows its pool only through the protocol `Owner`. httptools (llhttp, strict) parses the answers. This module also
refuses what llhttp accepts: transfer codings other than one `chunked`, versions other than 1.0 and 1.1, a head without
a size limit, an answer without a request.

The parser has two limits. It cannot be told that the answer to HEAD has no body, so such a connection is not used
again. It skips empty lines between messages, so a stray CRLF after an answer goes unnoticed; this is harmless, because
the next answer still starts at its status line.

The state changes only in `_move`, by the table in `states`.
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

_JOINED_BYTES = 16 * 1024  # up to this size, copying the body after the head costs less than a second buffer
_AT_ONCE_BYTES = 1024 * 1024  # bodies up to this size are written at once; larger ones wait for the socket
_SLICE_BYTES = 256 * 1024


class Owner(Protocol):
    """The pool that owns a connection, as the connection calls it."""

    def idle(self, connection: "Connection", now: float) -> None:
        """Take back a connection that can carry another transfer."""

    def spent(self, connection: "Connection") -> None:
        """Forget a connection that must not carry another transfer."""

    def lost(self, connection: "Connection") -> None:
        """Stop counting a connection whose socket is closed."""


class Connection(asyncio.Protocol):
    """An asyncio protocol on a TCP or TLS transport. `idle_since` is the loop time when its last transfer ended."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, limits: ClientLimits) -> None:
        self.state: str = NEW
        self._owner = owner
        self._loop = loop
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._transfer: Transfer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._bodiless = False  # whether the request is HEAD, whose answer has no body
        self._write_paused = False
        self._quiet_bytes = 0  # received since the last piece of a body
        self._asked_at = 0.0
        self._heard_at = 0.0
        self.idle_since = 0.0
        self.gone: asyncio.Future[None] | None = None  # set by a caller that waits until the socket is closed

    # -- called by the client ------------------------------------------------------------------------------------------

    def usable(self) -> bool:
        """Tell whether a request can be written now: the transport is open, as far as known."""
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, started_at: float, *, bodiless: bool) -> Transfer:
        """Start a transfer. The connection must be usable and free. `started_at` is the loop time of the `send`."""
        self._move(ASK)
        self._transfer = transfer = Transfer(self, self._loop, started_at)
        self._headers = []
        self._bodiless = bodiless
        self._quiet_bytes = 0
        self._asked_at = self._heard_at = self._loop.time()
        return transfer

    def write(self, head: bytes, body: bytes) -> bool:
        """Write a request at once. Return False if only the head was written, because the body is too large."""
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
        """Write a large body as fast as the socket takes it. Stop if the answer or an error comes first."""
        view = memoryview(body)
        for start in range(0, len(body), _SLICE_BYTES):
            while self._write_paused and not transfer.status and transfer.error is None:
                await transfer.wait()
            if transfer.status or transfer.error is not None:
                return  # the request stays unfinished, and the connection is not used again
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
        """Close the connection. No transfer may be in flight."""
        self._move(CLOSE)
        self._owner.spent(self)
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """End the transfer in flight if one of its time limits has passed. The pool's coarse timer calls this."""
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
        """Stop reading from the socket, because the reader of the body is behind."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the socket again. The provider's idle time restarts, because the delay was ours."""
        assert self._transport is not None
        self._heard_at = self._loop.time()
        self._transport.resume_reading()

    # -- called by the transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport. For a tunnel, `dial` calls this when TLS is established."""
        self._move(CONNECT)
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport lacks only the base class
        if self.state == CLOSED:
            self._transport.abort()  # the caller gave the connection up before it opened

    def data_received(self, data: bytes) -> None:
        """Parse received bytes. When the answer is complete, return the connection to the pool."""
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
            # If the answer was complete, these are surplus bytes, and the caller's answer stays valid.
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
        """Do nothing: the transport closes itself and calls `connection_lost`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the transfer: complete if the end of the connection ends the body, otherwise with an error."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            if exc is None and self.state in (BODY_TO_EOF, LAST_TO_EOF):
                transfer.finish()
            else:
                transfer.end(_cut(before_head=not transfer.status, cause=exc))
        self._move(LOST)
        self._owner.spent(self)
        self._owner.lost(self)
        self._parser = None  # type: ignore[assignment] # it refers to us: break the reference cycle, which the collector would find late
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        """Note that the socket's buffer is full. Only `upload` looks at this."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let `upload` continue."""
        self._write_paused = False
        if self._transfer is not None:
            self._transfer.wake()

    # -- called by the parser ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Note a second answer after the first, so that the connection is not used again."""
        if self._transfer is None:
            self._move(MORE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header field. Trailers are collected too, within the size limit, and then dropped."""
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Check the head and pass it to the transfer. Interim heads (1xx) are skipped."""
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
        """Pass a piece of the body to the transfer."""
        transfer = self._transfer
        if transfer is not None:
            self._quiet_bytes = 0
            transfer.feed(piece)

    def on_message_complete(self) -> None:
        """End the transfer, unless the message was only an interim head."""
        if self._transfer is not None and self.state not in (SENDING, WAITING):
            self._complete(END if self._parser.should_keep_alive() else END_LAST)

    # -- internal ------------------------------------------------------------------------------------------------------

    def _move(self, event: str) -> None:
        self.state = after(CONNECTION, self.state, event)

    def _complete(self, event: str) -> None:
        self._move(event)
        transfer, self._transfer = self._transfer, None
        assert transfer is not None
        transfer.finish()

    def _fault(self, status: int, headers: list[tuple[bytes, bytes]]) -> str:
        """Return why this head is refused, or "". If it is accepted, the state moves to the body."""
        if status < 200:
            return f"not a status: {status}"
        if self._quiet_bytes > self._limits.header_bytes:  # rare: may include body, so count the head exactly
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
