"""The client against a scripted provider on real sockets, on both event loops."""

import asyncio
import gzip
import ssl
from typing import Any

import pytest
from tests.upstream.conftest import Caller, Run, Serve

from pertoken.upstream.connection import Connection
from pertoken.upstream.dial import dial
from pertoken.upstream.encoding import decoder
from pertoken.upstream.errors import (
    ClientClosed,
    ConnectFailed,
    ConnectionCut,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    ProtocolError,
    TotalTimeout,
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


def test_a_call(run: Run, serve: Serve) -> None:
    """A request arrives exactly as given, its answer comes back, and successive requests share one connection."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()
            for _ in range(3):
                response = await post(client, provider.origin, b'{"a":1}')
                assert (response.status, response.headers) == (200, [(b"content-length", b"5")])
                assert await response.read() == b"hello"
            await client.close()

            host = b"127.0.0.1:%d" % provider.port
            assert provider.requests[0] == (
                b"POST /v1/x HTTP/1.1\r\nHost: %b\r\nContent-Length: 7\r\ncontent-type: application/json\r\n\r\n" % host
                + b'{"a":1}'
            )
            assert len(provider.requests) == 3
            assert provider.opened == 1

    run(story())


def test_calls_side_by_side(run: Run, serve: Serve) -> None:
    """Concurrent requests never share a connection, and each gets its own answer."""

    async def echo(caller: Caller) -> None:
        body = caller.request.partition(b"\r\n\r\n")[2]
        await asyncio.sleep(0.001 * (body[-1] % 7))
        await caller.write(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def story() -> None:
        async with serve(echo) as provider:
            client = new_client()

            async def one(number: int) -> None:
                for turn in range(5):
                    body = b"%d-%d" % (number, turn)
                    assert await (await post(client, provider.origin, body)).read() == body

            await asyncio.gather(*(one(number) for number in range(20)))
            await client.close()
            assert provider.opened == 20

    run(story())


def test_large_both_ways(run: Run, serve: Serve) -> None:
    """Bodies of 10 MB are sent and received completely, streamed or not."""
    large = bytes(range(256)) * 40_000

    async def echo(caller: Caller) -> None:
        body = caller.request.partition(b"\r\n\r\n")[2]
        assert body == large
        await caller.write(OK + b"Content-Length: %d\r\n\r\n" % len(body))
        await caller.write(body)

    async def story() -> None:
        async with serve(echo) as provider:
            client = new_client()
            assert await (await post(client, provider.origin, large)).read() == large
            assert b"".join([piece async for piece in await post(client, provider.origin, large)]) == large
            await client.close()
            assert provider.opened == 1

    run(story())


@pytest.mark.parametrize("size", [0, 16 * 1024, 16 * 1024 + 1, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024 + 7])
def test_upload_sizes(run: Run, serve: Serve, size: int) -> None:
    """A request body of any size arrives complete, for each way of writing it."""
    body = b"b" * size

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()
            assert await (await post(client, provider.origin, body)).read() == b"hello"
            await client.close()
            head, _, received = provider.requests[0].partition(b"\r\n\r\n")
            assert b"Content-Length: %d\r\n" % size in head
            assert received == body

    run(story())


def test_answer_before_the_upload_is_done(run: Run, serve: Serve) -> None:
    """If a provider refuses a large body early, its answer is returned and the connection is not used again."""

    async def refuse(caller: Caller) -> None:
        await caller.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async def story() -> None:
        async with serve(refuse, read_bodies=False) as provider:
            client = new_client()
            response = await post(client, provider.origin, b"x" * 40_000_000)
            assert (response.status, await response.read()) == (413, b"no")
            assert not any(pool._idle or pool.busy for pool in client._pools.values())
            await client.close()

    run(story())


def test_gzip_end_to_end(run: Run, serve: Serve) -> None:
    """The client returns encoded bytes, and a decoder reads them piece by piece."""
    text = b'{"usage": {"input_tokens": 12}}' * 500
    packed = gzip.compress(text)

    async def story() -> None:
        head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        async with serve(head + packed) as provider:
            client = new_client()
            response = await post(client, provider.origin)
            codec = decoder(dict(response.headers)[b"content-encoding"])
            assert codec is not None
            seen = [codec.feed(piece) async for piece in response]
            await client.close()
            assert b"".join([*seen, codec.flush()]) == text

    run(story())


def test_head_and_get(run: Run, serve: Serve) -> None:
    """The answer to HEAD ends with its head, whatever its content-length; GET sends no content-length."""

    async def story() -> None:
        async with serve(OK + b"Content-Length: 5000\r\n\r\n") as provider:
            client = new_client()
            response = await client.send(provider.origin, b"HEAD", b"/", [], b"")
            assert (response.complete, await response.read()) == (True, b"")
            await client.close()
            assert b"ontent-" not in provider.requests[0]

    run(story())


def test_until_eof(run: Run, serve: Serve) -> None:
    """A body without a length, as in HTTP/1.0, ends with the connection; the next request opens a new one."""

    async def old(caller: Caller) -> None:
        await caller.write(b"HTTP/1.0 200 OK\r\n\r\nhel")
        await caller.write(b"lo")
        caller.close()

    async def story() -> None:
        async with serve(old) as provider:
            client = new_client()
            for _ in range(2):
                assert await (await post(client, provider.origin)).read() == b"hello"
            await client.close()
            assert provider.opened == 2

    run(story())


def test_never_sent_twice(run: Run, serve: Serve) -> None:
    """If a provider closes a kept connection after a request, the request is not sent again: it may be billed."""
    answers = [HELLO, b""]

    async def hang_up(caller: Caller) -> None:
        answer = answers.pop(0)
        if answer:
            await caller.write(answer)
        else:
            caller.close()

    async def story() -> None:
        async with serve(hang_up) as provider:
            client = new_client()
            await (await post(client, provider.origin)).read()
            with pytest.raises(ConnectionCut) as caught:
                await post(client, provider.origin)
            await client.close()
            assert (caught.value.sent, caught.value.before_head) == (True, True)
            assert (provider.opened, len(provider.requests)) == (1, 2)

    run(story())


def test_garbage(run: Run, serve: Serve) -> None:
    """An answer that is not HTTP is an error with the reason, and the connection is closed."""

    async def story() -> None:
        async with serve(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as provider:
            client = new_client()
            with pytest.raises(ProtocolError, match=r"not http/1\.1"):
                await post(client, provider.origin)
            await provider.until_closed()
            await client.close()

    run(story())


@pytest.mark.parametrize(
    ("limits", "said", "expected"),
    [
        ({"first_byte_ms": 50}, b"", FirstByteTimeout),
        ({"first_byte_ms": 50}, b"HTTP/1.1 100 Continue\r\n\r\n", FirstByteTimeout),
        ({"idle_ms": 50}, HELLO[:-1], IdleTimeout),
        ({"total_ms": 50}, HELLO[:-1], TotalTimeout),
        ({"total_ms": 50}, b"", TotalTimeout),
    ],
)
def test_times(run: Run, serve: Serve, limits: dict[str, int], said: bytes, expected: type[Exception]) -> None:
    """If a provider stops sending, the call ends with the timeout of its phase, and the connection is closed."""

    async def stall(caller: Caller) -> None:
        await caller.write(said)
        await caller.reader.read()

    async def story() -> None:
        async with serve(stall) as provider:
            client = new_client(**limits)
            with pytest.raises(expected) as caught:
                await (await post(client, provider.origin)).read()
            await provider.until_closed()
            await client.close()
            assert getattr(caught.value, "sent", None) is True

    run(story())


def test_connect_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a connection has a time limit, whatever it waits for, and no byte of the request was sent."""

    async def never(*_args: object, **_options: object) -> None:
        await asyncio.sleep(60)

    async def story() -> None:
        monkeypatch.setattr("pertoken.upstream.http.dial", never)
        client = new_client(connect_ms=20)
        with pytest.raises(ConnectTimeout) as caught:
            await post(client, Origin("http", "127.0.0.1", 9))
        assert not caught.value.sent
        assert not any(pool.connections for pool in client._pools.values())
        await client.close()

    run(story())


def test_nobody_listens(run: Run, unused_port: int) -> None:
    """If no server listens on the port, the error says that nothing was sent."""

    async def story() -> None:
        client = new_client()
        with pytest.raises(ConnectFailed, match="no connection to") as caught:
            await post(client, Origin("http", "127.0.0.1", unused_port))
        await client.close()
        assert not caught.value.sent
        assert isinstance(caught.value.cause, OSError)

    run(story())


def test_closing_the_client(run: Run, serve: Serve) -> None:
    """A caller that waits in any phase when the client closes gets ClientClosed, and so does a later caller."""

    async def stall(caller: Caller) -> None:
        if b"body" in caller.request:
            await caller.write(HELLO[:-1])
        await caller.reader.read()

    async def story() -> None:
        async with serve(stall) as provider:
            client = new_client()

            async def whole() -> bytes:
                return await (await post(client, provider.origin, b"body")).read()

            tasks: list[asyncio.Task[Any]] = [asyncio.create_task(whole())]
            tasks.append(asyncio.create_task(post(client, provider.origin)))
            await provider.until_asked(2)
            await client.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [ClientClosed, ClientClosed]
            assert [getattr(result, "sent", None) for result in results] == [True, True]
            await provider.until_closed(2)
            with pytest.raises(ClientClosed) as caught:
                await post(client, provider.origin)
            assert not caught.value.sent
            await client.close()

    run(story())


def test_closing_while_connecting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for its connection when the client closes ends at once, with nothing sent."""

    async def never(*_args: object, **_options: object) -> None:
        await asyncio.sleep(60)

    async def story() -> None:
        monkeypatch.setattr("pertoken.upstream.http.dial", never)
        client = new_client()
        task = asyncio.create_task(post(client, Origin("http", "127.0.0.1", 9)))
        await asyncio.sleep(0.01)
        await client.close()
        async with asyncio.timeout(30):
            with pytest.raises(ClientClosed) as caught:
                await task
        assert not caught.value.sent

    run(story())


def test_closing_in_the_moment_of_connecting(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that opens in the same turn of the loop in which the client closes is closed unused."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()

            async def dial_and_close(*arguments: Any) -> Connection:
                connection = await dial(*arguments)
                client._closed = True
                return connection

            monkeypatch.setattr("pertoken.upstream.http.dial", dial_and_close)
            with pytest.raises(ClientClosed) as caught:
                await post(client, provider.origin)
            assert not caught.value.sent
            await provider.until_closed()
            await client.close()

    run(story())


def test_invalid_requests_never_connect(run: Run, serve: Serve) -> None:
    """A header that could inject into the head is refused before a connection is opened or used."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()
            with pytest.raises(InvalidRequest) as caught:
                await client.send(provider.origin, b"POST", b"/", [(b"x", b"a\r\nx-admin: 1")], b"")
            assert isinstance(caught.value, ValueError)
            assert not caught.value.sent
            await client.close()
            assert provider.opened == 0

    run(story())
