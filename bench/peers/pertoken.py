"""pertoken with everything on: durability full, a hold and a settlement with fsync, five budgets a call, roll-ups."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import watched
from call import Target

from peers.peer import Peer, Place, Start

BUDGETS = 5
POOR = "0.012"  # USD: what a megabyte may be at most does not fit, what is counted of it does
ADMIN_KEY = "sk-pt-admin-" + "b" * 32
COMMAND = (sys.executable, "-m", "pertoken")


class Pertoken(Peer):
    """This repository's gateway, with one worker or several."""

    name = "pertoken"
    does = "holds it on five budgets with fsync, settles it with fsync; events, postings, roll-ups"

    def __init__(self, workers: int = 1, *, watched: bool = False) -> None:
        self._workers = workers
        self._watched = watched

    def install(self) -> str:
        return importlib.metadata.version("pertoken")

    def prepare(self, place: Place) -> Start:
        owner = ("--team", "t", "--customer", "c", "--budget", "1000000/day")
        made = json.loads(_run(place, "key", "create", "bench", *owner, "--json"))
        for number in range(BUDGETS - 1):
            each = ("--each", "team") if number else ()
            _run(place, "budget", "set", f"b{number}", "--limit", "1000000", "--window", "month", *each)
        poor = json.loads(_run(place, "key", "create", "poor", "--team", "t", "--budget", f"{POOR}/total", "--json"))
        target = Target(place.url, _headers(made), poor=_headers(poor))
        command = [*COMMAND, "serve", "--port", str(place.port), "--workers", str(self._workers)]
        if self._watched:
            watched.prepare(watch := watch_of(place))
            command[1:3] = [watched.__file__, str(watch)]
        return Start(command, target, _environ(place))

    def close(self, place: Place) -> str:
        return f"pertoken verify: {_run(place, 'verify').strip().splitlines()[-1]}"


def watch_of(place: Place) -> Path:
    """Return the file that tells the longest step of a watched gateway."""
    return place.folder / "longest"


def _headers(made: Mapping[str, str]) -> Mapping[str, str]:
    return {"authorization": f"Bearer {made['secret']}"}


def _run(place: Place, *arguments: str) -> str:
    environ = {**os.environ, **_environ(place)}
    return subprocess.run([*COMMAND, *arguments], env=environ, check=True, capture_output=True, text=True).stdout


def _environ(place: Place) -> Mapping[str, str]:
    return {
        "PERTOKEN_DATABASE_URL": f"sqlite:///{place.folder}/bench.db",
        "PERTOKEN_ADMIN_KEY": ADMIN_KEY,
        "PERTOKEN_PROVIDERS__OPENAI__BASE_URL": f"{place.provider_url}/v1",
        "PERTOKEN_LIMITS__CONNECTIONS_MAX": "5000",
        "PERTOKEN_PROVIDERS__GOOGLE__BASE_URL": place.provider_url,
        "OPENAI_API_KEY": "bench",
        "GEMINI_API_KEY": "bench",
    }
