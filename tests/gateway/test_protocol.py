"""Connections that give nothing, or too slowly, are not kept."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import uvicorn

from pertoken.gateway import protocol
from pertoken.gateway.app import App, create_app
from pertoken.gateway.server import _Server
from pertoken.services.world import World

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


def told(story: Story, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Run a client's story against a gateway with short limits; return what it was told until the end."""
    monkeypatch.setattr(protocol, "REQUEST_IDLE_S", 0.3)
    monkeypatch.setattr(protocol, "REQUEST_S", 1.0)
    world, api = cast(World, None), cast(App, None)  # no request is ever whole

    async def scene() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ready = asyncio.Event()
            config = uvicorn.Config(
                create_app(world, api), http=protocol.bind(world, 10_000, 60_000), log_config=None, lifespan="off"
            )
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

    return asyncio.run(scene())


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bytes:
    """Say nothing."""
    return await reader.read()


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send half a request."""
    writer.write(HEAD + b"x" * 100)
    return await reader.read()


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a byte now and then, never long enough apart to be idle."""

    async def trickle() -> None:
        writer.write(HEAD)
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    task: asyncio.Task[Any] = asyncio.ensure_future(trickle())
    try:
        return await reader.read()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(("story", "status"), [(silent, b""), (half, b"HTTP/1.1 408"), (slow, b"HTTP/1.1 408")])
def test_a_client_that_does_not_go_on_is_let_go(story: Story, status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing is closed; one that stops half way or trickles is told so and closed."""
    answer = told(story, monkeypatch)

    assert answer.startswith(status)
    assert bool(answer) == bool(status)
