"""What the gateway costs on this machine: `python bench/run.py [--quick]`.

CPU is the whole process' user and system time as the operating system counts it, divided by the units of work; it is
printed beside the same figure of two floors in the same run, because machines differ and are noisy: a bare proxy, and
one that also writes and fsyncs a row before and after each call. Durability is full: every call is held and settled
with fsync. What is compared is measured in turns, several times, and the median is printed. The load generator is this
process.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools
import uvloop
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BUDGETS = 5
TURNS = 5
PROMPT = "hello world " * 80


class Process:
    """A measured process: its address, its CPU, its memory."""

    def __init__(self, command: list[str], log: Path, environ: dict[str, str]) -> None:
        began = time.perf_counter()
        with log.open("wb") as sink:
            self._popen = subprocess.Popen(command, stderr=sink, stdout=sink, env={**os.environ, **environ})
        while not (found := re.search(r"listening on (http://\S+)", log.read_text())):
            if self._popen.poll() is not None or time.perf_counter() - began > 60:
                raise SystemExit(f"{command} did not start: {log.read_text()}")
            time.sleep(0.005)
        self.ready_s = time.perf_counter() - began
        self.url = found[1]

    def cpu_s(self) -> float:
        """User and system seconds so far."""
        fields = Path(f"/proc/{self._popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self._popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        """End it."""
        self._popen.terminate()
        self._popen.wait(30)


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, message: bytes, left: list[int], latencies: list[float]) -> None:
        self._message, self._left, self._latencies = message, left, latencies
        self.bad = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._latencies.append(time.perf_counter() - self._began)
        self.bad += self._parser.get_status_code() != 200
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        if self._left[0] <= 0:
            self._transport.close()
            self.done.set_result(None)
            return
        self._left[0] -= 1
        self._parser = httptools.HttpResponseParser(self)
        self._began = time.perf_counter()
        self._transport.write(self._message)


async def load(
    url: str, secret: str, calls: int, connections: int, *, stream: bool = False
) -> tuple[float, list[float]]:
    """Make `calls` over `connections`; return the seconds it took and each call's latency."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 300}
    data = json.dumps({**body, "stream": True} if stream else body, separators=(",", ":")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {secret}\r\n"
    head += "content-type: application/json\r\naccept: application/json\r\nuser-agent: OpenAI/Python 3.54.0\r\n"
    message = head.encode() + b"content-length: %d\r\n\r\n%b" % (len(data), data)
    parts = urlsplit(url)
    left, latencies = [calls], list[float]()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Caller(message, left, latencies), parts.hostname, parts.port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    if bad := sum(caller.bad for _, caller in made):
        raise SystemExit(f"{bad} of {calls} calls failed")
    return time.perf_counter() - began, latencies


class Measured(NamedTuple):
    """What calls cost: CPU microseconds a call, calls a second, median latency."""

    cpu_us: float
    rate: float
    p50_ms: float


def measure(process: Process, secret: str, calls: int, connections: int, *, stream: bool = False) -> Measured:
    """Make calls and return what they cost."""
    before = process.cpu_s()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, latencies = runner.run(load(process.url, secret, calls, connections, stream=stream))
    cpu_us = (process.cpu_s() - before) / calls * 1e6
    return Measured(cpu_us, calls / seconds, statistics.median(latencies) * 1e3)


def in_turns(
    processes: Sequence[Process], secret: str, calls: int, connections: int, *, stream: bool = False
) -> list[Measured]:
    """Measure several processes in turns, so that the machine's moods reach all of them; return each one's medians."""
    for process in processes:
        measure(process, secret, max(connections, calls // 5), connections, stream=stream)
    rounds = [
        [measure(process, secret, calls, connections, stream=stream) for process in processes] for _ in range(TURNS)
    ]
    return [Measured(*map(statistics.median, zip(*of_one, strict=True))) for of_one in zip(*rounds, strict=True)]


class Scene(NamedTuple):
    """The processes measured, and a key with five budgets."""

    gateway: Process
    held: Process
    bare: Process
    secret: str


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """Yield everything running; verify the books at the end."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)

        def start(kind: str, *command: str, environ: dict[str, str] | None = None) -> Process:
            process = Process([sys.executable, *command], folder / f"{kind}.log", environ or {})
            stack.callback(process.stop)
            return process

        provider = start("provider", str(HERE / "provider.py"))
        bare = start("bare", str(HERE / "bare_proxy.py"), provider.url)
        held = start("held", str(HERE / "held_proxy.py"), provider.url)
        environ = {
            "PERTOKEN_DATABASE_URL": f"sqlite:///{folder}/bench.db",
            "PERTOKEN_PROVIDERS__OPENAI__BASE_URL": f"{provider.url}/v1",
            "OPENAI_API_KEY": "bench",
        }

        def run(*arguments: str) -> str:
            command = [sys.executable, "-m", "pertoken", *arguments]
            done = subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True)
            return done.stdout.decode()

        owner = ("--team", "t", "--customer", "c", "--budget", "1000/day")
        secret = json.loads(run("key", "create", "bench", *owner, "--json"))
        for number in range(BUDGETS - 1):
            each = ("--each", "team") if number else ()
            run("budget", "set", f"b{number}", "--limit", "10000", "--window", "month", *each)
        gateway = start("gateway", "-m", "pertoken", "serve", "--port", "0", environ=environ)
        yield Scene(gateway, held, bare, secret["secret"])
        run("verify")


def help_s() -> float:
    """Return the median time of `pertoken --help`."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pertoken", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    scale = 1 if parser.parse_args().quick else 10
    table = Table(title=f"pertoken on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for heading in ("what", "pertoken", "held proxy", "bare proxy"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    with scene() as made:
        ready_s = made.gateway.ready_s
        processes = (made.gateway, made.held, made.bare)
        unary = in_turns(processes, made.secret, 1_000 * scale, 32)
        alone = in_turns(processes, made.secret, 50 * scale, 1)
        streams = in_turns((made.gateway, made.bare), made.secret, 20 * scale, 32, stream=True)
        table.add_row("CPU a call, 32 connections", *(f"{one.cpu_us:.0f} us" for one in unary))
        table.add_row("calls a second", *(f"{one.rate:,.0f}" for one in unary))
        table.add_row("p50 latency, 32 connections", *(f"{one.p50_ms:.2f} ms" for one in unary))
        table.add_row("p50 latency, 1 connection", *(f"{one.p50_ms:.2f} ms" for one in alone))
        chunk_us = [(of.cpu_us - one.cpu_us) / 200 for of, one in zip(streams, (unary[0], unary[2]), strict=True)]
        table.add_row("CPU a streamed chunk", f"{chunk_us[0]:.1f} us", "", f"{chunk_us[1]:.1f} us")
        table.add_row("memory after that", *(f"{one.rss_mb():.0f} MB" for one in processes))
    table.add_row("pertoken serve ready", f"{ready_s:.2f} s", "", "")
    table.add_row("pertoken --help", f"{help_s():.2f} s", "", "")
    Console(width=100).print(table)
    print("durability full: each call is held and settled with fsync; five budgets a call; verify found no difference")


if __name__ == "__main__":
    main()
