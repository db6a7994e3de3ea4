"""A call that its client names is made once, however often it is asked for."""

import json
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import Stack

HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]


def ask(stack: Stack, name: str, *, stream: bool = False, **more: Any) -> Any:
    """Make one named call; return the raw response."""
    client = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)
    headers = {"x-pertoken-idempotency-key": name, **more.pop("headers", {})}
    return client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=HELLO, stream=stream, extra_headers=headers, **more
    )


def test_a_named_call_is_made_once(stack: Stack) -> None:
    """The second answer is the first, byte by byte, with its call id and cost; the provider is asked once."""
    first, second = ask(stack, "order-1"), ask(stack, "order-1")

    assert second.content == first.content
    assert second.headers["x-pertoken-replayed"] == "true"
    for name in ("x-pertoken-call-id", "x-pertoken-cost", "content-type"):
        assert second.headers[name] == first.headers[name]
    stack.agrees(1)


def test_a_named_stream_is_made_once(stack: Stack) -> None:
    """The chunks of the second stream say what the first's did."""
    texts = []
    for _ in range(2):
        chunks = list(ask(stack, "order-2", stream=True).parse())
        texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))

    assert texts[0] == texts[1] != ""
    stack.agrees(1)


def test_another_request_under_the_same_name_is_a_conflict(stack: Stack) -> None:
    """409 that names the first call; other names and other keys are free."""
    first = ask(stack, "order-3")
    with pytest.raises(openai.ConflictError) as raised:
        ask(stack, "order-3", temperature=0.5)

    assert raised.value.code == "idempotency_conflict"
    assert first.headers["x-pertoken-call-id"] in str(raised.value)
    ask(stack, "order-4")
    stack.agrees(2)


def test_a_named_call_that_failed_may_be_made_again(stack: Stack) -> None:
    """A provider's error is no outcome: the next call with the name is made, and then it is that one's."""
    with pytest.raises(openai.InternalServerError):
        ask(stack, "order-5", headers={"x-sim-fault": "http_500"})
    again = ask(stack, "order-5")

    assert "x-pertoken-replayed" not in again.headers
    assert ask(stack, "order-5").headers["x-pertoken-replayed"] == "true"
    stack.agrees(1)


def test_asking_while_it_runs_makes_no_second_call(stack: Stack) -> None:
    """Of six at once one is served, the others are told to ask again; then all get the same answer."""

    def attempt(_number: int) -> str:
        try:
            return str(ask(stack, "order-6", headers={"x-sim-latency-ms": "400"}).headers["x-pertoken-call-id"])
        except openai.ConflictError as conflict:
            assert conflict.response.headers["retry-after"] == "1"
            return "conflict"

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(attempt, range(6)))
    [call_id] = {one for one in found if one != "conflict"}
    later = {ask(stack, "order-6").headers["x-pertoken-call-id"] for _ in range(3)}

    assert later == {call_id}
    stack.agrees(1)


def test_a_client_that_hung_up_gets_its_answer(stack: Stack) -> None:
    """A stream that its client left is settled on real usage; asking again by name gives the whole of it."""
    program = (
        "import socket,sys\n"
        "host,port,message=sys.argv[1],int(sys.argv[2]),sys.argv[3].encode()\n"
        "s=socket.create_connection((host,port)); s.sendall(message); s.recv(100); s.close()\n"
    )
    body = json.dumps({"model": "gpt-4o-mini", "messages": HELLO, "stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.secret}\r\n"
    head += f"x-pertoken-idempotency-key: order-7\r\nx-sim-chunk-ms: 20\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    host, port = stack.gateway.url.removeprefix("http://").split(":")
    subprocess.run([sys.executable, "-c", program, host, port, head], check=True)
    deadline = time.monotonic() + 10
    while not stack.events():
        assert time.monotonic() < deadline, "the call was not settled"
        time.sleep(0.05)
    request = urllib.request.Request(
        f"{stack.gateway.url}/v1/chat/completions",
        body.encode(),
        {"authorization": f"Bearer {stack.secret}", "x-pertoken-idempotency-key": "order-7"},
    )
    with urllib.request.urlopen(request) as response:
        answer = response.read()

    assert response.headers["x-pertoken-replayed"] == "true"
    assert b"data: [DONE]" in answer
    stack.agrees(1)


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_name_that_is_none_is_refused(stack: Stack, name: str) -> None:
    """400 that names the header."""
    with pytest.raises(openai.BadRequestError, match="x-pertoken-idempotency-key"):
        ask(stack, name)
