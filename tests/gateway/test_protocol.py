"""Connections that send nothing, or too slowly, are closed."""

import asyncio

import pytest
from tests.gateway.conftest import Client, Story, told

from pertoken.gateway.protocol import REQUEST_IDLE_S, REQUEST_S

TURNS = 1_000
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-known\r\ncontent-length: 1000\r\n\r\n"
)


async def rest(client: Client, kept_s: float) -> bytes:
    """Return the received bytes after the deadline; the connection must not end before the deadline."""
    await client.pass_time(kept_s - 2)
    assert not is_over(client), "too early"
    await client.pass_time(4)
    for _ in range(TURNS):
        await asyncio.sleep(0)  # let sent bytes arrive
    assert is_over(client), "too late"
    return await client.reader.read()


def is_over(client: Client) -> bool:
    """Tell whether the gateway has ended the connection."""
    return bool(client.reader._eof)  # type: ignore[attr-defined]


async def silent(client: Client) -> bytes:
    """Send nothing."""
    return await rest(client, REQUEST_IDLE_S)


async def half(client: Client) -> bytes:
    """Send half a request."""
    await client.send(HEAD + b"x" * 100)
    return await rest(client, REQUEST_IDLE_S)


async def slow(client: Client) -> bytes:
    """Send single bytes, often enough not to be idle."""
    await client.send(HEAD)
    step_s = REQUEST_IDLE_S // 2
    for _ in range(REQUEST_S // step_s - 1):
        await client.pass_time(step_s)
        client.writer.write(b"x")
        await client.pass_time(0.5)
    return await rest(client, REQUEST_S - (REQUEST_S // step_s - 1) * (step_s + 0.5))


@pytest.mark.parametrize(("story", "status"), [(silent, b""), (half, b"HTTP/1.1 408"), (slow, b"HTTP/1.1 408")])
def test_a_client_that_does_not_go_on_is_let_go(story: Story, status: bytes) -> None:
    """A client that sends nothing is closed; one that stops half way or is too slow gets an error and is closed."""
    answer = told(story)

    assert answer.startswith(status)
    assert bool(answer) == bool(status)
