"""Heads of requests: they arrive as they were sent, and ambiguous ones are refused."""

import asyncio
import json
import random
import socket
from typing import Any, cast

import pytest
import uvicorn

from pertoken.gateway import protocol
from pertoken.gateway.app import create_app
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.server import _Server
from pertoken.services.world import World
from pertoken.settings import LimitSettings
from pertoken.wire.routes import Endpoint

START = b"POST /v1/chat/completions?alt=sse HTTP/1.1\r\n"
LENGTH = b"Content-Length: 4\r\n"
END = b"\r\nbody"

# Unusual heads, and the answer to each, also when it is repeated.
ODD = {
    "two lengths": (START + LENGTH + b"Content-Length: 5\r\n" + END, 400),
    "chunks as well": (START + LENGTH + b"Transfer-Encoding: chunked\r\n" + END, 400),
    "a length with a sign": (START + b"Content-Length: +4\r\n" + END, 400),
    "a length that goes on in the next line": (START + b"Content-Length: 4\r\n 0\r\n" + END, 400),
    "a bare line end": (START + b"a: b\n" + LENGTH + END, 400),
    "a bare carriage return": (START + b"a: b\rc\r\n" + LENGTH + END, 400),
    "an expectation": (START + LENGTH + b"Expect: 100-continue\r\n" + END, 200),
    "an upgrade": (START + LENGTH + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + END, 200),
    "a last request": (START + LENGTH + b"Connection: close\r\n" + END, 200),
    "an old version": (START.replace(b"1.1", b"1.0") + LENGTH + END, 200),
    "a length of another case": (START + b"CONTENT-LENGTH: 4\r\n" + END, 200),
    "a length with a zero before it": (START + b"Content-Length: 04\r\n" + END, 200),
}


async def echo(exchange: HotExchange, endpoint: Endpoint, _world: World) -> None:
    """Answer with the request as it arrived."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers]
    seen = [endpoint.upstream_path, exchange.query.decode(), fields, exchange.body.decode("latin-1")]
    exchange.answer(200, [], json.dumps(seen).encode())


async def answers(messages: list[bytes]) -> list[bytes]:
    """Send messages one after the other, each on its own connection, and return the answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready = asyncio.Event()
        bound = protocol.bind(cast(World, None), LimitSettings())
        app = create_app(*cast(Any, (None,) * 4))
        server = _Server(uvicorn.Config(app, http=bound, log_config=None, lifespan="off"), ready.set)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        await ready.wait()
        found = []
        for message in messages:
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            writer.write(message)
            writer.write_eof()
            found.append(await asyncio.wait_for(reader.read(), 10))
            writer.close()
        server.should_exit = True
        await serving
    return found


@pytest.mark.parametrize("name", ODD)
def test_an_odd_head(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ambiguous head is refused every time; an unusual but clear one is served."""
    monkeypatch.setattr(protocol, "serve", echo)
    message, status = ODD[name]

    assert [one[9:12] for one in asyncio.run(answers([message] * 2))] == [b"%d" % status] * 2


def test_what_arrives_is_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """With any fields, order and body, a request arrives as it was sent, without content-length."""
    monkeypatch.setattr(protocol, "serve", echo)
    dice = random.Random(7)
    messages, expected = [], []
    for _ in range(60):
        body = dice.randbytes(dice.randint(1, 300))
        names = dice.sample([b"Host", b"a", b"X-Two", b"authorization", b"Connection", b"accept", b"x-empty"], 4)
        fields = [(name, b"keep-alive" if name == b"Connection" else b"v%d" % dice.randrange(3)) for name in names]
        shown = [[name.lower().decode(), value.decode()] for name, value in fields]
        expected.append(["/chat/completions", "alt=sse", shown, body.decode("latin-1")])
        fields.insert(dice.randrange(5), (dice.choice([b"Content-Length", b"content-length"]), b"%d" % len(body)))
        messages.append(START + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n" + body)

    assert [json.loads(one.partition(b"\r\n\r\n")[2]) for one in asyncio.run(answers(messages))] == expected
