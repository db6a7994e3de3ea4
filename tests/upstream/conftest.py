"""A scripted provider on a real socket, both event loops, and a certificate made for this test run."""

import asyncio
import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop

from pertoken.upstream.http import Origin

PATIENCE_S = 30  # seconds, the limit of each wait
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Caller:
    """One request that reached the provider; it can be answered byte by byte."""

    def __init__(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes) -> None:
        """Send bytes and wait until the socket has accepted them."""
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """Close the connection after the written bytes."""
        self.writer.close()


async def until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds, for as long as that takes on a busy machine."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)


Handler = Callable[[Caller], Awaitable[None]]


class Provider:
    """The server's record: requests in order of arrival, connections opened and closed."""

    def __init__(self, handler: Handler, *, read_bodies: bool) -> None:
        self._handler = handler
        self._read_bodies = read_bodies
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.requests: list[bytes] = []
        self.opened = 0
        self.closed = 0
        self.port = 0

    @property
    def origin(self) -> Origin:
        """The origin at which this provider listens."""
        return Origin("http", "127.0.0.1", self.port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side closes it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    request = await reader.readuntil(b"\r\n\r\n")
                    length = _LENGTH.search(request)
                    request += await reader.readexactly(int(length[1]) if length and self._read_bodies else 0)
                    self.requests.append(request)
                    self._changed.set()
                    await self._handler(Caller(request, reader, writer))
        finally:
            self.closed += 1
            self._changed.set()
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def until_asked(self, requests: int = 1) -> None:
        """Wait until this number of requests has arrived."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.requests) < requests:
                self._changed.clear()
                await self._changed.wait()

    async def until_closed(self, connections: int = 1) -> None:
        """Wait until this number of connections has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while self.closed < connections:
                self._changed.clear()
                await self._changed.wait()

    async def stop(self) -> None:
        """End every connection that is still served."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Serve = Callable[..., AbstractAsyncContextManager[Provider]]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a new event loop of either kind, with a time limit."""

    async def bounded(story: Coroutine[Any, Any, Any]) -> Any:
        async with asyncio.timeout(2 * PATIENCE_S):
            return await story

    def run_on(story: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(bounded(story)) if request.param == "asyncio" else uvloop.run(bounded(story))

    return run_on


@pytest.fixture
def serve() -> Serve:
    """Return a context manager that starts a provider, whose answer is bytes or a coroutine function."""

    @asynccontextmanager
    async def start(
        answer: bytes | Handler, *, tls: ssl.SSLContext | None = None, read_bodies: bool = True
    ) -> AsyncIterator[Provider]:
        async def say(caller: Caller) -> None:
            assert isinstance(answer, bytes)
            await caller.write(answer)

        provider = Provider(say if isinstance(answer, bytes) else answer, read_bodies=read_bodies)
        server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, ssl=tls)
        provider.port = server.sockets[0].getsockname()[1]
        try:
            yield provider
        finally:
            server.close()
            await provider.stop()
            await asyncio.sleep(0.01)  # transports close in the next turns of the loop

    return start


class Certificate(NamedTuple):
    """A self-signed certificate, as contexts for both sides."""

    server: ssl.SSLContext
    trusting: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate for localhost and 127.0.0.1."""
    return _certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost,IP:127.0.0.1")


@pytest.fixture(scope="session")
def misnamed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate for another host than the one that serves it."""
    return _certificate(tmp_path_factory.mktemp("tls"), "DNS:other.test")


def _certificate(folder: Path, names: str) -> Certificate:
    """Make a key and a certificate with the openssl command."""
    key, pem = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(pem), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", f"subjectAltName={names}"]
    subprocess.run(command, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, key)
    server.set_alpn_protocols(["h2", "http/1.1"])
    trusting = ssl.create_default_context(cafile=str(pem))
    trusting.set_alpn_protocols(["http/1.1"])
    return Certificate(server, trusting)


@pytest.fixture
def unused_port() -> int:
    """Return a port on which no server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
