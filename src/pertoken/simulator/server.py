"""Serves the simulator over HTTP."""

import asyncio
import socket
import sys
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pertoken.simulator.app import TRANSPORT, create_app
from pertoken.simulator.tokens import prepare


def run(host: str, port: int) -> None:
    """Serve until interrupted. Port 0 means any free port. The address is printed to stderr."""
    prepare()
    config = uvicorn.Config(
        create_app(), host=host, port=port, http=_Protocol, log_level="critical", access_log=False, ws="none",
        proxy_headers=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(config).serve())


class _Protocol(HttpToolsProtocol):
    """Passes its connection to the application, which may close it to simulate a fault."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope[TRANSPORT] = self.transport


class _Server(uvicorn.Server):
    """Prints its address when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"simulator listening on http://{host}:{port}", file=sys.stderr, flush=True)  # noqa: T201
