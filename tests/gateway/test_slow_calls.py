"""A call that takes its time: its client is not late, though its request came in pieces or another stands behind."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import uvicorn

from pertoken.gateway import protocol
from pertoken.gateway.app import App, create_app
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.server import _Server
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

BODY = b"x" * 100
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n" + BODY
HALF = len(REQUEST) - 50
Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


async def serve_slowly(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Take longer than a client may pause within a request."""
    await asyncio.sleep(1)
    exchange.answer(200, [], exchange.body)


async def in_two_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a request in two pieces, as many clients send head and body."""
    writer.write(REQUEST[:HALF])
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(REQUEST[HALF:])
    return await reader.readuntil(BODY)


async def half_of_another_behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a request and half of another, and the rest once the first is answered."""
    writer.write(REQUEST + REQUEST[:HALF])
    answer = await reader.readuntil(BODY)
    writer.write(REQUEST[HALF:])
    assert b" 200 OK" in await reader.readuntil(BODY)
    return answer


async def a_piece_of_a_head_behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a request and the beginning of another's head."""
    writer.write(REQUEST + REQUEST[:20])
    return await reader.readuntil(BODY)


@pytest.mark.parametrize("story", [in_two_pieces, half_of_another_behind, a_piece_of_a_head_behind])
def test_a_slow_call_is_no_late_request(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a request has to arrive ends when it has arrived, and does not run while we read no further."""
    monkeypatch.setattr(protocol, "REQUEST_IDLE_S", 0.3)
    monkeypatch.setattr(protocol, "serve", serve_slowly)
    nothing = cast(World, None), cast(App, None)  # nobody looks at them here

    async def scene() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ready = asyncio.Event()
            bound = protocol.bind(nothing[0], 10_000, 60_000)
            config = uvicorn.Config(create_app(*nothing), http=bound, log_config=None, lifespan="off")
            server = _Server(config, ready.set)
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            await ready.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            try:
                return await asyncio.wait_for(story(reader, writer), 10)
            finally:
                writer.close()
                server.should_exit = True
                await serving

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 200 OK")
