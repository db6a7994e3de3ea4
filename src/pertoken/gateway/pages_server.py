"""The process that makes pages: `python -m pertoken.gateway.pages_server FD`, with the settings, pickled, as its input.

It listens on a socket that its gateway passed on, and ends when the gateway does.
"""

import asyncio
import io
import logging
import os
import pickle
import signal
import socket
import sys
import threading

import uvicorn
import uvloop

from pertoken.web.app import create_pages
from pertoken.wiring.pages import open_site

NICE = 5  # where they share a core, calls go first


def main() -> None:
    """Serve the socket until the gateway is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # our end is the gateway's
    os.nice(NICE)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)sZ %(levelname)s %(name)s %(message)s")
    settings = pickle.load(sys.stdin.buffer)  # noqa: S301 - the gateway wrote it
    threading.Thread(target=_end_with_gateway, args=(sys.stdin.buffer,), daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as listener, open_site(settings) as site:
        config = uvicorn.Config(
            create_pages(site),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
        )
        server = _Server(config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """uvicorn's server that listens to no signal."""

    def install_signal_handlers(self) -> None:
        """Leave them as they are."""


def _end_with_gateway(gateway: io.BufferedReader) -> None:
    gateway.read()
    os._exit(0)


if __name__ == "__main__":
    main()
