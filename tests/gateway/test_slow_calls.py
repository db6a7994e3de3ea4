"""During a slow call no deadline of the client runs, even if its request came in pieces or another one follows."""

import asyncio

import pytest
from tests.gateway.conftest import Client, Story, told

from pertoken.gateway import protocol
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.protocol import REQUEST_IDLE_S, REQUEST_S
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

BODY = b"x" * 100
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-known\r\ncontent-length: 100\r\n\r\n"
    + BODY
)
HALF = len(REQUEST) - 50
LONG_S = REQUEST_S + 2 * REQUEST_IDLE_S  # longer than the limit for sending a request


async def serve_slowly(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer after longer than a client may pause inside a request."""
    await asyncio.sleep(LONG_S)
    exchange.answer(200, [], exchange.body)


async def in_two_pieces(client: Client) -> bytes:
    """Send a request in two pieces, as many clients send head and body."""
    await client.send(REQUEST[:HALF])
    await client.pass_time(REQUEST_IDLE_S - 2)
    await client.send(REQUEST[HALF:])
    await client.pass_time(LONG_S + 1)
    return await client.reader.readuntil(BODY)


async def half_of_another_behind(client: Client) -> bytes:
    """Send a request and half of another; send the rest when the first is answered."""
    await client.send(REQUEST + REQUEST[:HALF])
    await client.pass_time(LONG_S + 1)
    answer = await client.reader.readuntil(BODY)
    await client.pass_time(REQUEST_IDLE_S - 4)
    await client.send(REQUEST[HALF:])
    await client.pass_time(LONG_S + 1)
    assert b" 200 OK" in await client.reader.readuntil(BODY)
    return answer


async def a_piece_of_a_head_behind(client: Client) -> bytes:
    """Send a request and the start of the head of another."""
    await client.send(REQUEST + REQUEST[:20])
    await client.pass_time(LONG_S + 1)
    return await client.reader.readuntil(BODY)


@pytest.mark.parametrize("story", [in_two_pieces, half_of_another_behind, a_piece_of_a_head_behind])
def test_a_slow_call_is_no_late_request(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit for a request ends when the request has arrived, and does not run while we do not read."""
    monkeypatch.setattr(protocol, "serve", serve_slowly)

    assert told(story).startswith(b"HTTP/1.1 200 OK")
