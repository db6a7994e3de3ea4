"""One request and its answer, which the connection fills in. This module knows nothing about HTTP or pools.

The state changes only in `_move`, by the table in `states`.
"""

import asyncio
import io
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from pertoken.upstream.errors import BodyTooLarge, ClientClosed, UpstreamError
from pertoken.upstream.states import AWAITED, COMPLETE, FAIL, FAILED, FINISH, HEAD, TRANSFER, after

_HIGH_BYTES = 256 * 1024  # unread bytes at which reading from the socket pauses
_LOW_BYTES = 64 * 1024  # unread bytes at which it resumes
_PIECE_BYTES = 64  # the memory of a piece beyond its content; many tiny chunks fill memory too
_BLOCK_BYTES = 256 * 1024  # copied at once while a body is read whole; 30 MB would stop every other call for 30 ms
_PIECES_MAX = 1024  # a body read whole is joined when it has this many small pieces, for the same reason


class Carrier(Protocol):
    """The connection that carries a transfer, as the transfer calls it."""

    def fail(self, error: UpstreamError) -> None:
        """End the transfer in flight with this error and close the connection."""

    def pause(self) -> None:
        """Stop reading from the socket."""

    def resume(self) -> None:
        """Read from the socket again."""


class Transfer:
    """The answer between `send` and the last byte: first without a status, then with a status and pieces of the body.

    It ends complete or with an error. At most one task may wait on it at a time. If a waiting task is cancelled, the
    connection is closed.
    """

    __slots__ = (
        "_blocks",
        "_carrier",
        "_failure",
        "_full",
        "_loop",
        "_paused",
        "_sink",
        "_unread_bytes",
        "_waiter",
        "_whole_max",
        "error",
        "headers",
        "pieces",
        "started_at",
        "state",
        "status",
    )

    def __init__(self, carrier: Carrier, loop: asyncio.AbstractEventLoop, started_at: float) -> None:
        self.state: str = AWAITED
        self._carrier = carrier
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._unread_bytes = 0
        self._whole_max = 0
        self._blocks: io.BytesIO | None = None
        self._sink: Callable[[bytes], bool] | None = None
        self._full = False  # whether the sink asked for a pause
        self._failure: Exception | None = None  # raised by the sink
        self.started_at = started_at  # loop time, seconds
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: deque[bytes] = deque()
        self.error: UpstreamError | None = None

    @property
    def paused(self) -> bool:
        """Whether the provider waits for our reader, rather than the reader for the provider."""
        return self._paused

    @property
    def complete(self) -> bool:
        """Whether the last byte of the body has arrived."""
        return self.state == COMPLETE

    def take_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Note that the head of the answer has arrived."""
        self._move(HEAD)
        self.status, self.headers = status, headers

    async def wait(self) -> None:
        """Wait for the next event: head, piece, end, error, or room to write."""
        assert self._waiter is None, "one task at a time waits for an answer"
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        except (asyncio.CancelledError, GeneratorExit):
            self.abandon()
            raise
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Wake the waiting task, if there is one."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def feed(self, piece: bytes) -> None:
        """Take one piece of the body from the connection."""
        self.pieces.append(piece)
        if self._sink is not None:
            return  # the connection calls `pass_on` when it has parsed all received bytes
        if self._blocks is None:
            self._unread_bytes += len(piece) + _PIECE_BYTES
            if self._unread_bytes > _HIGH_BYTES and not self._paused:
                self._paused = True
                self._carrier.pause()
            self.wake()
            return
        self._unread_bytes += len(piece)
        if self._unread_bytes > self._whole_max:
            self._carrier.fail(_too_large(self._whole_max))
        elif len(self.pieces) >= _PIECES_MAX or self._unread_bytes - self._blocks.tell() >= _BLOCK_BYTES:
            self._blocks.writelines(self.pieces)
            self.pieces.clear()

    def take(self) -> bytes:
        """Return the oldest unread piece. There must be one."""
        piece = self.pieces.popleft()
        self._unread_bytes -= len(piece) + _PIECE_BYTES
        if self._paused and self._unread_bytes < _LOW_BYTES:
            self._resume()
        return piece

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Pass the body to `sink` as it comes; return after its last byte. Pieces that arrive together are joined.

        The connection's own callback calls the sink, so a piece needs no task switch (8 us less than reading one by
        one). If the sink returns True, no more is read until `room()` has returned. Raises the error that ended the
        transfer, and any error of `sink` and `room`.
        """
        self._sink = sink
        try:
            self.pass_on()
            if not self._full:
                self._resume()  # the buffer may have filled before this call
            while self._failure is None:
                if self._full:
                    await self._until(room())
                    self._full = False
                    self._resume()
                elif self.complete:
                    return
                elif self.error is not None:
                    raise self.error
                else:
                    await self.wait()
            raise self._failure
        except BaseException:
            self.abandon()
            raise
        finally:
            self._sink = None

    async def _until(self, room: Awaitable[None]) -> None:
        """Wait for room, but stop if the transfer ends with an error, such as a time limit."""
        waiting = asyncio.ensure_future(room)
        waiting.add_done_callback(lambda _: self.wake())
        try:
            while not waiting.done():
                if self.error is not None:
                    return
                await self.wait()
            waiting.result()
        finally:
            waiting.cancel()

    def pass_on(self) -> None:
        """Pass all waiting pieces to the sink, if there is one."""
        sink, pieces = self._sink, self.pieces
        if sink is None or not pieces or self._failure is not None:
            return
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._unread_bytes = 0
        try:
            full = sink(piece)
        except Exception as error:  # noqa: BLE001 - raised in the task that called `pour`, not in the connection
            self._failure = error
            self.wake()
            return
        if full and not self._full:
            self._full = True
            if not self._paused and not self._ended:
                self._paused = True
                self._carrier.pause()
            self.wake()

    async def read_whole(self, bytes_max: int) -> bytes:
        """Return the rest of the body. Raises BodyTooLarge above `bytes_max`, or the error that ended the transfer."""
        pieces = self.pieces
        unread_bytes = sum(map(len, pieces))
        if unread_bytes > bytes_max:
            pieces.clear()
            error = _too_large(bytes_max)
            self._carrier_fail(error)
            raise error
        if not self._ended:
            self._unread_bytes, self._whole_max, self._blocks = unread_bytes, bytes_max, io.BytesIO()
            self._resume()
            while not self._ended:
                await self.wait()
        blocks, self._blocks = self._blocks, None
        self._unread_bytes = 0
        if blocks is not None and blocks.tell():
            blocks.writelines(pieces)
            body = blocks.getvalue()
        else:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self.error is not None:
            raise self.error
        return body

    def finish(self) -> None:
        """Note that the last byte of the answer has arrived."""
        self.pass_on()
        self._resume()  # the connection will carry other transfers and must not stay paused
        self._move(FINISH)
        self.wake()

    def end(self, error: UpstreamError) -> None:
        """Note that the transfer has failed. Pieces that came before stay readable."""
        self.pass_on()
        self._move(FAIL)
        self.error = error
        self.wake()

    def abandon(self) -> None:
        """Give up the rest of the answer. If it is unfinished, the connection is closed."""
        self._carrier_fail(ClientClosed("the answer was given up before it was complete", sent=True))

    @property
    def _ended(self) -> bool:
        return self.state == COMPLETE or self.state == FAILED  # noqa: PLR1714 - avoids a tuple for each call

    def _move(self, event: str) -> None:
        self.state = after(TRANSFER, self.state, event)

    def _carrier_fail(self, error: UpstreamError) -> None:
        if not self._ended:
            self._carrier.fail(error)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._ended:
                self._carrier.resume()


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {bytes_max} bytes", sent=True)
