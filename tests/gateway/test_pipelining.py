"""A request behind a call that runs: it waits, and is not taken for one that its client does not finish."""

import asyncio
import socket
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


async def serve_slowly(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Take longer than a client may pause within a request."""
    await asyncio.sleep(0.6)
    exchange.answer(200, [], exchange.body)


def test_half_a_request_behind_a_slow_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is we who do not read on, its client is not late: both requests are answered."""
    monkeypatch.setattr(protocol, "REQUEST_IDLE_S", 0.3)
    monkeypatch.setattr(protocol, "serve", serve_slowly)

    async def scene() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ready = asyncio.Event()
            bound = protocol.bind(cast(World, None), 10_000, 60_000)
            config = uvicorn.Config(
                create_app(cast(World, None), cast(App, None)), http=bound, log_config=None, lifespan="off"
            )
            server = _Server(config, ready.set)
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            await ready.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            try:
                writer.write(REQUEST + REQUEST[:HALF])
                answers = await asyncio.wait_for(reader.readuntil(BODY), 10)
                writer.write(REQUEST[HALF:])
                return answers + await asyncio.wait_for(reader.readuntil(BODY), 10)
            finally:
                writer.close()
                server.should_exit = True
                await serving

    answers = asyncio.run(scene())

    assert answers.count(b"HTTP/1.1 200 OK") == 2
