"""For each limit of the client, a real provider exceeds it, and the call ends with the error of that limit."""

import asyncio
from typing import NamedTuple

import pytest
from tests.upstream.conftest import Caller, Run, Serve
from tests.upstream.test_response import new_client

from pertoken.upstream.errors import (
    BodyTooLarge,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    PoolExhausted,
    ProtocolError,
    TotalTimeout,
)
from pertoken.upstream.limits import ClientLimits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


class Beyond(NamedTuple):
    """A limit, the bytes that the provider sends before it stops, and the caller's error."""

    limit: int
    said: bytes
    error: type[Exception] | None


BEYOND = {
    "connect_ms": Beyond(50, b"", ConnectTimeout),
    "first_byte_ms": Beyond(50, b"", FirstByteTimeout),
    "idle_ms": Beyond(50, HEAD + b"x", IdleTimeout),
    "total_ms": Beyond(50, HEAD + b"x", TotalTimeout),
    "header_bytes": Beyond(100, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200, ProtocolError),
    "body_bytes": Beyond(100, HEAD + b"x" * 101, BodyTooLarge),
    "connections_per_origin": Beyond(0, b"", PoolExhausted),
    "idle_keepalive_ms": Beyond(0, HEAD + b"x" * 1000, None),
}


def test_every_limit_is_tried() -> None:
    """There is a case for each limit and for nothing else."""
    assert set(BEYOND) == set(ClientLimits._fields)


@pytest.mark.parametrize("name", BEYOND)
def test_a_limit(name: str, run: Run, serve: Serve) -> None:
    """A provider that exceeds a limit ends the call; a connection that is idle too long is closed."""
    beyond = BEYOND[name]

    async def say(caller: Caller) -> None:
        await caller.write(beyond.said)
        if beyond.error is not None:
            await caller.reader.read()  # sends nothing from now on

    async def story() -> None:
        async with serve(say) as provider:
            client = new_client(**{name: beyond.limit})
            # No one answers the handshake, so connecting takes forever.
            origin = provider.origin._replace(scheme="https" if name == "connect_ms" else "http")
            try:
                for _ in range(2):
                    response = await client.send(origin, b"POST", b"/", (), b"{}")
                    await response.read()
            except Exception as error:  # noqa: BLE001 - any error is compared
                assert type(error) is beyond.error, repr(error)
            else:
                assert beyond.error is None
                assert provider.opened == 2
            finally:
                await client.close()

    run(asyncio.wait_for(story(), 30))
