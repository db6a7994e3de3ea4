"""The floor to measure against: forwards every POST to the provider on uvloop and httptools, and accounts for nothing.

No keys, no limits, no errors: as little as a Python proxy can do. Answers, whole or streamed, go back as they come.
"""

import asyncio
import sys
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

POOL: list["Upstream"] = []


class Upstream(asyncio.Protocol):
    """One connection to the provider."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def ask(self, data: bytes, client: asyncio.WriteTransport) -> None:
        """Send a request; its answer goes to `client`."""
        self.parser = httptools.HttpResponseParser(self)
        self.client = client
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.client.write(data)
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        POOL.append(self)


class Client(asyncio.Protocol):
    """One connection of the load generator."""

    address: tuple[str, int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpRequestParser(self)
        self.parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        data = b"".join(self.parts)
        self.parts.clear()
        self.task = asyncio.ensure_future(self.forward(data))

    async def connect(self) -> Upstream:
        return (await asyncio.get_running_loop().create_connection(Upstream, *self.address))[1]

    async def forward(self, data: bytes) -> None:
        upstream = POOL.pop() if POOL else await self.connect()
        upstream.ask(data, self.transport)


async def main(port: int, provider: str) -> None:
    """Serve until ended."""
    parts = urlsplit(provider)
    Client.address = (parts.hostname or "", parts.port or 0)
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", port, backlog=4_096)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2]))
