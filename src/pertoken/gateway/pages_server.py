"""The pages' process: `python -m pertoken.gateway.pages_server FD`. It reads the pickled settings from stdin.

FD is a listening socket from its gateway. The process ends when the gateway ends.
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

from pertoken.gateway import collector
from pertoken.web.app import create_pages
from pertoken.wiring.pages import open_site

NICE = 5  # a lower priority than calls on the same core


def main() -> None:
    """Serve the socket until the gateway has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # this process ends when the gateway ends
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
        collector.calm()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """uvicorn's server without signal handlers."""

    def install_signal_handlers(self) -> None:
        """Do nothing."""


def _end_with_gateway(gateway: io.BufferedReader) -> None:
    gateway.read()
    os._exit(0)


if __name__ == "__main__":
    main()
