"""The load generator for whole answers: a closed loop over some connections, or an open one at a fixed rate.

It must cost little, since the provider shares its core: the request is written as made once, and an answer is read no
further than to its length. It does not know who is asked.
"""

import asyncio
import collections
import contextlib
import gc
import re
import signal
import time
from array import array
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import NamedTuple, TypeVar, cast

import uvloop

CONNECTIONS_MAX = 512  # of an open loop; what finds none free waits, and its wait counts
LINGER_S = 60  # how long the last answers are waited for

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200"

Address = tuple[str, int]
Result = TypeVar("Result")


class Answers(NamedTuple):
    """What came of a closed loop: `cpu_s` is what the measured process used meanwhile."""

    calls: int
    failed: int
    seconds: float
    cpu_s: float
    latencies_s: "array[float]"


class Kept(NamedTuple):
    """What came of an open loop; latencies are counted from when a call was due, not from when it could be sent."""

    due: int
    in_time: int  # answered before the time was over
    failed: int
    seconds: float
    latencies_s: "array[float]"


def run(load: Coroutine[None, None, Result]) -> Result:
    """Run a load; the collector waits meanwhile, so that its pauses are nobody's latency."""
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(load)
    finally:
        gc.enable()


async def closed(
    address: Address, message: bytes, connections: int, seconds: float, cpu_s: Callable[[], float]
) -> Answers:
    """Ask over so many connections, each again as soon as it is answered, for some seconds; then take the last ones."""
    latencies = array("d")
    clock, finished = time.perf_counter, asyncio.get_running_loop().create_future()
    failed, asking = 0, connections

    def answered(one: Connection, right: bool) -> None:
        nonlocal failed, asking
        now = clock()
        latencies.append(now - one.asked_at)
        failed += not right
        if now < ends_at and one.is_open:
            one.ask(clock())
            return
        asking -= 1
        if not asking:
            finished.set_result(None)

    async with _connections(address, message, answered, connections) as made:
        cpu_before, began_at = cpu_s(), clock()
        ends_at = began_at + seconds
        for one in made:
            one.ask(clock())
        async with asyncio.timeout(seconds + LINGER_S):
            await finished
        return Answers(len(latencies), failed, clock() - began_at, cpu_s() - cpu_before, latencies)


async def opened(address: Address, message: bytes, rate: int, seconds: float) -> Kept:
    """Ask at a fixed rate, whether or not earlier calls are answered, for some seconds."""
    loop, clock = asyncio.get_running_loop(), time.perf_counter
    latencies = array("d")
    waiting: collections.deque[float] = collections.deque()  # when each call that no connection is free for was due
    failed = in_time = sent = 0
    due = round(rate * seconds)

    def answered(one: Connection, right: bool) -> None:
        nonlocal failed, in_time
        now = clock()
        latencies.append(now - one.asked_at)
        failed += not right
        in_time += now < ends_at
        if waiting and one.is_open:
            one.ask(waiting.popleft())
        elif one.is_open:
            idle.append(one)

    def tick() -> None:
        nonlocal sent
        until = min(due, int((clock() - began_at) * rate) + 1)
        while sent < until:
            due_at = began_at + sent / rate
            sent += 1
            if idle:
                idle.pop().ask(due_at)
            else:
                waiting.append(due_at)

    async with _connections(address, message, answered, min(CONNECTIONS_MAX, max(16, rate // 10))) as made:
        idle = list(made)
        began_at = clock()
        ends_at = began_at + seconds
        with _ticking(loop, 1 / rate, tick):
            await asyncio.sleep(seconds)
        waiting.clear()  # nobody can keep up with these any more
        calm_at = clock() + LINGER_S
        while len(idle) < sum(one.is_open for one in made) and clock() < calm_at:  # noqa: ASYNC110 - once a run
            await asyncio.sleep(0.01)
        return Kept(due, in_time, failed, seconds, latencies)


class Connection(asyncio.Protocol):
    """Asks one call at a time and says when it is answered, and whether with status 200."""

    def __init__(self, message: bytes, answered: Callable[["Connection", bool], None]) -> None:
        self._message = message
        self._answered = answered
        self._received = b""
        self._asking = False
        self.asked_at = 0.0
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def ask(self, at: float) -> None:
        """Send the request; `at` is when its latency began."""
        self.asked_at = at
        self._asking = True
        self.transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        if not _is_whole(received):
            self._received = received
            return
        self._received = b""
        self._asking = False
        self._answered(self, received.startswith(_OK))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_open = False
        if self._asking:
            self._asking = False
            self._answered(self, False)


def _is_whole(received: bytes) -> bool:
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = _LENGTH.search(received, 0, head)
    return received.endswith(b"\r\n0\r\n\r\n") if length is None else len(received) >= head + 4 + int(length[1])


@contextlib.asynccontextmanager
async def _connections(
    address: Address, message: bytes, answered: Callable[[Connection, bool], None], count: int
) -> AsyncIterator[list[Connection]]:
    """Yield open connections, and close them."""
    loop = asyncio.get_running_loop()
    made: list[Connection] = []
    try:
        while len(made) < count:  # those made are closed where a later one fails
            _, one = await loop.create_connection(lambda: Connection(message, answered), *address)
            made.append(one)
        yield made
    finally:
        for one in made:
            one._asking = False  # noqa: SLF001 - what is closed by us has not failed
            one.transport.abort()
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def _ticking(loop: asyncio.AbstractEventLoop, every_s: float, tick: Callable[[], None]) -> Iterator[None]:
    """Call `tick` so often. The kernel's interval timer is exact to microseconds, an event loop's to a millisecond."""
    loop.add_signal_handler(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, every_s, every_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.remove_signal_handler(signal.SIGALRM)
