"""Bifrost's HTTP gateway, from its configuration file alone: no stores, no logging, no plugins, one core.

Source: Bifrost's documentation, "config.json" and "HTTP transport".
"""

import json
import os
from pathlib import Path

from call import MODEL, Target

from peers import pins
from peers.cache import installed, need, run
from peers.peer import Peer, Place, Start

MODULE = "github.com/maximhq/bifrost/transports/bifrost-http"


class Bifrost(Peer):
    """Built from its Go module."""

    name = "Bifrost"
    does = "nothing is kept: logging, stores and plugins off"

    def install(self) -> str:
        self._folder = installed(f"bifrost-{pins.BIFROST}", _build)
        return pins.BIFROST

    def prepare(self, place: Place) -> Start:
        key = {"name": "bench", "value": "bench", "models": ["*"], "weight": 1.0}
        network = {"base_url": place.provider_url, "max_retries": 0}
        configuration = {
            "client": {"enable_logging": False, "drop_excess_requests": False, "initial_pool_size": 1_000},
            "providers": {"openai": {"keys": [key], "network_config": network}},
            "config_store": {"enabled": False},
            "logs_store": {"enabled": False},
        }
        (place.folder / "config.json").write_text(json.dumps(configuration))
        command = [str(self._folder / "bifrost-http"), "-app-dir", str(place.folder), "-host", "127.0.0.1"]
        target = Target(place.url, {"authorization": "Bearer bench"}, f"openai/{MODEL}")
        return Start([*command, "-port", str(place.port), "-log-level", "error"], target, {"GOMAXPROCS": "1"})


def _build(folder: Path) -> None:
    run([need("go"), "install", f"{MODULE}@v{pins.BIFROST}"], folder, {**os.environ, "GOBIN": str(folder)})
