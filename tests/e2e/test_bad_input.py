"""Requests that are wrong in every way we could think of: a clear error in the client's format, and nothing else."""

import contextlib
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import Stack, one_store

pytestmark = one_store

CHAT = b"/v1/chat/completions"
GOOD = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()


def talk(stack: Stack, data: bytes, *, wait_s: float = 10) -> bytes:
    """Send raw bytes and return all that comes back until the connection closes or is quiet."""
    parts = urlsplit(stack.gateway.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=wait_s) as connection:
        with contextlib.suppress(OSError):  # it may close before it has read all of a hostile request
            connection.sendall(data)
        received = b""
        while True:
            try:
                piece = connection.recv(65_536)
            except OSError:
                return received
            received += piece
            if not piece or _is_whole(received):
                return received


def request(stack: Stack, body: bytes, path: bytes = CHAT, *, key: bytes | None = None, headers: bytes = b"") -> bytes:
    """Return the bytes of a POST with a content length."""
    secret = stack.secret.encode() if key is None else key
    head = b"POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n%s" % (path, secret, headers)
    return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def error_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and error object of an OpenAI-shaped answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error: dict[str, Any] = json.loads(body)["error"]
    return int(head.split(b" ")[1]), error


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")
    if b"transfer-encoding: chunked" in fields:
        return (b"\r\n" + body[-7:]).endswith(b"\r\n0\r\n\r\n")
    length = [line for line in fields if line.startswith(b"content-length:")]
    return bool(separator and length) and len(body) >= int(length[0].split(b":")[1])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid json"),
        (b"hello", "not valid json"),
        (b"{" * 5_000, "not valid json"),
        (b"[1,2]", "wrong shape"),
        (b'{"messages": []}', "model"),
        (b'{"model": 7, "messages": []}', "model"),
        (b'{"model": "gpt-4o-mini"}', "messages"),
        (b'{"model": "gpt-4o-mini", "messages": "hi"}', "messages"),
        (b'{"model": "gpt-4o-mini", "messages": [], "max_tokens": -1}', "max_tokens"),
        (b'{"model": "gpt-4o-mini", "messages": [], "max_tokens": "ten"}', "max_tokens"),
        (b'{"model": "gpt-4o-mini", "messages": [], "n": 1.5}', "n must be"),
        (b'{"model": "gpt-4o-mini", "messages": [], "stream": "yes"}', "stream"),
        (b'\xff\xfe{"model": "gpt-4o-mini"}', "not valid json"),
    ],
)
def test_bodies_that_are_no_request(stack: Stack, body: bytes, said: str) -> None:
    """400 says what is wrong with the body; nothing reaches the provider."""
    status, error = error_of(talk(stack, request(stack, body)))

    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]
    assert stack.served()["calls"] == 0
    assert stack.settled(0) == []


def test_unknown_key(stack: Stack) -> None:
    """401 names the key by its last characters only."""
    status, error = error_of(talk(stack, request(stack, GOOD, key=b"sk-pt-0123456789secret")))

    assert status == 401
    assert "...cret" in error["message"]
    assert "0123456789" not in error["message"]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (b"sk-proj-0123456789secret", "is not a pertoken key, which begins with sk-pt-; make one: pertoken key create"),
        (b"key_01m8ew8zbxfhth8wcm5xrrbn1t", "is not a pertoken key"),
        (b"sk-pt-admin-0123456789secret", "is for the control plane; calls take another: pertoken key create"),
    ],
)
def test_a_key_of_another_kind(stack: Stack, secret: bytes, said: str) -> None:
    """401 tells who took a provider's key, a key's id or an admin's key for a virtual one what is wanted."""
    status, error = error_of(talk(stack, request(stack, GOOD, key=secret)))

    assert status == 401
    assert said in error["message"]
    assert secret.decode() not in error["message"]


