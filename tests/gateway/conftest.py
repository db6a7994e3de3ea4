"""A gateway's server in this process, on a loop whose clock a test puts forward: nobody waits for minutes."""

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

NEVER_S = 10**6  # of the loop's time
CLIENT_IDLE_S = 60  # after which a client that takes nothing of its answer is cut
LIMITS = LimitSettings(body_bytes_max=10_000, client_idle_ms=CLIENT_IDLE_S * 1000)
HASHER = Hasher(b"the secret key of the tests of the gateway")
SECRET, NEW_SECRET = b"sk-known", b"sk-made-a-moment-ago"
KEY = Key("key_known", "known", HASHER.hash(SECRET), "nown")
NEW_KEY = Key("key_new", "new", HASHER.hash(NEW_SECRET), "-ago")


class Loop(asyncio.SelectorEventLoop):
    """An event loop that can be told that time has passed."""

    ahead_s = 0.0

    def time(self) -> float:
        """Return the loop's seconds."""
        return super().time() + self.ahead_s


class Client:
    """A client's connection, and what the gateway knows of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connections: set[Any]) -> None:
        self.reader = reader
        self.writer = writer
        self._connections = connections

    @property
    def connection(self) -> CallProtocol:
        """The gateway's end of it, while that lives."""
        assert self._connections, "the gateway has ended the connection"
        [connection] = cast("set[CallProtocol]", self._connections)
        return connection

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and all timers run that are due on the way."""
        loop = cast(Loop, asyncio.get_running_loop())
        for _ in range(round(seconds / TICK_S)):
            loop.ahead_s += TICK_S
            for _ in range(3):
                await asyncio.sleep(0)

    async def send(self, data: bytes) -> None:
        """Send bytes and wait until the gateway has read them: it sets a new deadline at each piece."""
        connection = self.connection
        before = connection.deadline
        self.writer.write(data)
        while connection.deadline == before and not connection.transport.is_closing():
            await asyncio.sleep(0)


Story = Callable[[Client], Awaitable[bytes]]


class Ledger:
    """A ledger that knows a key, and, once it was asked to look, another."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def directory(self) -> Directory:
        """What it knows."""
        known = [KEY] if self.looks == 0 else [KEY, NEW_KEY]
        return Directory(self.looks, known, ())

    def submit(self, _command: object) -> "asyncio.Future[Looked]":
        """Look."""
        self.looks += 1
        found = asyncio.get_running_loop().create_future()
        found.set_result(Looked())
        return found


def a_world() -> World:
    """Return a world in which it is known who calls, and nothing else."""
    clock = SimpleNamespace(now_us=lambda: 0, random_bits=lambda _bits: 0)
    ledger, none = cast(Any, Ledger()), cast(Any, None)
    return World(ledger, cast(Any, clock), HASHER, none, {}, none, none, "test", none, 0, none, RefusedCalls())


def told(story: Story, limits: LimitSettings = LIMITS) -> bytes:
    """Run a client's story against a gateway; return what it returns."""
    world, none = a_world(), cast(Any, None)  # nobody looks at the other parts here

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
    """Give a maker of connections without a socket, and end them."""
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
