"""What the caller of the client holds: status, headers, and the body, whole or piece by piece."""

from collections.abc import Awaitable, Callable
from typing import Self

from pertoken.upstream.transfer import Transfer


class Response:
    """An answer whose head has arrived; the body may still be on its way.

    Header names are lower case, values bytes as sent. The connection goes back to the pool by itself when the body is
    complete. Whoever does not read to the end calls `aclose`; until then, or until the total time is over, the
    connection stays taken. One task reads at a time; cancelling it closes the connection.
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
        """Give the rest of the body to `sink` as it arrives, and return after its last byte.

        Where `sink` returns True, nothing more is read until `room()` has returned. Raises what `read` raises, but no
        BodyTooLarge, and what sink and room raise; then the connection is closed.
        """
        await self._transfer.pour(sink, room)

    def __aiter__(self) -> Self:
        """Iterate over the pieces one by one: `async for piece in response`."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, as it came from the socket; pieces that came before an error go before the error.

        Raises what `read` raises, but no BodyTooLarge: reading from the provider pauses while pieces wait.
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
        """Give up what is unread; an unfinished body costs its connection, since HTTP/1.1 cannot cancel otherwise."""
        self.abandon()
        self._transfer.pieces.clear()

    def abandon(self) -> None:
        """Close the connection of an unfinished body; whoever reads it gets ClientClosed."""
        self._transfer.abandon()
