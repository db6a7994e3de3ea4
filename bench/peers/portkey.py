"""Portkey's open gateway, as `npx @portkey-ai/gateway --headless` runs it: one Node process, no console, no log.

It has no budgets and keeps nothing. Source: its README and its start script. The server library that it allows in its
newest version breaks streamed answers (Portkey-AI/gateway issue 1389), so that one is pinned as well.
"""

import json
from pathlib import Path

from call import Target

from peers import pins
from peers.cache import installed, need, run
from peers.peer import Peer, Place, Start

PACKAGE = "@portkey-ai/gateway"


class Portkey(Peer):
    """From npm."""

    name = "Portkey"
    does = "nothing is kept: it has no budgets"

    def install(self) -> str:
        self._node = need("node")
        self._folder = installed(f"portkey-{pins.PORTKEY}", _add_package)
        return pins.PORTKEY

    def prepare(self, place: Place) -> Start:
        script = self._folder / "node_modules" / PACKAGE / "build/start-server.js"
        headers = {
            "authorization": "Bearer bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{place.provider_url}/v1",
        }
        command = [self._node, str(script), "--headless", f"--port={place.port}"]
        return Start(command, Target(place.url, headers), {"NODE_ENV": "production"})


def _add_package(folder: Path) -> None:
    wanted = {"dependencies": {PACKAGE: pins.PORTKEY}, "overrides": {"@hono/node-server": pins.PORTKEY_SERVER}}
    (folder / "package.json").write_text(json.dumps(wanted))
    run([need("npm"), "install", "--no-audit", "--no-fund", "--loglevel=error"], folder)
