"""Running the gateway: one process, one event loop, one committer."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
import uvloop

from pertoken import wiring
from pertoken.gateway.app import create_app
from pertoken.gateway.protocol import bind
from pertoken.settings import Settings
from pertoken.store.database import Database

log = logging.getLogger("pertoken.gateway")

SHUTDOWN_S = 30  # how long running calls may take to finish once the process is asked to end


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; running calls finish and settle first. Raises StoreFailed, OSError."""
    with wiring.open_database(settings) as database, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, database, host, port))


async def _serve(settings: Settings, database: Database, host: str, port: int) -> None:
    committer = wiring.start_committer(database, settings)
    client = wiring.make_client(settings)
    world = wiring.make_world(settings, committer, client)
    _tame_the_collector()
    config = uvicorn.Config(
        create_app(world),
        host=host,
        port=port,
        http=bind(world, settings.limits.body_bytes_max),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    server = _Server(config)
    try:
        await server.serve()
    finally:
        await client.close()
        await committer.close()


def _tame_the_collector() -> None:
    """Keep the garbage collector from walking the price book again and again: 10 % of a call's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class _Server(uvicorn.Server):
    """uvicorn's server that says where it listens, and leaves the process to end by itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Begin to shut down on SIGINT or SIGTERM. uvicorn would raise the signal again before we can settle."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the address: what waits for this line can call at once."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"pertoken listening on http://{host}:{port}", file=sys.stderr, flush=True)  # noqa: T201
