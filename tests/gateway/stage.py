"""A gateway's connection without a socket: a test gives it bytes and transport calls, and reads what it writes.

The protocol, its exchanges and uvicorn's cycles are the real ones. A test decides, step by
step, what a call does and when the database says whose a key is.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import uvicorn
from tests.gateway.conftest import CLIENT_IDLE_S, Ledger, Loop, a_world
from uvicorn.server import ServerState

from pertoken.core.commands import Looked
from pertoken.gateway import protocol
from pertoken.gateway.deadlines import TICK_S
from pertoken.gateway.exchange import HotExchange
from pertoken.settings import LimitSettings
from pertoken.wire.routes import Endpoint

BODY_BYTES_MAX = 10_000
FULL_BYTES = 64  # bytes of the write buffer; any answer that the client does not read fills it
LIMITS = LimitSettings(body_bytes_max=BODY_BYTES_MAX, client_idle_ms=CLIENT_IDLE_S * 1000)
TURNS = 8  # turns of the loop, after which everything has happened that needs no further event

Receive = Callable[[], Awaitable[Any]]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Transport(asyncio.Transport):
    """A transport like asyncio's, whose client reads or does not. `late` holds bytes that were written too late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, tells_late: bool) -> None:
        super().__init__()
        self.loop = loop
        self.tells_late = tells_late  # whether it reports a full buffer at the end of a turn, like uvloop, not at once
        self.connection: Any = None
        self.sent = bytearray()
        self.late: list[bytes] = []
        self.waiting_bytes = 0
        self.is_taking = True
        self.is_full = False
        self.is_reading = True
        self.has_eof = False
        self.closing = False
        self.lost = False

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Return None: there is no client address."""
        return default

    def is_closing(self) -> bool:
        """Tell whether the transport is closing."""
        return self.closing

    def write(self, data: Any) -> None:
        """Take bytes for the client."""
        if self.closing or self.has_eof:
            self.late.append(bytes(data))
            return
        self.sent += data
        if not self.is_taking:
            self.waiting_bytes += len(data)
            if self.tells_late:
                self.loop.call_soon(self._fill)
            else:
                self._fill()

    def get_write_buffer_size(self) -> int:
        """Return how many written bytes the client has not read."""
        return self.waiting_bytes

    def can_write_eof(self) -> bool:
        """Return True, as for TCP."""
        return True

    def write_eof(self) -> None:
        """Note that no more is written."""
        self.has_eof = True

    def pause_reading(self) -> None:
        """Stop passing bytes to the protocol."""
        self.is_reading = False

    def resume_reading(self) -> None:
        """Pass bytes to the protocol again."""
        self.is_reading = True

    def close(self) -> None:
        """Close when the client has read everything."""
        if not self.closing:
            self.closing = True
            if not self.waiting_bytes:
                self.loop.call_soon(self.lose, None)

    def abort(self) -> None:
        """Close at once."""
        self.closing = True
        self.loop.call_soon(self.lose, None)

    def take(self) -> None:
        """Let the client read everything that waits and everything that is written from now on."""
        self.is_taking, self.waiting_bytes = True, 0
        if self.is_full:
            self.is_full = False
            self.connection.resume_writing()
        if self.closing:
            self.loop.call_soon(self.lose, None)

    def lose(self, error: Exception | None) -> None:
        """Tell the protocol that the connection is gone."""
        self.closing = True
        if not self.lost:
            self.lost = True
            self.connection.connection_lost(error)

    def _fill(self) -> None:
        if not self.is_full and self.waiting_bytes > FULL_BYTES and not self.lost:
            self.is_full = True
            self.connection.pause_writing()


class Asked(Ledger):
    """A ledger that answers a look-up of a key only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[asyncio.Future[Looked]] = []

    def submit(self, _command: object) -> "asyncio.Future[Looked]":
        """Note a look-up."""
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]

    def tell(self) -> None:
        """Answer the look-up."""
        self.looks += 1
        asked, self.asked = self.asked, []
        for one in asked:
            one.set_result(Looked())


class Answer(NamedTuple):
    """One answer, as far as the client has received it."""

    status: int
    body: bytes
    is_whole: bool
    closes: bool


