"""Reading a body, whole and piece by piece, and giving it up, on both event loops."""

import asyncio
import ssl

import pytest
from tests.upstream.conftest import Caller, Run, Serve, until

from pertoken.upstream.errors import (
    BodyTooLarge,
    ClientClosed,
    ConnectionCut,
)
from pertoken.upstream.http import Client, ClientLimits, Origin, Response

OK = b"HTTP/1.1 200 OK\r\n"
TURNS = 2_000  # turns of the loop, in which all bytes on their way arrive
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
JSON = [(b"content-type", b"application/json")]


def new_client(**limits: int) -> Client:
    """Return a client without proxies and with an empty trust store, which is cheap to make."""
    return Client(ClientLimits(**limits), ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


async def post(client: Client, origin: Origin, body: bytes = b"{}") -> Response:
    """Send the usual request."""
    return await client.send(origin, b"POST", b"/v1/x", JSON, body)


async def collect(response: Response, pieces: list[bytes]) -> None:
    """Read a stream into a list that keeps the pieces before an error."""
    async for piece in response:
        pieces.append(piece)  # noqa: PERF401 a comprehension would lose the pieces before the error


def test_streamed(run: Run, serve: Serve) -> None:
    """Pieces come one by one as the provider sends them, and after the last one the connection is free."""
    told = asyncio.Queue[bytes]()

    async def drip(caller: Caller) -> None:
        await caller.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            await told.get()
            await caller.write(b"2\r\n#%d\r\n" % number)
        await caller.write(b"0\r\nX-Trailer: 1\r\n\r\n")

    async def story() -> None:
        async with serve(drip) as provider:
            client = new_client()
            for _ in range(2):
                response = await post(client, provider.origin)
                pieces = []
                told.put_nowait(b"go")
                async for piece in response:
                    pieces.append(piece)
                    told.put_nowait(b"go")
                assert pieces == [b"#0", b"#1", b"#2"]
                while not told.empty():
                    told.get_nowait()
            await client.close()
            assert provider.opened == 1

    run(story())


def test_pieces_before_a_cut_are_given_out(run: Run, serve: Serve) -> None:
    """A stream that breaks off returns the pieces before the break, then the error; `read` raises the error."""

    async def cut(caller: Caller) -> None:
        await caller.write(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwor")
        caller.close()

    async def story() -> None:
        async with serve(cut) as provider:
            client = new_client()
            pieces: list[bytes] = []
            with pytest.raises(ConnectionCut) as caught:
                await collect(await post(client, provider.origin), pieces)
            assert b"".join(pieces) == b"hellowor"
            assert not caught.value.before_head
            response = await post(client, provider.origin)
            with pytest.raises(ConnectionCut):
                await response.read()
            await client.close()

    run(story())


@pytest.mark.parametrize("limit", [1_000, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_body_limit(run: Run, serve: Serve, limit: int, framing: str) -> None:
    """A body read whole above the limit is refused and its connection closed; at the limit it is read."""

    async def flood(caller: Caller) -> None:
        size = int(caller.request.partition(b"\r\n\r\n")[2])
        if framing == "length":
            await caller.write(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
        else:
            await caller.write(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size)
            await caller.write(b"x" * size + b"\r\n0\r\n\r\n")

    async def story() -> None:
        async with serve(flood) as provider:
            client = new_client(body_bytes=limit)
            assert len(await (await post(client, provider.origin, b"%d" % limit)).read()) == limit
            response = await post(client, provider.origin, b"%d" % (limit + 1))
            with pytest.raises(BodyTooLarge):
                await response.read()
            streamed = [len(piece) async for piece in await post(client, provider.origin, b"%d" % (limit + 1))]
            assert sum(streamed) == limit + 1
            await client.close()

    run(story())


@pytest.mark.parametrize("phase", ["head", "body", "whole"])
def test_cancelling_closes(run: Run, serve: Serve, phase: str) -> None:
    """Cancelling the task that waits for the head or the body closes its connection."""

    async def stall(caller: Caller) -> None:
        if phase != "head":
            await caller.write(HELLO[:-1])
        await caller.reader.read()

    async def story() -> None:
        async with serve(stall) as provider:
            client = new_client()

            async def call() -> None:
                response = await post(client, provider.origin)
                if phase == "whole":
                    await response.read()
                async for _ in response:
                    pass

            task = asyncio.create_task(call())
            await provider.until_asked()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await provider.until_closed()
            assert not any(pool.busy for pool in client._pools.values())
            await client.close()

    run(story())


def test_a_late_cancel_spares_the_next_call(run: Run, serve: Serve) -> None:
    """Cancelling a task whose answer is already complete does not close the connection, which another call may use."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            client = new_client()
            first = asyncio.create_task(post(client, provider.origin))
            while not (pools := list(client._pools.values())) or not pools[0]._idle:
                await asyncio.sleep(0)
                if first.done():
                    break
            first.cancel()
            second = await post(client, provider.origin)
            assert await second.read() == b"hello"
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await (await post(client, provider.origin)).read() == b"hello"
            await client.close()
            assert provider.opened == 1

    run(story())


def test_giving_up(run: Run, serve: Serve) -> None:
    """`aclose` closes the connection only if the answer is unfinished; it may be called again."""

    async def endless(caller: Caller) -> None:
        await caller.write(HELLO if b"whole" in caller.request else HELLO[:-1])

    async def story() -> None:
        async with serve(endless) as provider:
            client = new_client()
            for _ in range(2):
                await (await post(client, provider.origin, b"whole")).aclose()
            assert provider.opened == 1
            response = await post(client, provider.origin)
            await response.aclose()
            await response.aclose()
            with pytest.raises(ClientClosed):
                await response.read()
            await provider.until_closed()
            await client.close()

    run(story())


def test_back_pressure(run: Run, serve: Serve) -> None:
    """If the reader does not read, the provider must wait: neither side buffers the whole body."""
    piece, pieces = b"x" * 100_000, 400
    written = 0

    async def flood(caller: Caller) -> None:
        nonlocal written
        await caller.write(OK + b"Content-Length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            await caller.write(piece)
            written += len(piece)

    async def story() -> None:
        async with serve(flood) as provider:
            client = new_client()
            response = await post(client, provider.origin)
            await until(lambda: response._transfer.paused)
            for _ in range(TURNS):
                await asyncio.sleep(0)  # bytes that arrive now arrive without being read
            unread = sum(map(len, response._transfer.pieces))
            assert 256 * 1024 <= unread < 1024 * 1024
            assert written < len(piece) * pieces
            read = 0
            async for got in response:
                read += len(got)
                assert sum(map(len, response._transfer.pieces)) < 1024 * 1024
            assert read == len(piece) * pieces
            await client.close()

    run(story())


def test_pouring_pauses_for_a_full_sink(run: Run, serve: Serve) -> None:
    """A full sink gets almost nothing until there is room, and then the whole rest, in order."""
    piece, pieces = b"0123456789abcdef" * 4096, 200
    written = 0
    is_full = asyncio.Event()

    async def flood(caller: Caller) -> None:
        nonlocal written
        await caller.write(OK + b"Content-Length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            await caller.write(piece)
            written += len(piece)
            await is_full.wait()  # so that the sink pauses the reading, not the buffer before it

    async def story() -> None:
        async with serve(flood) as provider:
            client = new_client()
            got = bytearray()
            may_go_on = asyncio.Event()

            def sink(data: bytes) -> bool:
                got.extend(data)
                is_full.set()
                return not may_go_on.is_set()

            async def room() -> None:
                await may_go_on.wait()

            response = await post(client, provider.origin)
            pouring = asyncio.ensure_future(response.pour(sink, room))
            await until(lambda: response._transfer.paused)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            assert 0 < len(got) < 1024 * 1024
            assert written < len(piece) * pieces
            may_go_on.set()
            await pouring
            assert bytes(got) == piece * pieces
            assert (await (await post(client, provider.origin)).read()) == piece * pieces
            await client.close()
            assert provider.opened == 1

    run(story())


@pytest.mark.parametrize("broken", ["sink", "room", "cut"])
def test_pouring_tells_what_went_wrong(run: Run, serve: Serve, broken: str) -> None:
    """Bytes before a cut are poured before the error; errors of the sink and of `room` reach the caller of `pour`."""

    async def cut(caller: Caller) -> None:
        await caller.write(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwor")
        if broken == "cut":
            caller.close()
        else:
            await caller.reader.read()

    async def story() -> None:
        async with serve(cut) as provider:
            client = new_client()
            got: list[bytes] = []

            def sink(data: bytes) -> bool:
                got.append(data)
                if broken == "sink":
                    raise ValueError("a mistake")
                return broken == "room"

            async def room() -> None:
                raise ValueError("a mistake")

            response = await post(client, provider.origin)
            with pytest.raises(ConnectionCut if broken == "cut" else ValueError):
                await response.pour(sink, room)
            assert b"".join(got) == b"hellowor"
            await client.close()

    run(story())
