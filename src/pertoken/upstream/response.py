"""The answer that `Client.send` returns: status, headers, and the body, whole or piece by piece."""

from collections.abc import Awaitable, Callable
from typing import Self

from pertoken.upstream.transfer import Transfer


class Response:
    """An answer whose head has arrived; the body may still be on its way.

    Header names are in lower case; values are bytes as sent. The connection returns to the pool when the body is
    complete. A caller that does not read to the end must call `aclose`; until then, or until the total time has passed,
    the connection stays busy. Only one task may read at a time; cancelling it closes the connection.
    """

    __slots__ = ("_body_bytes_max", "_transfer", "headers", "status")

    def __init__(self, transfer: Transfer, body_bytes_max: int) -> None:
        self._transfer = transfer
        self._body_bytes_max = body_bytes_max
        self.status = transfer.status
        self.headers = transfer.headers

    @property
    def complete(self) -> bool:
        """Whether the last byte of the body has arrived (it may still wait to be read)."""
        return self._transfer.complete

    async def read(self) -> bytes:
        """Return the rest of the body, content-encoded as sent.

        Raises BodyTooLarge, ConnectionCut, ProtocolError, IdleTimeout, TotalTimeout or ClientClosed.
        """
        return await self._transfer.read_whole(self._body_bytes_max)

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Pass the rest of the body to `sink` as it arrives; return after its last byte.

        If `sink` returns True, no more is read until `room()` has returned. Raises the errors of `read` except
        BodyTooLarge, and any error of `sink` and `room`. After an error the connection is closed.
        """
        await self._transfer.pour(sink, room)

    def __aiter__(self) -> Self:
        """Iterate over the pieces one by one: `async for piece in response`."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece as it came from the socket. Pieces that came before an error are returned first.

        Raises the errors of `read` except BodyTooLarge: reading from the socket pauses when many bytes wait.
        """
        transfer = self._transfer
        while not transfer.pieces:
            if transfer.complete:
                raise StopAsyncIteration
            if transfer.error is not None:
                raise transfer.error
            await transfer.wait()
        return transfer.take()

    async def aclose(self) -> None:
        """Drop the unread rest. An unfinished body closes the connection: HTTP/1.1 has no other way to cancel."""
        self.abandon()
        self._transfer.pieces.clear()

    def abandon(self) -> None:
        """Close the connection if the body is unfinished. A task that reads the body gets ClientClosed."""
        self._transfer.abandon()
