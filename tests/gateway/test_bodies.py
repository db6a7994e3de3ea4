"""Bodies of requests: the caller is known before a body is kept, and the number of kept bytes is limited."""

import asyncio
import json

import pytest
from tests.gateway.conftest import CLIENT_IDLE_S, LIMITS, NEW_SECRET, SECRET, Client, told

from pertoken.core.errors import Code
from pertoken.gateway import protocol
from pertoken.gateway.bodies import UNCOUNTED_BYTES, Bodies
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.protocol import LINGER_S
from pertoken.services.call.heavy import BYTES_MAX, VALUES_MAX, Heavy
from pertoken.services.world import World
from pertoken.settings import LimitSettings
from pertoken.wire.routes import Endpoint

MB = 1024 * 1024
TURNS = 1_000
PADDING = b"x" * 40_000  # a smaller body is never heavy
WIDE = LimitSettings(
    body_bytes_max=2 * MB,
    key_bodies_bytes_max=3 * MB,
    bodies_bytes_max=4 * MB,
    client_idle_ms=CLIENT_IDLE_S * 1000,
)


def head(secret: bytes | None, length: int, more: bytes = b"") -> bytes:
    """Return the head of a call."""
    key = b"" if secret is None else b"authorization: Bearer %b\r\n" % secret
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n%b%bcontent-length: %d\r\n\r\n" % (key, more, length)