def test_no_key(stack: Stack) -> None:
    """401 says how to send one."""
    data = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (CHAT, len(GOOD), GOOD)
    status, error = error_of(talk(stack, data))

    assert status == 401
    assert "bearer" in error["message"]


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("gpt-4o-mnii", "did you mean gpt-4o-mini?"),
        ("GPT-4o-min", "did you mean gpt-4o-mini?"),
        ("claude-sonnet-4-5", "anthropic sells it, but only to clients that speak anthropic"),
        ("no-such-model", "pertoken price add no-such-model"),
        ("x" * 250, "pertoken price add"),
    ],
)
def test_unknown_model(stack: Stack, model: str, hint: str) -> None:
    """404 in the client's format: nothing is served, and the message helps who misspelt a name or meets a new one."""
    body = GOOD.replace(b"gpt-4o-mini", model.encode())
    status, error = error_of(talk(stack, request(stack, body)))

    assert (status, error["code"]) == (404, "model_not_found")
    assert model[:200] in error["message"]
    assert len(error["message"]) < 600
    assert hint in error["message"]
    assert stack.served()["calls"] == 0


def test_unknown_service_tier(stack: Stack) -> None:
    """402: a tier without price is never taken for the standard one."""
    body = GOOD[:-1] + b', "service_tier": "warp"}'
    status, error = error_of(talk(stack, request(stack, body)))

    assert (status, error["code"]) == (402, "price_unknown")
    assert "warp" in error["message"]


def test_unknown_path(stack: Stack) -> None:
    """404 in the client's format."""
    status, error = error_of(talk(stack, request(stack, GOOD, b"/v1/no/such/path")))

    assert status == 404
    assert "/v1/no/such/path" in error["message"]
    assert "did you mean /v1/responses?" in error_of(talk(stack, request(stack, GOOD, b"/responses")))[1]["message"]


def test_a_body_of_50_megabytes(stack: Stack) -> None:
    """413 as soon as the limit is passed; the gateway goes on serving."""
    body = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "' + b"a" * 50_000_000 + b'"}]}'
    answer = talk(stack, request(stack, body))

    if answer:  # the connection may be reset while we still send: the client then sees that instead
        assert error_of(answer)[0] == 413
    assert error_of(talk(stack, request(stack, b"hello")))[0] == 400
    assert stack.served()["calls"] == 0


def test_a_header_bomb(stack: Stack) -> None:
    """431 and the connection is closed, for one long header and for many short ones."""
    long = talk(stack, request(stack, GOOD, headers=b"x-long: " + b"a" * 100_000 + b"\r\n"))
    many = talk(stack, request(stack, GOOD, headers=b"".join(b"x-%d: 1\r\n" % number for number in range(5_000))))

    assert long.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert many.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert stack.served()["calls"] == 0


@pytest.mark.parametrize(
    "headers",
    [b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"transfer-encoding: chunked, identity\r\n"],
    ids=["two content lengths", "length and chunked", "bad encoding"],
)
def test_smuggling(stack: Stack, headers: bytes) -> None:
    """Two ways to tell the body's end are one too many: 400, and the connection is closed."""
    answer = talk(stack, request(stack, GOOD, headers=headers))

    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert stack.served()["calls"] == 0


def test_half_a_body(stack: Stack) -> None:
    """A client that sends half a body and leaves costs nothing and leaves no hold."""
    parts = urlsplit(stack.gateway.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
        connection.sendall(request(stack, GOOD)[:-20])

    assert stack.settled(0) == []
    assert stack.served()["calls"] == 0


def test_pipelined_requests_are_answered_in_order(stack: Stack) -> None:
    """Two requests on one connection get two answers, in their order, on one connection."""
    parts = urlsplit(stack.gateway.url)
    bad = request(stack, b"hello")
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
        connection.sendall(request(stack, GOOD) + bad)
        received = b""
        while received.count(b"HTTP/1.1 ") < 2 or not received.endswith(b"}"):
            received += connection.recv(65_536)

    assert received.index(b"HTTP/1.1 200") < received.index(b"HTTP/1.1 400")
    stack.agrees(1)


def test_header_injection_by_the_model_name(stack: Stack) -> None:
    """A model name with line breaks ends up in no header."""
    body = json.dumps({"model": "x\r\nset-cookie: a=b", "messages": []}).encode()
    answer = talk(stack, request(stack, body))

    assert b"\r\nset-cookie" not in answer.partition(b"\r\n\r\n")[0]


def test_keys_and_prompts_are_not_logged(stack: Stack) -> None:
    """Neither the virtual key, nor the provider's, nor the prompt is in the log."""
    talk(stack, request(stack, GOOD.replace(b"hi", b"my darkest prompt")))

    log = stack.log()
    assert stack.secret not in log
    assert "sk-provider-openai" not in log
    assert "my darkest prompt" not in log
