"""A gateway's server in this process, on a loop whose clock a test can advance, so that no test waits for minutes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn

from pertoken.core.commands import Looked
from pertoken.core.directory import Directory, Key
from pertoken.core.refusals import RefusedCalls
from pertoken.core.secrets import Hasher
from pertoken.gateway import protocol
from pertoken.gateway.app import create_app
from pertoken.gateway.deadlines import TICK_S
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.protocol import CallProtocol
from pertoken.gateway.server import _Server
from pertoken.services.world import World
from pertoken.settings import LimitSettings
from pertoken.wire.routes import Endpoint

NEVER_S = 10**6  # seconds of loop time
CLIENT_IDLE_S = 60  # after this, a client that reads nothing of its answer is disconnected
LIMITS = LimitSettings(body_bytes_max=10_000, client_idle_ms=CLIENT_IDLE_S * 1000)
HASHER = Hasher(b"the secret key of the tests of the gateway")
SECRET, NEW_SECRET = b"sk-known", b"sk-made-a-moment-ago"
KEY = Key("key_known", "known", HASHER.hash(SECRET), "nown")
NEW_KEY = Key("key_new", "new", HASHER.hash(NEW_SECRET), "-ago")


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can advance."""

    ahead_s = 0.0

    def time(self) -> float:
        """Return the loop's time in seconds."""
        return super().time() + self.ahead_s


class Client:
    """A client's connection, and the gateway's side of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connections: set[Any]) -> None:
        self.reader = reader
        self.writer = writer
        self._connections = connections

    @property
    def connection(self) -> CallProtocol:
        """The gateway's protocol of this connection, while it is open."""
        assert self._connections, "the gateway has ended the connection"
        [connection] = cast("set[CallProtocol]", self._connections)
        return connection

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock, and run all timers that are due in between."""
        loop = cast(Loop, asyncio.get_running_loop())
        for _ in range(round(seconds / TICK_S)):
            loop.ahead_s += TICK_S
            for _ in range(3):
                await asyncio.sleep(0)

    async def send(self, data: bytes) -> None:
        """Send bytes and wait until the gateway has read them, which shows as a new deadline."""
        connection = self.connection
        before = connection.deadline
        self.writer.write(data)
        while connection.deadline == before and not connection.transport.is_closing():
            await asyncio.sleep(0)


Story = Callable[[Client], Awaitable[bytes]]


class Ledger:
    """A ledger that knows one key, and a second key after a look-up."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def directory(self) -> Directory:
        """The known keys."""
        known = [KEY] if self.looks == 0 else [KEY, NEW_KEY]
        return Directory(self.looks, known, ())

    def submit(self, _command: object) -> "asyncio.Future[Looked]":
        """Look up the second key."""
        self.looks += 1
        found = asyncio.get_running_loop().create_future()
        found.set_result(Looked())
        return found


def a_world() -> World:
    """Return a world that can identify callers and do nothing else."""
    clock = SimpleNamespace(now_us=lambda: 0, random_bits=lambda _bits: 0)
    ledger, none = cast(Any, Ledger()), cast(Any, None)
    return World(ledger, cast(Any, clock), HASHER, none, {}, none, none, "test", none, 0, none, RefusedCalls())


def told(story: Story, limits: LimitSettings = LIMITS) -> bytes:
    """Run a client's coroutine against a gateway; return its result."""
    world, none = a_world(), cast(Any, None)  # these tests do not use the other parts

    async def scene() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ready = asyncio.Event()
            bound = protocol.bind(world, limits)
            config = uvicorn.Config(
                create_app(world, none, none, none), http=bound, log_config=None, lifespan="off", timeout_keep_alive=75
            )
            server = _Server(config, ready.set)
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            await ready.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            connections = server.server_state.connections
            while not connections:
                await asyncio.sleep(0)
            try:
                return await asyncio.wait_for(story(Client(reader, writer, connections)), NEVER_S)
            finally:
                writer.close()
                server.should_exit = True
                await serving

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(scene())


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Give a function that makes connections without a socket; close them at the end."""
    from tests.gateway.stage import Stage

    made: list[Stage] = []

    async def serve(exchange: HotExchange, endpoint: Endpoint, world: object) -> None:
        await made[-1].serve(exchange, endpoint, world)

    def make(limits: LimitSettings = LIMITS, *, tells_late: bool = False) -> Stage:
        made.append(Stage(limits, tells_late=tells_late))
        return made[-1]

    monkeypatch.setattr(protocol, "serve", serve)
    yield make
    for stage in made:
        stage.close()
