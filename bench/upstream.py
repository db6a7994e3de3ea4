"""CPU of the upstream client per request: 32 concurrent posts to a bare server in a second process, 1 KB answers.

    python bench/upstream.py [--requests 60000] [--rounds 3] [--concurrency 32]

What is printed is the process CPU (user and system) of the client's process divided by requests, so it contains the
event loop and the kernel's share of every read and write. The server answers without parsing anything but the length.
"""

import argparse
import asyncio
import importlib.metadata
import platform
import re
import subprocess
import sys
import time
from typing import NamedTuple, cast

import uvloop

from pertoken.upstream.http import Client, Limits, Origin

_BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"' + b"word " * 100 + b'"}]}'
_HEADERS = [
    (b"authorization", b"Bearer sk-test-0123456789abcdef"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"OpenAI/Python 2.0"),
    (b"x-request-id", b"req_0123456789"),
]
_ANSWER_BODY = b'{"usage":{"prompt_tokens":100,"completion_tokens":20},"text":"' + b"x" * 960 + b'"}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: bench\r\nx-request-id: req_0123456789\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-remaining-tokens: 999999\r\nopenai-processing-ms: 12\r\n\r\n%b" % (len(_ANSWER_BODY), _ANSWER_BODY)
)
_CHUNK = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
_STREAMED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK) * 20
    + b"0\r\n\r\n"
)
_LENGTH = re.compile(rb"Content-Length: (\d+)")


class Round(NamedTuple):
    """One measured run."""

    shape: str
    requests: int
    wall_s: float
    cpu_s: float


class _Server(asyncio.Protocol):
    """Answers every complete request at once; `/stream` with 20 chunks."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        end = received.find(b"\r\n\r\n")
        length = _LENGTH.search(received)
        if end < 0 or length is None or len(received) < end + 4 + int(length[1]):
            self._received = received
            return
        self._received = b""
        self._transport.write(_STREAMED if received.startswith(b"POST /stream") else _ANSWER)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _measure(port: int, *, requests: int, concurrency: int, stream: bool) -> Round:
    client = Client(Limits())
    origin = Origin("http", "127.0.0.1", port)
    target = b"/stream" if stream else b"/v1/chat/completions"

    async def caller(count: int) -> None:
        for _ in range(count):
            response = await client.send(origin, b"POST", target, _HEADERS, _BODY)
            if stream:
                async for _piece in response:
                    pass
            else:
                await response.read()

    async def callers(count: int) -> None:
        await asyncio.gather(*(caller(count // concurrency) for _ in range(concurrency)))

    await callers(concurrency * 50)  # connections open, code warm
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    await callers(requests)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    await client.close()
    return Round("streamed, 20 chunks" if stream else "whole, 1 KB", requests, wall_s, cpu_s)


def main() -> None:
    """Start the server, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(_serve())
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            _report(port, arguments.requests, arguments.rounds, arguments.concurrency)
        finally:
            server.terminate()


def _report(port: int, requests: int, rounds: int, concurrency: int) -> None:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("uvloop", "httptools"))
    print(f"Python {platform.python_version()}, {versions}, {concurrency} connections, {len(_BODY)} byte requests")
    print(f"{'shape':<22}{'requests':>10}{'req/s':>10}{'cpu us/request':>16}")
    for stream in (False, True):
        for _ in range(rounds):
            one = uvloop.run(_measure(port, requests=requests, concurrency=concurrency, stream=stream))
            cpu_us = one.cpu_s / one.requests * 1e6
            print(f"{one.shape:<22}{one.requests:>10}{one.requests / one.wall_s:>10.0f}{cpu_us:>16.1f}", flush=True)


if __name__ == "__main__":
    main()
