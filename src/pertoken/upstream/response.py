"""What the caller of the client holds: status, headers, and the body, whole or piece by piece."""

from collections.abc import Awaitable, Callable
from typing import Self

from pertoken.upstream.exchange import Exchange


class Response:
    """An answer whose head has arrived; the body may still be on its way.

    Header names are lower case, values bytes as sent. The connection goes back to the pool by itself when the body is
    complete. Whoever does not read to the end calls `aclose`; until then, or until the total time is over, the
    connection stays taken. One task reads at a time; cancelling it closes the connection.
    """

    __slots__ = ("_body_bytes_max", "_exchange", "headers", "status")

    def __init__(self, exchange: Exchange, body_bytes_max: int) -> None:
        self._exchange = exchange
        self._body_bytes_max = body_bytes_max
        self.status = exchange.status
        self.headers = exchange.headers

    @property
    def complete(self) -> bool:
        """Whether the last byte of the body has arrived (it may still wait to be read)."""
        return self._exchange.complete

    async def read(self) -> bytes:
        """Return the rest of the body, content-encoded as sent.

        Raises BodyTooLarge, ConnectionCut, ProtocolError, IdleTimeout, TotalTimeout or ClientClosed.
        """
        return await self._exchange.read_whole(self._body_bytes_max)

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give the rest of the body to `sink` as it arrives, and return after its last byte.

        Where `sink` returns True, nothing more is read until `room()` has returned. Raises what `read` raises, but no
        BodyTooLarge, and what sink and room raise; then the connection is closed.
        """
        await self._exchange.pour(sink, room)

    def __aiter__(self) -> Self:
        """Iterate over the pieces one by one: `async for piece in response`."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, as it came from the socket; pieces that came before an error go before the error.

        Raises what `read` raises, but no BodyTooLarge: reading from the provider pauses while pieces wait.
        """
        exchange = self._exchange
        while not exchange.pieces:
            if exchange.complete:
                raise StopAsyncIteration
            if exchange.error is not None:
                raise exchange.error
            await exchange.wait()
        return exchange.take()

    async def aclose(self) -> None:
        """Give up what is unread; an unfinished body costs its connection, since HTTP/1.1 cannot cancel otherwise."""
        self._exchange.abandon()
        self._exchange.pieces.clear()
