"""Which connections are kept, reused and refused, on both event loops."""

import asyncio
import ssl

import pytest
from tests.upstream.conftest import Caller, Run, Serve, until

from pertoken.upstream.errors import (
    PoolExhausted,
)
from pertoken.upstream.http import Client, ClientLimits, Origin, Response

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
JSON = [(b"content-type", b"application/json")]


def new_client(**limits: int) -> Client:
    """Return a client without proxies and with an empty trust store, which is cheap to make."""
    return Client(ClientLimits(**limits), ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


async def post(client: Client, origin: Origin, body: bytes = b"{}") -> Response:
    """Send the usual request."""
    return await client.send(origin, b"POST", b"/v1/x", JSON, body)


def test_stale_connection_is_skipped(run: Run, serve: Serve) -> None:
    """If the provider has closed a kept connection, the next call opens a new one and succeeds."""

    async def close_behind(caller: Caller) -> None:
        await caller.write(HELLO)
        caller.close()

    async def story() -> None:
        async with serve(close_behind) as provider:
            client = new_client()
            for turn in range(1, 4):
                assert await (await post(client, provider.origin)).read() == b"hello"
                await provider.until_closed(turn)
                await until(lambda: not any(pool.connections for pool in client._pools.values()))
            await client.close()
            assert (provider.opened, len(provider.requests)) == (3, 3)

    run(story())


def test_cancelling_while_connecting(run: Run, serve: Serve) -> None:
    """A call that is cancelled in any turn of the loop while its connection opens leaves no socket and no count."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()
            for turns in range(40):
                task = asyncio.create_task(post(client, provider.origin))
                for _ in range(turns // 2):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await until(lambda: all(pool.connections == len(pool._idle) for pool in client._pools.values()))
            await client.close()
            await provider.until_closed(provider.opened)

    run(story())


def test_pool_limit(run: Run, serve: Serve) -> None:
    """One call more than the limit on connections is refused at once; when a call ends, there is room again."""
    go = asyncio.Event()

    async def wait(caller: Caller) -> None:
        await go.wait()
        await caller.write(HELLO)

    async def story() -> None:
        async with serve(wait) as provider:
            client = new_client(connections_per_origin=2)
            busy = [asyncio.create_task(post(client, provider.origin)) for _ in range(2)]
            await provider.until_asked(2)
            with pytest.raises(PoolExhausted, match="limit: 2") as caught:
                await post(client, provider.origin)
            assert not caught.value.sent
            go.set()
            await asyncio.gather(*busy)
            assert await (await post(client, provider.origin)).read() == b"hello"
            await client.close()

    run(story())


def test_idle_connections_are_closed(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection is closed after its time limit, and then no timer runs and no pool remains."""
    monkeypatch.setattr("pertoken.upstream.http._IDLE_TICK_S", 0.05)

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client(idle_keepalive_ms=50)
            await (await post(client, provider.origin)).read()
            await provider.until_closed()
            await until(lambda: client._timer is None and not client._pools)
            assert await (await post(client, provider.origin)).read() == b"hello"
            await client.close()

    run(story())


def test_expired_connections_are_not_taken(run: Run, serve: Serve) -> None:
    """An expired connection is not used, even before the timer has closed it."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client(idle_keepalive_ms=20)
            await (await post(client, provider.origin)).read()
            await asyncio.sleep(0.04)
            await (await post(client, provider.origin)).read()
            assert provider.opened == 2
            await client.close()

    run(story())


def test_nothing_stays_behind(run: Run, serve: Serve) -> None:
    """After calls of every kind and `close`, no socket is open and nothing is counted."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()
            await (await post(client, provider.origin)).read()
            await (await post(client, provider.origin)).aclose()
            pool = client._pools[provider.origin]
            assert (pool.connections, pool.busy, len(pool._idle)) == (1, 0, 1)
            await client.close()
            assert (pool.connections, pool.busy, len(pool._idle)) == (0, 0, 0)
            await provider.until_closed()
            assert client._timer is None

    run(story())
