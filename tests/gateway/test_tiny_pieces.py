"""Limits on input that is costly for its size: tiny pieces of bodies, waiting requests, long targets."""

import asyncio
import contextlib
import itertools

import pytest
from tests.gateway.conftest import SECRET, Client, told

from pertoken.gateway import protocol
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.incoming import HEADER_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX
from pertoken.gateway.protocol import SMALL_PIECES_MAX, WAITING_MAX
from pertoken.services.world import World
from pertoken.settings import LimitSettings
from pertoken.wire.routes import Endpoint

WIDE = LimitSettings(client_idle_ms=60_000)
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
TINY = b"1\r\nx\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n"
OTHER_PATH = b"POST /nothing HTTP/1.1\r\nhost: x\r\n"


async def says_its_size(exchange: HotExchange, _endpoint: Endpoint, _world: World) -> None:
    """Answer with the size of the body."""
    await asyncio.sleep(0)
    exchange.answer(200, [], b"%d" % len(exchange.body))


def all_that_comes(data: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Send these bytes and one more request; return everything that the client gets until the connection is closed."""
    monkeypatch.setattr(protocol, "serve", says_its_size)

    async def story(client: Client) -> bytes:
        client.writer.write(data + LAST)
        answers = b""
        with contextlib.suppress(ConnectionError):
            while piece := await client.reader.read(1_000_000):
                answers += piece
        return answers

    return told(story, WIDE)


def test_tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body may have SMALL_PIECES_MAX tiny pieces; with one more it is refused before it is complete."""
    most = CHAT % SECRET + CHUNKED + TINY * SMALL_PIECES_MAX + b"0\r\n\r\n"
    assert b"\r\n\r\n%dHTTP/1.1 200" % SMALL_PIECES_MAX in all_that_comes(most, monkeypatch)
    more = CHAT % SECRET + CHUNKED + TINY * (SMALL_PIECES_MAX + 1) + b"0\r\n\r\n"
    answer = all_that_comes(more, monkeypatch)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"pieces" in answer


def test_pieces_of_usual_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger pieces are not counted, and each body has its own count."""
    piece = b"40\r\n" + b"x" * 64 + b"\r\n"
    usual = CHAT % SECRET + CHUNKED + piece * (SMALL_PIECES_MAX + 1) + b"0\r\n\r\n"
    half = CHAT % SECRET + CHUNKED + TINY * (SMALL_PIECES_MAX // 2 + 1) + b"0\r\n\r\n"
    assert all_that_comes(usual, monkeypatch).startswith(b"HTTP/1.1 200")
    assert all_that_comes(half + half, monkeypatch).count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize("first", [OTHER_PATH, CHAT % SECRET + b"content-length: 1\r\n\r\nx" + CHAT % SECRET])
def test_tiny_pieces_elsewhere(first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another path, or after an unanswered request, too many tiny pieces close the connection."""
    answer = all_that_comes(first + CHUNKED + TINY * (SMALL_PIECES_MAX + 1) + b"0\r\n\r\n", monkeypatch)
    assert b"HTTP/1.1 400" not in answer


@pytest.mark.parametrize("request_", [b"GET /nothing HTTP/1.1\r\n\r\n", CHAT % SECRET + b"content-length: 1\r\n\r\nx"])
def test_requests_that_wait(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAITING_MAX requests may wait for the first answer; one more closes the connection."""
    assert all_that_comes(request_ * WAITING_MAX, monkeypatch).count(b"HTTP/1.1 ") == WAITING_MAX + 1
    assert all_that_comes(request_ * 2 * WAITING_MAX, monkeypatch).count(b"HTTP/1.1 ") < WAITING_MAX


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/nothing"])
def test_a_long_target(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target may be as long as the limit; a longer one is answered with 414."""

    def asked(length: int) -> bytes:
        target = path + b"?" + b"&" * (length - len(path) - 1)
        more = b" HTTP/1.1\r\nauthorization: Bearer %b\r\ncontent-length: 1\r\n\r\nx" % SECRET
        return all_that_comes(b"POST " + target + more, monkeypatch)

    assert not asked(TARGET_BYTES_MAX).startswith(b"HTTP/1.1 414")
    assert asked(TARGET_BYTES_MAX + 1).startswith(b"HTTP/1.1 414")


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/nothing"])
def test_many_bytes_of_headers(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Target, names and values, with 4 bytes for each header, may have HEADER_BYTES_MAX bytes; one more is refused."""

    def asked(size: int) -> bytes:
        fields = {b"authorization": b"Bearer %b" % SECRET, b"content-length": b"1", b"a": b"", b"b": b"x" * 9_999}
        used = len(path) + sum(len(name) + len(value) + 4 for name, value in fields.items())
        fields[b"a"] = b"x" * (size - used)
        lines = b"".join(b"%b: %b\r\n" % field for field in fields.items())
        return all_that_comes(b"POST " + path + b" HTTP/1.1\r\n" + lines + b"\r\nx", monkeypatch)

    assert not asked(HEADER_BYTES_MAX).startswith(b"HTTP/1.1 431")
    assert asked(HEADER_BYTES_MAX + 1).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/nothing"])
def test_many_headers(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may have HEADERS_MAX headers, those after its body included."""

    def asked(before: int, behind: int) -> bytes:
        start = b"POST " + path + b" HTTP/1.1\r\nauthorization: Bearer %b\r\n" % SECRET
        body = b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        return all_that_comes(start + b"a: b\r\n" * before + body + b"a: b\r\n" * behind + b"\r\n", monkeypatch)

    assert not asked(HEADERS_MAX - 2, 0).startswith(b"HTTP/1.1 431")
    assert asked(HEADERS_MAX - 1, 0).startswith(b"HTTP/1.1 431")
    assert b"HTTP/1.1 200" not in asked(HEADERS_MAX - 3, 2)


@pytest.mark.parametrize("start", [b"a: ", b"transfer-encoding: chunked\r\n\r\n0\r\na: ", b"Transfer-Encoding"])
def test_a_header_without_an_end(start: bytes) -> None:
    """A header is refused while it still arrives, in a head or after a body, once it is much larger than allowed."""

    async def story(client: Client) -> int:
        client.writer.write(CHAT % SECRET + start)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * HEADER_BYTES_MAX and not client.reader.at_eof():
                client.writer.write(b"x" * HEADER_BYTES_MAX)
                await client.writer.drain()
                await asyncio.sleep(0.001)
                sent += HEADER_BYTES_MAX
        return sent

    assert told(story, WIDE) < 100 * HEADER_BYTES_MAX


def test_one_large_piece_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each large piece of a body other connections get a turn, however much has arrived."""
    seen: list[str] = []
    take, read_on = protocol.CallProtocol.data_received, protocol.CallProtocol._read_on

    def data_received(self: protocol.CallProtocol, data: bytes) -> None:
        seen.extend(["large"] if len(data) > protocol.LARGE_BYTES else [])
        take(self, data)

    def on_turn(self: protocol.CallProtocol) -> None:
        seen.append("turn")
        read_on(self)

    monkeypatch.setattr(protocol.CallProtocol, "data_received", data_received)
    monkeypatch.setattr(protocol.CallProtocol, "_read_on", on_turn)
    size = 4 * 1024 * 1024
    answer = all_that_comes(CHAT % SECRET + b"content-length: %d\r\n\r\n" % size + b"x" * size, monkeypatch)
    assert b"\r\n\r\n%dHTTP/1.1 200" % size in answer
    assert seen.count("large") > 1
    assert ("large", "large") not in itertools.pairwise(seen)
