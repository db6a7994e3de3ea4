"""Pouring an answer into a sink never waits forever, whether bytes come early or not at all."""

import asyncio

import pytest
from tests.upstream.conftest import Caller, Run, Serve, until
from tests.upstream.test_response import new_client, post

from pertoken.upstream.errors import TotalTimeout

OK = b"HTTP/1.1 200 OK\r\n"
GUARD_S = 30  # seconds, far more than any test here takes


def test_what_came_before_pouring_began_does_not_stop_it(run: Run, serve: Serve) -> None:
    """If more than the buffer has arrived before `pour`, it is poured, and so is the rest."""
    body = b"0123456789abcdef" * 256 * 1024  # 4 MB, sixteen times the buffer

    async def flood(caller: Caller) -> None:
        await caller.write(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def story() -> None:
        async with serve(flood) as provider:
            client = new_client()
            got = bytearray()

            def sink(data: bytes) -> bool:
                got.extend(data)
                return False

            async def room() -> None:
                raise AssertionError("the sink is never full")

            response = await post(client, provider.origin)
            await until(lambda: response._transfer.paused)  # the buffer is full
            try:
                await asyncio.wait_for(response.pour(sink, room), GUARD_S)
            finally:
                await client.close()
            assert bytes(got) == body

    run(story())


def test_a_full_sink_does_not_outlast_the_total_time(run: Run, serve: Serve) -> None:
    """If a sink stays full until the transfer's time limit, `pour` raises the error and stops waiting."""
    given_up = False

    async def flood(caller: Caller) -> None:
        await caller.write(OK + b"Content-Length: 10\r\n\r\nhello")
        await caller.reader.read()

    async def story() -> None:
        async with serve(flood) as provider:
            client = new_client(total_ms=600_000)

            async def room() -> None:
                nonlocal given_up
                try:
                    await asyncio.Event().wait()
                finally:
                    given_up = True

            response = await post(client, provider.origin)
            try:
                pouring = asyncio.ensure_future(response.pour(lambda _: True, room))
                await until(lambda: response._transfer._full)
                for pool in client._pools.values():
                    pool.check(asyncio.get_running_loop().time() + 601)  # instead of waiting for ten minutes
                with pytest.raises(TotalTimeout):
                    await asyncio.wait_for(pouring, GUARD_S)
            finally:
                await client.close()
            assert given_up

    run(story())
