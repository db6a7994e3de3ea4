"""Offers to upgrade the protocol are ignored: the request is read to its end and answered."""

import asyncio
import json
import logging

import pytest
from tests.gateway.conftest import SECRET, Client, told

from pertoken.gateway import protocol
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.heads import without_offer
from pertoken.services.world import World
from pertoken.wire.routes import Endpoint

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
OFFERS = {
    "h2c": H2C,
    "h2c, as Java sends it": H2C.replace(b"Upgrade, HTTP2-Settings", b"HTTP2-Settings, upgrade"),
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "anything": b"Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.0, IRC/6.9\r\n",
}
PATIENCE_S = 60  # the limit for each wait
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n" % SECRET


def post(offer: bytes, body: bytes) -> bytes:
    """Return a call with an upgrade offer."""
    return CHAT + offer + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(offer: bytes, body: bytes) -> bytes:
    """Return a call with an upgrade offer and a body in chunks."""
    return CHAT + offer + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


async def echo(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer with the body, and with the names of the header fields."""
    names = [name.decode() for name, _ in exchange.headers]
    exchange.answer(200, [], json.dumps([exchange.body.decode(), names]).encode() + b"\n")


async def some(client: Client) -> bytes:
    """Return the next bytes; there must be some."""
    piece = await asyncio.wait_for(client.reader.read(1_000_000), PATIENCE_S)
    assert piece, "the connection ended"
    return piece


@pytest.mark.parametrize("name", OFFERS)
@pytest.mark.parametrize("request_of", [post, chunked])
@pytest.mark.parametrize("step", [10_000, 7], ids=["in one piece", "in pieces"])
def test_an_offer_is_ignored(
    name: str, request_of: object, step: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request with an upgrade offer gets its answer, and so does the next one on the connection."""
    assert callable(request_of)
    monkeypatch.setattr(protocol, "serve", echo)
    bodies = [b"first", b"second"]
    data = b"".join(request_of(OFFERS[name], body) for body in bodies) + post(b"", b"third")

    async def story(client: Client) -> bytes:
        for at in range(0, len(data), step):
            client.writer.write(data[at : at + step])
            await asyncio.sleep(0)
        received = b""
        while received.count(b"\n") - received.count(b"\r\n") < 3:
            received += await some(client)
        return received

    with caplog.at_level(logging.WARNING):
        received = told(story)

    answers = [json.loads(line) for line in received.split(b"\n") if line.startswith(b"[")]
    assert [body for body, _ in answers] == ["first", "second", "third"]
    assert all("upgrade" not in names and "http2-settings" not in names for _, names in answers)
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert b"101" not in received.partition(b"\r\n")[0]
    assert caplog.records == []


@pytest.mark.parametrize("name", OFFERS)
def test_an_offer_elsewhere_is_ignored(name: str) -> None:
    """Health and unknown paths are answered as if there were no offer."""

    async def story(client: Client) -> bytes:
        client.writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + OFFERS[name] + b"\r\n")
        return await client.reader.readuntil(b"}")

    assert told(story).endswith(b'{"status":"live"}')


def test_an_offer_without_a_key(caplog: pytest.LogCaptureFixture) -> None:
    """A request with an offer and without a key is refused like any other request without a key."""

    async def story(client: Client) -> bytes:
        data = post(OFFERS["websocket"], b"x" * 100).replace(b"Bearer", b"None")
        client.writer.write(data[:-10])
        return await client.reader.readuntil(b"}")

    assert told(story).startswith(b"HTTP/1.1 401")
    assert not [record for record in caplog.records if record.exc_info]


def test_connect_is_refused() -> None:
    """CONNECT, which requests a tunnel, is refused."""

    async def story(client: Client) -> bytes:
        client.writer.write(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\nrest")
        return await client.reader.read()

    assert told(story).startswith(b"HTTP/1.1 400")


def test_thousands_of_offers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests with an offer that arrive together are all answered, in order."""
    monkeypatch.setattr(protocol, "serve", echo)
    asked = 2_000

    async def story(client: Client) -> bytes:
        client.writer.write(b"".join(post(OFFERS["anything"], b"%d" % number) for number in range(asked)))
        received = b""
        while received.count(b"\n") - received.count(b"\r\n") < asked:
            received += await some(client)
        return received

    answers = [json.loads(line)[0] for line in told(story).split(b"\n") if line.startswith(b"[")]
    assert answers == [str(number) for number in range(asked)]


def test_the_rest_of_the_head_stays() -> None:
    """Only the offer is removed; the other words of the connection field stay."""
    fields = [(b"host", b"x"), (b"connection", b"close, Upgrade"), (b"upgrade", b"h2c"), (b"x-a", b" b ")]

    assert without_offer(b"POST", b"/p?q", "1.1", fields) == (
        b"POST /p?q HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-a:  b \r\n\r\n"
    )
