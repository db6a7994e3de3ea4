"""Runs the gateway: one process with one event loop and one committer. `gateway.workers` runs several of them."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
import uvloop

from pertoken.api.app import create_api
from pertoken.gateway import call_log, collector
from pertoken.gateway.app import create_app
from pertoken.gateway.bodies import return_memory_at_once
from pertoken.gateway.call_log import CallLog
from pertoken.gateway.monitor import Monitor, WorkerCounts
from pertoken.gateway.pages import PagesProcess
from pertoken.gateway.protocol import bind
from pertoken.gateway.readers import ReadingProcesses
from pertoken.gateway.shared_counts import SharedCounts
from pertoken.gateway.viewers import Viewers
from pertoken.settings import Settings
from pertoken.web.signing_in import is_loopback
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation, connect
from pertoken.wiring.pages import make_sign_in_link
from pertoken.wiring.serving import serving

log = logging.getLogger("pertoken.gateway")

BACKLOG = 2_048
SHUTDOWN_S = 30  # how long running calls may take to finish after the process was asked to end


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Running calls finish and settle first. Raises StoreFailed or OSError."""
    with socket.create_server((host, port), backlog=BACKLOG) as listener:
        serve_on(listener, settings, lambda: say_address(listener, settings))


def serve_on(
    listener: socket.socket, settings: Settings, on_ready: Callable[[], None], shared: SharedCounts | None = None
) -> None:
    """Serve on a listening socket, as `run` does. `on_ready` is called when the gateway can answer calls."""
    with open_database(settings) as installation, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(installation, listener, on_ready, WorkerCounts(shared)))


def say_address(listener: socket.socket, settings: Settings) -> None:
    """Print the address of the gateway. A program that waits for this line can call at once.

    On a terminal, and only for a loopback address, also print a link that signs in to the pages. The link is a secret,
    so it must not get into a log file.
    """
    host, port = listener.getsockname()[:2]
    address = f"http://{host}:{port}"
    print(f"pertoken listening on {address}", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stderr.isatty() and is_loopback(host):
        with connect(settings) as installation:
            link = make_sign_in_link(installation)
        print(f"pages: {address}{link} (works once, within five minutes)", file=sys.stderr, flush=True)  # noqa: T201


async def _serve(
    installation: Installation, listener: socket.socket, on_ready: Callable[[], None], counter: WorkerCounts
) -> None:
    settings = installation.settings
    readers = ReadingProcesses()
    pages = PagesProcess(settings)
    calls = None if settings.log == "off" else CallLog(call_log.FORMS[settings.log])
    try:
        async with serving(installation, readers, counter.told(calls)) as (world, plane):
            collector.calm()
            return_memory_at_once()
            viewers = Viewers(plane, settings.metrics.open, listener.getsockname()[0])
            monitor = Monitor(counter, world, plane, readers, viewers)
            config = uvicorn.Config(
                create_app(world, create_api(plane), pages, monitor.answer),
                http=bind(world, settings.limits),
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
            server = _Server(config, on_ready)
            monitor.connections = lambda: len(server.server_state.connections)
            writing = asyncio.ensure_future(monitor.keep_writing())
            try:
                await server.serve(sockets=[listener])
            finally:
                writing.cancel()
                monitor.write_last()
                await readers.close()
                pages.close()
    finally:
        if calls is not None:
            calls.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which calls `on_ready` and does not raise the signal again after shutdown."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Start the shutdown on SIGINT or SIGTERM. uvicorn itself would raise the signal again before we settle."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_ready`."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()