async def says_what_it_got(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer with the size of the body, and whether another process must read it."""
    assert exchange.heavy is None or exchange.heavy.body is exchange.body
    exchange.answer(200, [], b"%d %s" % (len(exchange.body), b"light" if exchange.heavy is None else b"heavy"))


async def turn() -> None:
    """Let all bytes on their way arrive."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("secret", "status"),
    [(None, b"401"), (b"sk-nobody", b"401"), (SECRET, b"200"), (NEW_SECRET, b"200")],
    ids=["no key", "an unknown key", "a known key", "a key made a moment ago"],
)
@pytest.mark.parametrize("more", [b"", b"expect: 100-continue\r\n"], ids=["sent at once", "sent when asked for"])
def test_the_key_comes_before_the_body(
    secret: bytes | None, status: bytes, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a body is read, after 100 Continue, when its key is known; without a key, the answer is 401."""
    monkeypatch.setattr(protocol, "serve", says_what_it_got)

    async def story(client: Client) -> bytes:
        connection = client.connection
        await client.send(head(secret, 1_000, more) + b"x" * 500)
        await turn()
        if status == b"200":
            assert connection._hot is not None
            assert connection._hot.size == 500
        else:
            assert connection._hot is None or connection._hot.parts is None
            assert connection.bodies.bytes == 0
        client.writer.write(b"x" * 500)
        client.writer.write_eof()
        return await client.reader.read()

    answer = told(story)

    asked = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(asked) is (status == b"200" and bool(more))
    answer = answer.removeprefix(asked)
    assert answer.startswith(b"HTTP/1.1 " + status)
    if status == b"401":
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == Code.UNKNOWN_KEY
        assert b"connection: close" in answer


def test_a_client_of_before_is_not_told_to_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP/1.0 has no answer before the answer: an Expect header in it is ignored (RFC 9110, 10.1.1)."""
    monkeypatch.setattr(protocol, "serve", says_what_it_got)

    async def story(client: Client) -> bytes:
        of_before = head(SECRET, 1_000, b"expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        await client.send(of_before + b"x" * 500)
        await turn()
        client.writer.write(b"x" * 500)
        return await client.reader.read()

    assert told(story).startswith(b"HTTP/1.1 200")


async def refused(client: Client) -> None:
    """Send a head without a key and a part of the body; wait for the answer."""
    await client.send(head(None, 9_000) + b"x")
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")


def test_a_refused_client_may_send_its_body_to_the_end() -> None:
    """A refused client can send its whole body, which is dropped, and read its answer: the connection is not reset."""

    async def story(client: Client) -> bytes:
        await refused(client)
        connection = client.connection
        for _ in range(8):
            client.writer.write(b"x" * 1_000)
            await turn()
        assert not connection.transport.is_closing()
        assert connection._hot is not None
        assert connection._hot.parts is None
        client.writer.write_eof()
        return await client.reader.read()

    assert b"no key" in told(story)


def test_a_refused_client_that_sends_on_and_on() -> None:
    """A refused client that sends more bytes than a body may have is disconnected."""

    async def story(client: Client) -> bytes:
        await refused(client)
        connection = client.connection
        client.writer.write(b"x" * (LIMITS.body_bytes_max + 1))
        await turn()
        assert connection.transport.is_closing()
        return b""

    told(story)


def test_a_refused_client_that_does_not_go() -> None:
    """A refused client that neither sends nor closes is disconnected after LINGER_S."""

    async def story(client: Client) -> bytes:
        await refused(client)
        connection = client.connection
        await client.pass_time(LINGER_S - 1)
        assert not connection.transport.is_closing()
        await client.pass_time(2)
        assert connection.transport.is_closing()
        return b""

    told(story)


def test_a_refused_request_has_no_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes after a request that was refused half way are not served, even if they look like a request."""
    served = []

    async def serve(exchange: HotExchange, endpoint: Endpoint, world: World) -> None:
        served.append(exchange.body)
        await says_what_it_got(exchange, endpoint, world)

    monkeypatch.setattr(protocol, "serve", serve)

    async def story(client: Client) -> bytes:
        await client.send(head(None, 3) + b"x")
        await turn()
        client.writer.write(b"xx" + head(SECRET, 1) + b"y")
        client.writer.write_eof()
        return await client.reader.read()

    assert told(story).count(b"HTTP/1.1") == 1
    assert served == []


def test_a_request_that_is_too_large_has_no_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request after a refused one is not served, even if the refused one was complete and the next comes later."""
    served = []

    async def serve(exchange: HotExchange, endpoint: Endpoint, world: World) -> None:
        served.append(exchange.body)
        await says_what_it_got(exchange, endpoint, world)

    monkeypatch.setattr(protocol, "serve", serve)
    size = LIMITS.body_bytes_max + 1

    async def story(client: Client) -> bytes:
        good = head(SECRET, 1) + b"y"
        client.writer.write(good)
        await client.reader.readuntil(b"light")
        client.writer.write(head(SECRET, size) + b"x" * size)
        answer = await client.reader.readuntil(b"}}")
        client.writer.write(good)
        client.writer.write_eof()
        return answer + await client.reader.read()

    answer = told(story)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"limits.body_bytes_max" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert served == [b"y"]


def test_a_body_at_hand_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bodies of a key's calls are counted from their first bytes until the calls are answered, and then no more."""
    seen = []
    size = 2 * UNCOUNTED_BYTES

    async def serve(exchange: HotExchange, endpoint: Endpoint, world: World) -> None:
        seen.append(dict(exchange._protocol.bodies.of_key))
        await says_what_it_got(exchange, endpoint, world)

    monkeypatch.setattr(protocol, "serve", serve)

    async def story(client: Client) -> bytes:
        bodies = client.connection.bodies
        await client.send(head(SECRET, size) + b"x" * (size - 1))
        while bodies.bytes < size - 1:
            await asyncio.sleep(0)
        client.writer.write(b"x")
        await client.reader.readuntil(b"light")
        await turn()
        assert bodies.bytes == 0
        assert bodies.of_key == {}
        return b""

    told(story, WIDE)
    assert seen == [{"key_known": size}]


def test_a_client_that_leaves_is_not_counted_any_more() -> None:
    """The body of a request is not counted any more when its client is gone."""

    async def story(client: Client) -> bytes:
        bodies = client.connection.bodies
        await client.send(head(SECRET, MB) + b"x" * (2 * UNCOUNTED_BYTES))
        while bodies.bytes < 2 * UNCOUNTED_BYTES:
            await asyncio.sleep(0)
        client.writer.transport.abort()
        await turn()
        assert bodies.bytes == 0
        return b""

    told(story, WIDE)


@pytest.mark.parametrize(("whose", "setting"), [("key_known", "key_bodies_bytes_max"), ("another", "bodies_bytes_max")])
@pytest.mark.parametrize("half", [True, False], ids=["while it comes", "whole"])
def test_no_room_for_a_body(whose: str, setting: str, half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a key or the process has too many bytes of bodies, the answer is 503 with a time to retry."""
    monkeypatch.setattr(protocol, "serve", says_what_it_got)
    size = 2 * UNCOUNTED_BYTES

    async def story(client: Client) -> bytes:
        bodies = client.connection.bodies
        other = "another" if whose == "another" else "key_known"
        taken = getattr(WIDE, setting) - size + 1
        bodies._most_of_a_key = max(bodies._most_of_a_key, taken) if whose == "another" else bodies._most_of_a_key
        assert bodies.take(other, taken) is None
        client.writer.write(head(SECRET, size + half) + b"x" * size)
        client.writer.write_eof()
        answer = await client.reader.read()
        assert bodies.bytes == taken
        return answer

    answer = told(story, WIDE)

    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in answer
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == Code.OVERLOADED
    assert f"limits.{setting}" in error["message"]


def test_the_account_of_bodies() -> None:
    """Each key has a limit, all keys together have one, and bytes that were given back can be taken again."""
    bodies = Bodies(100, 60)

    assert bodies.take("a", 60) is None
    assert "key_bodies_bytes_max" in (bodies.take("a", 1) or "")
    assert bodies.take("b", 40) is None
    assert "limits.bodies_bytes_max" in (bodies.take("c", 1) or "")
    bodies.give_back("a", 60)
    assert bodies.take("c", 60) is None
    assert bodies.of_key == {"b": 40, "c": 60}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x" * BYTES_MAX, b"light"),
        (b"x" * (BYTES_MAX + 1), b"heavy"),
        (b'"' + b"," * 10 * VALUES_MAX + b'"' + PADDING, b"light"),
        (b"," * VALUES_MAX + PADDING, b"light"),
        (b"," * (VALUES_MAX + 1) + PADDING, b"heavy"),
        (b"{" * (VALUES_MAX + 1) + PADDING, b"heavy"),
        (b"[" * (VALUES_MAX + 1) + PADDING, b"heavy"),
    ],
    ids=[
        "bytes",
        "too many bytes",
        "commas in a text",
        "structure",
        "too many commas",
        "too many objects",
        "too many lists",
    ],
)
def test_a_body_that_takes_long_is_read_apart(body: bytes, kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is heavy if it has many bytes or many values, for the first request with a head and for later ones."""
    monkeypatch.setattr(protocol, "serve", says_what_it_got)

    async def story(client: Client) -> bytes:
        answers = []
        for _ in range(2):
            client.writer.write(head(SECRET, len(body)) + body)
            answers.append((await client.reader.readuntil(kind)).rpartition(b"\r\n\r\n")[2])
        assert answers[0] == answers[1]
        return answers[0]

    assert told(story, WIDE) == b"%d %b" % (len(body), kind)


def test_another_body_of_a_heavy_request() -> None:
    """A rewritten body of a heavy request is heavy too, and is the same object while its bytes are the same."""
    body, once = b"abc", b"ab"
    heavy = Heavy(body, "key_1", 7)

    assert heavy.like(body) is heavy
    assert heavy.like(once) is heavy.like(once)
    assert (heavy.like(once).body, heavy.like(once).key_id, heavy.like(once).values_max) == (once, "key_1", 7)
    assert heavy.like(b"c").body == b"c"
