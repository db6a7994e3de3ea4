"""The load generator for streams: many at once, paced by the provider, each chunk timed from writing to arrival.

Chunks count only while all streams run, so that what it costs to begin and end a stream is not in it.
"""

import asyncio
import contextlib
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple, cast

import provider
from load import Address

OPENED_A_SECOND = 1_000
BEGIN_S = 15  # how long all streams may take to begin
WINDOW_S = 1  # counted at least, also where streams end before others have begun
LINGER_S = 3  # how long those that began last may go on


class Flow(NamedTuple):
    """What came of some streams: `cpu_s` is what the measured process used while the chunks came."""

    begun: int  # streams, before the first of them ended
    chunks: int
    seconds: float
    cpu_s: float
    delays_s: "array[float]"


class Streams:
    """So many streams, opened one after the other and read together."""

    def __init__(self, address: Address, message: bytes, count: int) -> None:
        self._address = address
        self._message = message
        self._readers = [Reader(self) for _ in range(count)]
        self._begun = 0
        self._ended = 0
        self._all_begun = asyncio.Event()  # or one has ended before that
        self._one_ended = asyncio.Event()
        self.delays_s = array("d")

    async def read(self, seconds: float, cpu_s: Callable[[], float]) -> Flow:
        """Read until the first stream ends, at most for some seconds."""
        try:
            await self._ask()
            await _wait(self._all_begun, BEGIN_S)
            self._one_ended.clear()
            self.delays_s = array("d")
            cpu_before, began_at, begun = cpu_s(), time.perf_counter(), self._begun
            await asyncio.sleep(WINDOW_S)
            await _wait(self._one_ended, seconds - WINDOW_S)
            taken = self.delays_s
            flow = Flow(begun, len(taken), time.perf_counter() - began_at, cpu_s() - cpu_before, taken)
            self.delays_s = array("d")
            await self._linger()
            return flow
        finally:
            for reader in self._readers:
                reader.abort()
            await asyncio.sleep(0.05)

    def begun(self) -> None:
        """Count a stream that begins."""
        self._begun += 1
        if self._begun == len(self._readers):
            self._all_begun.set()

    def ended(self) -> None:
        """Count a stream that is over, or that broke off."""
        self._ended += 1
        self._one_ended.set()
        self._all_begun.set()

    async def _ask(self) -> None:
        """Open all, then ask for one after the other, so that their chunks do not come in step."""
        loop = asyncio.get_running_loop()
        for reader in self._readers:
            await loop.create_connection(lambda reader=reader: reader, *self._address)  # type: ignore[misc]
        began_at = loop.time()
        for number, reader in enumerate(self._readers):
            if (early_s := began_at + number / OPENED_A_SECOND - loop.time()) > 0:
                await asyncio.sleep(early_s)
            reader.ask(self._message)

    async def _linger(self) -> None:
        """Let the streams end that began last."""
        for _ in range(round(LINGER_S / 0.05)):
            if self._ended == self._begun:
                return
            await asyncio.sleep(0.05)


class Reader(asyncio.Protocol):
    """One stream."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._transport: asyncio.Transport | None = None
        self._begun = self._ended = False
        self._rest = b""  # where a chunk may have come in parts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, message: bytes) -> None:
        """Ask for the stream."""
        assert self._transport is not None
        self._transport.write(message)

    def abort(self) -> None:
        """Close the connection, if there is one."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now_ns = time.perf_counter_ns()
        received = self._rest + data
        read_to = 0
        for stamp in provider.STAMP.finditer(received):
            read_to = stamp.end()
            self._streams.delays_s.append((now_ns - int(stamp[1])) / 1e9)
        if read_to and not self._begun:
            self._begun = True
            self._streams.begun()
        self._rest = received[max(read_to, len(received) - provider.STAMP_BYTES + 1) :]
        if received.find(b"[DONE]", read_to) >= 0:
            self._end()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._begun and not self._ended:
            self._ended = True
            self._streams.ended()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
