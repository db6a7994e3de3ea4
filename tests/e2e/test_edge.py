"""What hostile clients send to the gateway over real connections, and what honest ones send that looks alike."""

import base64
import json
import random
from collections.abc import Callable

import pytest
from tests.e2e.conftest import Stack, one_store
from tests.e2e.rig import MB
from tests.e2e.test_bad_input import error_of, request, talk

pytestmark = one_store

MODEL = "gpt-4o-mini"
CHAT = b"/v1/chat/completions"
PIXELS = base64.b64encode(random.Random(7).randbytes(11 * MB)).decode()


def chat(messages: object, **fields: object) -> bytes:
    """Return a chat completion."""
    return json.dumps({"model": MODEL, "max_tokens": 20, "messages": messages, **fields}).encode()


def one(content: object, **fields: object) -> bytes:
    """Return a chat completion of one message."""
    return chat([{"role": "user", "content": content}], **fields)


def agent(turns: int) -> list[dict[str, object]]:
    """Return what an agent sends after so many turns."""
    asked = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": json.dumps({"path": "/a", "n": [1, 2]})},
    }
    said = [
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "c", "content": "x, " * 99},
    ]
    return [{"role": "user", "content": "go"}, *said * (turns // 2)]


def tools(count: int) -> list[dict[str, object]]:
    """Return so many tools with ten parameters each."""
    known = {
        f"p{number}": {"type": "string", "description": "what, why: how", "enum": ["a", "b"]} for number in range(10)
    }
    schema = {"type": "object", "properties": known, "required": list(known)}
    return [{"type": "function", "function": {"name": f"f{number}", "parameters": schema}} for number in range(count)]


def picture(base64: str) -> dict[str, object]:
    """Return a part with a picture."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64}"}}


HONEST: dict[str, Callable[[], bytes]] = {
    "a picture of 15 MB": lambda: one([{"type": "text", "text": "look"}, picture(PIXELS)]),
    "2,000 messages of an agent": lambda: chat(agent(2_000)),
    "500 tools": lambda: one("hi", tools=tools(500)),
    "2 MB of JSON in a text": lambda: one(json.dumps([{"a": [1, 2]}] * 100_000)),
    "3 MB of words": lambda: one("word " * (3 * MB // 5)),
    "2 MB of words, as a stream": lambda: one("word " * (2 * MB // 5), stream=True),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_clients_send(stack: Stack, name: str) -> None:
    """Large pictures, long talks, many tools and long texts are served, charged as the provider says, and agree."""
    answer = talk(stack, request(stack, HONEST[name]()), wait_s=60)

    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
    stack.agrees(1)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "15 MB of empty messages": lambda: chat("EMPTY").replace(b'"EMPTY"', b"[" + b"{}," * 5_000_000 + b"{}]"),
    "300,000 tiny pictures": lambda: one([picture("")] * 300_000),
    "a million fields": lambda: chat([], **{f"k{number}": 1 for number in range(10**6)}),
    "a million levels": lambda: chat("DEEP").replace(b'"DEEP"', b"[" * 10**6 + b"]" * 10**6),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_too_much_structure(stack: Stack, name: str) -> None:
    """400 in the client's format names the limit and the setting that raises it; nothing is forwarded."""
    status, error = error_of(talk(stack, request(stack, HOSTILE[name]()), wait_s=60))

    assert status == 400
    assert "250000 values" in error["message"]
    assert "limits.body_values_max" in error["message"]
    assert stack.served()["calls"] == 0
    assert stack.settled(0) == []


def test_deep_structure(stack: Stack) -> None:
    """A body that nests deeper than any request is refused, too, wherever it is read."""
    for levels in (1_000, 100_000):
        body = b'{"model":"%b","messages":[{"role":"user","content":%b1%b}]}' % (
            MODEL.encode(),
            b"[" * levels,
            b"]" * levels,
        )
        status, _ = error_of(talk(stack, request(stack, body)))
        assert status == 400
    assert stack.served()["calls"] == 0


@pytest.mark.parametrize("name", ["k%65y", "%6b%65%79", "key", "KEY", "+key", "%4Bey"])
def test_a_key_in_the_query(stack: Stack, name: str) -> None:
    """The virtual key never reaches the provider, however the name of its parameter is spelt."""
    body = b'{"contents":[{"parts":[{"text":"hi"}]}]}'
    path = f"/v1beta/models/gemini-3.5-flash:generateContent?{name}={stack.secret}&alt=json".encode()
    data = request(stack, body, path, key=b"").replace(b"authorization: Bearer \r\n", b"")

    answer = talk(stack, data)

    assert answer.startswith(b"HTTP/1.1 200"), answer
    [call] = stack.sim_calls()
    assert stack.secret not in json.dumps(call)
    stack.agrees(1)


PATHS = [
    "..%252F..%252Fv1%252Ffiles", "..%2F..%2Ffiles", "..", ".", "%2e%2e", "a%2Fb", "a%252Fb", "a%25252Fb", "a%5Cb",
    "a b", "a%20b", "a%0d%0ax-goog-api-key%3A%20b", "a%00b", "a%23b", "a%3Fb", "%C3%A9", "a;b", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("model", PATHS)
@pytest.mark.parametrize("verb", ["countTokens", "generateContent", "embedContent"])
def test_a_model_that_leads_elsewhere(stack: Stack, model: str, verb: str) -> None:
    """A path whose model is not one plain segment is no path here: nothing is sent with the operator's key."""
    path = f"/v1beta/models/{model}:{verb}".encode()
    answer = talk(stack, request(stack, b'{"contents":[]}', path))

    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer
    assert stack.sim_calls() == []


def test_a_packed_request(stack: Stack) -> None:
    """A body that says it is packed is not read: whoever unpacks it could find another request, or a bomb."""
    status, error = error_of(talk(stack, request(stack, one("hi"), headers=b"content-encoding: gzip\r\n")))

    assert status == 400
    assert "content-encoding" in error["message"]
    assert stack.served()["calls"] == 0


def test_an_upgrade_over_a_connection(stack: Stack) -> None:
    """A client that offers h2c is answered in HTTP/1.1, its body read."""
    answer = talk(stack, request(stack, one("hi"), headers=b"connection: Upgrade\r\nupgrade: h2c\r\n"))

    assert answer.startswith(b"HTTP/1.1 200")
    assert "Traceback" not in stack.log()
    stack.agrees(1)
