"""Heads that were read before: the same request comes out, or llhttp reads it again."""

import asyncio
import json
import random
import socket
from typing import cast

import pytest
import uvicorn

from pertoken.gateway import protocol
from pertoken.gateway.app import App, create_app
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.heads import Heads, cut
from pertoken.gateway.server import _Server
from pertoken.services.world import World
from pertoken.settings import LimitSettings
from pertoken.wire.routes import Endpoint

START = b"POST /v1/chat/completions?alt=sse HTTP/1.1\r\n"
HOST, LENGTH = b"Host: x\r\n", b"Content-Length: 4\r\n"
END = b"\r\nbody"
PLAIN = START + HOST + LENGTH + END

# What nobody may take for a plain message, or not for one at all.
NOT_CUT = {
    "no length": START + HOST + END,
    "a length of another case": START + b"CONTENT-LENGTH: 4\r\n" + END,
    "a length with a sign": START + b"Content-Length: +4\r\n" + END,
    "a length with a zero before it": START + b"Content-Length: 04\r\n" + END,
    "a length that goes on in the next line": START + b"Content-Length: 4\r\n 0\r\n" + END,
    "more than one message": PLAIN + PLAIN,
    "half a message": PLAIN[:-1],
    "a head that is too long": START + b"a: " + b"x" * 9_000 + b"\r\n" + LENGTH + END,
}
# What llhttp refuses, or reads in a way of its own.
NOT_REMEMBERED = {
    "two lengths": START + LENGTH + b"Content-Length: 5\r\n" + END,
    "chunks as well": START + LENGTH + b"Transfer-Encoding: chunked\r\n" + END,
    "a bare line end": START + b"a: b\n" + LENGTH + END,
    "a bare carriage return": START + b"a: b\rc\r\n" + LENGTH + END,
    "an expectation": START + LENGTH + b"Expect: 100-continue\r\n" + END,
    "an upgrade": START + LENGTH + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + END,
    "a last request": START + LENGTH + b"Connection: close\r\n" + END,
    "an old version": START.replace(b"1.1", b"1.0") + LENGTH + END,
}


async def echo(exchange: HotExchange, endpoint: Endpoint, _world: World) -> None:
    """Answer with what arrived."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers]
    seen = [endpoint.upstream_path, exchange.query.decode(), fields, exchange.body.decode("latin-1")]
    exchange.answer(200, [], json.dumps(seen).encode())


async def answers(messages: list[bytes], heads: Heads) -> list[bytes]:
    """Send messages one after the other, each on a connection of its own, and return what came back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready = asyncio.Event()
        bound = protocol.bind(cast(World, None), LimitSettings())
        bound.heads = heads
        app = create_app(cast(World, None), cast(App, None))
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


@pytest.mark.parametrize("name", NOT_CUT)
def test_what_is_not_surely_one_message(name: str) -> None:
    """Only a whole message, alone, with one plain length, is taken at its bytes."""
    assert cut(PLAIN) is not None
    assert cut(NOT_CUT[name]) is None


@pytest.mark.parametrize("name", NOT_REMEMBERED)
def test_what_is_read_anew_each_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that llhttp refuses or treats specially is not remembered, and is treated so the second time as well."""
    monkeypatch.setattr(protocol, "serve", echo)
    heads = Heads()
    first, second = asyncio.run(answers([NOT_REMEMBERED[name]] * 2, heads))

    assert heads._known == {}
    assert without_date(first) == without_date(second)


def test_a_head_that_is_known_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the fields, their order and the body's length: llhttp's reading and the remembered one are the same."""
    monkeypatch.setattr(protocol, "serve", echo)
    dice = random.Random(7)
    messages = []
    for _ in range(60):
        body = dice.randbytes(dice.randint(1, 300))
        names = dice.sample([b"Host", b"a", b"X-Two", b"authorization", b"Connection", b"accept", b"x-empty"], 4)
        fields = [
            name + b": " + (b"keep-alive" if name == b"Connection" else b"v%d" % dice.randrange(3)) for name in names
        ]
        fields.insert(dice.randrange(5), b"%b: %d" % (dice.choice([b"Content-Length", b"content-length"]), len(body)))
        messages.append(START + b"\r\n".join(fields) + b"\r\n\r\n" + body)
    heads = Heads()
    first = asyncio.run(answers(messages, heads))
    known = dict(heads._known)
    second = asyncio.run(answers(messages, heads))

    assert len(known) > 30
    assert heads._known == known
    assert [without_date(one) for one in first] == [without_date(one) for one in second]
    assert all(one.startswith(b"HTTP/1.1 200") for one in first)


def without_date(answer: bytes) -> bytes:
    """Return an answer without the line that changes every second."""
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:"))