class Stage:
    """One connection and everything around it. `served` lists the calls that began, `orders` their next steps."""

    def __init__(self, limits: LimitSettings = LIMITS, *, tells_late: bool = False) -> None:
        self.loop = Loop()
        self.ledger = Asked()
        self.faults: list[dict[str, Any]] = []
        self.served: list[HotExchange] = []
        self.orders: dict[int, asyncio.Queue[Callable[[], object]]] = {}
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(context))
        self.transport = Transport(self.loop, tells_late=tells_late)
        self.state = ServerState()
        self.state.default_headers = [(b"server", b"stage")]
        world = a_world()._replace(ledger=cast(Any, self.ledger))
        bound = protocol.bind(world, limits)
        config = uvicorn.Config(
            cast(Any, self.app), http=bound, interface="asgi3", log_config=None, lifespan="off", timeout_keep_alive=75
        )
        config.load()
        self.connection = bound(config=config, server_state=self.state, app_state={}, _loop=self.loop)
        self.transport.connection = self.connection
        self.connection.connection_made(self.transport)

    def close(self) -> None:
        """End everything that still runs."""
        self.transport.lose(None)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.turns()
        self.loop.close()

    # -- events --------------------------------------------------------------------------------------------------------

    def turns(self) -> None:
        """Run everything that is due."""

        async def wait() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(wait())

    def receive(self, data: bytes) -> None:
        """Pass bytes to the gateway."""
        self._inside(lambda: self.connection.data_received(data))

    def tell(self) -> None:
        """Let the database answer."""
        self._inside(self.ledger.tell)

    def take(self) -> None:
        """Let the client read everything."""
        self._inside(self.transport.take)

    def lose(self, error: Exception | None = None) -> None:
        """End the connection."""
        self._inside(lambda: self.transport.lose(error))

    def hear_end(self) -> None:
        """Let the client end its sending side; the transport then closes."""
        self._inside(lambda: (self.connection.eof_received(), self.transport.close()))

    def wait_s(self, seconds: float) -> None:
        """Advance the clock."""
        for _ in range(round(seconds / TICK_S)):
            self.loop.ahead_s += TICK_S
            self.turns()

    def order(self, do: Callable[[], object]) -> None:
        """Tell the call being served what to do next."""
        [orders] = self.orders.values()
        orders.put_nowait(do)
        self.turns()

    def _inside(self, do: Callable[[], object]) -> None:
        async def call() -> None:
            do()

        self.loop.run_until_complete(call())
        self.turns()

    # -- the application -----------------------------------------------------------------------------------------------

    async def serve(self, exchange: HotExchange, _endpoint: Endpoint, _world: object) -> None:
        """Serve a call of the data plane by the test's orders, until it is answered or its client is gone."""
        self.served.append(exchange)
        gone = asyncio.Event()
        exchange.when_gone(gone.set)
        await self._obey(len(self.served), gone.wait, lambda: exchange.response_complete or exchange.gone)

    async def app(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve any other path: read the body, then answer with the query when an order comes."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message["more_body"]
        ended = False

        async def answer() -> None:
            nonlocal ended
            length = b"%d" % len(scope["query_string"])
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            await send({"type": "http.response.body", "body": scope["query_string"]})
            ended = True

        async def gone() -> None:
            await receive()

        await self._obey(-1 - len(self.orders), gone, lambda: ended, answer)

    async def _obey(
        self,
        number: int,
        gone: Callable[[], Awaitable[object]],
        over: Callable[[], bool],
        answer: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        orders = self.orders[number] = asyncio.Queue()
        left = asyncio.ensure_future(gone())
        try:
            while not over():
                order = asyncio.ensure_future(orders.get())
                await asyncio.wait([left, order], return_when=asyncio.FIRST_COMPLETED)
                if not order.done():
                    order.cancel()
                    return
                if answer is not None:
                    await answer()
                else:
                    order.result()()
        finally:
            left.cancel()
            del self.orders[number]

    # -- the client's view ---------------------------------------------------------------------------------------------

    def answers(self) -> list[Answer]:
        """Return the answers so far, in order. Raises AssertionError for bytes that are not HTTP."""
        found, data = [], bytes(self.transport.sent)
        while data:
            head, end, data = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 "), head
            assert end, "a head is written whole"
            status = int(head[9:12])
            if status < 200:
                continue
            length = _LENGTH.search(head)
            if length is not None:
                body, data = data[: int(length[1])], data[int(length[1]) :]
                is_whole = len(body) == int(length[1])
            else:
                body, data, is_whole = _unchunked(data)
            found.append(Answer(status, body, is_whole, b"\r\nconnection: close" in head.lower()))
            assert is_whole or not data
        return found


def _unchunked(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, end, data = body + data[:length], data[length : length + 2], data[length + 2 :]
        assert end == b"\r\n"
        if not length:
            return body, data, True
    return body, data, False
