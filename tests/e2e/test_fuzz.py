"""Whatever bytes a client sends, it is answered or closed, and the gateway goes on."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.conftest import Stack, gateway_environ, start

from pertoken.store.database import Database

MISTAKE = "because of a bug in pertoken"
BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/chat/completions",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
    ),
    ("/v1/responses", {"model": "gpt-4o-mini", "input": "hi", "max_output_tokens": 20}),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["hi"]}),
    ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
    ("/v1beta/models/gemini-2.5-flash:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\0", b"\xff", b": ", b"transfer-encoding: chunked\r\n", b"content-length: 5\r\n",
     b"content-length: -1\r\n", b"expect: 100-continue\r\n", b"upgrade: h2c\r\n", b"HTTP/1.1", b" " * 40]
)  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a gateway and a simulator of this module's own: calls whose clients hung up run on behind the tests."""
    folder = tmp_path_factory.mktemp("fuzz")
    simulator = start(["-m", "pertoken.simulator", "--port", "0"], {}, folder / "simulator.log")
    environ = gateway_environ(simulator.url, folder)
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    database = Database(environ["PERTOKEN_DATABASE_URL"])
    try:
        made = Stack(gateway, simulator, database)
        key_id, secret = made.new_key("fuzz")
        yield Stack(gateway, simulator, database, key_id, secret, "fuzz")
    finally:
        gateway.stop()
        simulator.stop()
        database.close()


def told(stack: Stack, data: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes and return what is answered until the end; with `hang_up`, say at once that no more will come."""
    parts = urlsplit(stack.gateway.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(data)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def request(stack: Stack, path: str, body: bytes) -> bytes:
    """Return a whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.secret}\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def check(stack: Stack) -> None:
    """Assert that the gateway is well, and that nothing was its own mistake."""
    answer = told(stack, b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert MISTAKE not in stack.log()


bounded = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@bounded
@given(
    which=st.sampled_from(BODIES),
    changes=st.dictionaries(
        st.sampled_from(["model", "messages", "input", "contents", "max_tokens", "stream", "n", "x"]), JSON
    ),
)
def test_bodies_of_any_shape(stack: Stack, which: tuple[str, dict[str, Any]], changes: dict[str, Any]) -> None:
    """A request whose fields are anything at all is served or refused in its client's format: one JSON object."""
    path, body = which
    answer = told(stack, request(stack, path, json.dumps({**body, **changes}).encode()))

    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer[:200]
    if not head.startswith(b"HTTP/1.1 200"):
        assert "error" in json.loads(content)
        assert not head.startswith(b"HTTP/1.1 500")
    check(stack)


@bounded
@given(
    which=st.sampled_from(BODIES),
    cuts=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), PIECES | st.binary(max_size=8)), max_size=4),
    end=st.integers(0, 600),
)
def test_bytes_of_any_kind(
    stack: Stack, which: tuple[str, dict[str, Any]], cuts: list[tuple[int, int, bytes]], end: int
) -> None:
    """A request with bytes cut out, put in and left off never harms the next one."""
    path, body = which
    data = request(stack, path, json.dumps(body).encode())
    for at, length, piece in cuts:
        data = data[:at] + piece + data[at + length :]
    told(stack, data[: max(1, end)] if end < 500 else data, hang_up=True)
    check(stack)
