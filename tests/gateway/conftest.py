"""A gateway's server in this process, on a loop whose clock a test puts forward: nobody waits for minutes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvicorn

from pertoken.gateway import protocol
from pertoken.gateway.app import App, create_app
from pertoken.gateway.deadlines import TICK_S
from pertoken.gateway.protocol import CallProtocol
from pertoken.gateway.server import _Server
from pertoken.services.world import World

NEVER_S = 10**6  # of the loop's time
CLIENT_IDLE_S = 60  # after which a client that takes nothing of its answer is cut


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


def told(story: Story) -> bytes:
    """Run a client's story against a gateway; return what it returns."""
    world, api = cast(World, None), cast(App, None)  # nobody looks at them here

    async def scene() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ready = asyncio.Event()
            bound = protocol.bind(world, 10_000, CLIENT_IDLE_S * 1000)
            config = uvicorn.Config(
                create_app(world, api), http=bound, log_config=None, lifespan="off", timeout_keep_alive=75
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
