"""Clients that read their answer slowly: only one that reads nothing for a whole time limit is disconnected."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from tests.gateway.conftest import CLIENT_IDLE_S, Client, told

from pertoken.gateway import protocol
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.patience import TAKEN_BYTES_MIN
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
CLOSING = REQUEST.replace(b"host: x", b"host: x\r\nconnection: close")
SOCKET_BYTES = 32 * 1024  # socket buffers of the system; the rest waits in the gateway
PIECE = b"~" * TAKEN_BYTES_MIN
PIECES = 32
STEP_S = CLIENT_IDLE_S / 2
STEPS = 6  # three time limits long

Answer = Callable[[HotExchange, Endpoint, World], Awaitable[None]]


async def whole(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer at once."""
    exchange.answer(200, [], PIECES * PIECE + b"end")


async def streamed(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer in pieces, as fast as the client reads them."""
    exchange.start(200, [])
    for _ in range(PIECES):
        if exchange.write(PIECE):
            await exchange.drain()
    exchange.finish(b"end")


async def in_two_parts(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer with a stream that pauses for longer than the client's time limit."""
    exchange.start(200, [])
    exchange.write(PIECES * PIECE)
    await asyncio.sleep(STEPS * STEP_S)
    exchange.finish(PIECE + b"end")


async def ask(client: Client, request: bytes) -> None:
    """Send a request over sockets with small buffers, and wait until the gateway waits for the client."""
    connection = client.connection
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
    await client.send(request)
    while not connection.flow.write_paused:
        await asyncio.sleep(0)


async def take_some(client: Client) -> bytes:
    """Read twice as much as a client must read within the time limit."""
    transport = client.connection.transport
    received, gone_bytes, left_bytes = b"", 0, transport.get_write_buffer_size()
    while gone_bytes < 2 * TAKEN_BYTES_MIN:
        received += await take(client)
        before_bytes, left_bytes = left_bytes, transport.get_write_buffer_size()
        gone_bytes += max(0, before_bytes - left_bytes)
    return received


async def take_slowly(client: Client) -> bytes:
    """Read a little each time before the time limit ends."""
    received = b""
    for _ in range(STEPS):
        await client.pass_time(STEP_S)
        received += await take_some(client)
    return received


async def take(client: Client) -> bytes:
    """Read the bytes that have arrived, while more are sent."""
    await asyncio.sleep(0)
    piece = await client.reader.read(16 * 1024)
    assert piece, "the client was cut"
    return piece


async def take_rest(client: Client, received: bytes) -> bytes:
    """Read to the end; return all received bytes."""
    while b"end" not in received[-20:]:
        received += await take(client)
    return received


@pytest.mark.parametrize("request_", [REQUEST, CLOSING], ids=["kept", "closed"])
@pytest.mark.parametrize("answer", [whole, streamed])
def test_a_client_that_takes_its_time(answer: Answer, request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads a little within each time limit gets the whole answer, however long that takes."""
    monkeypatch.setattr(protocol, "serve", answer)

    async def story(client: Client) -> bytes:
        await ask(client, request_)
        return await take_rest(client, await take_slowly(client))

    assert told(story).count(b"~") == PIECES * len(PIECE)


@pytest.mark.parametrize("answer", [whole, streamed])
def test_a_client_that_stops_taking(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow client that stops reading is disconnected after one whole time limit without reading."""
    monkeypatch.setattr(protocol, "serve", answer)

    async def story(client: Client) -> bytes:
        await ask(client, REQUEST)
        received = await take_slowly(client)
        transport = client.connection.transport
        assert not transport.is_closing()
        await client.pass_time(2 * CLIENT_IDLE_S + 2)  # timers run a tick late
        assert transport.is_closing()
        return received

    assert 0 < told(story).count(b"~") < PIECES * len(PIECE)


def test_a_client_that_has_taken_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that was behind and has caught up may wait for the next piece without a time limit."""
    monkeypatch.setattr(protocol, "serve", in_two_parts)

    async def story(client: Client) -> bytes:
        await ask(client, REQUEST)
        received = b""
        while received.count(b"~") < PIECES * len(PIECE):
            received += await take(client)
        await client.pass_time((STEPS + 1) * STEP_S)
        return await take_rest(client, received)

    assert told(story).count(b"~") == (PIECES + 1) * len(PIECE)
