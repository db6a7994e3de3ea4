"""What nobody can be below: the provider asked directly, and two proxies of this folder that do almost nothing."""

import sys
from pathlib import Path

from call import Target

from peers.peer import Peer, Place, Start

HERE = Path(__file__).parents[1]


class Direct(Peer):
    """The provider itself: what a call takes without any gateway, and the most that the load generator can ask."""

    name = "provider"
    does = "answers it"

    def install(self) -> str:
        return ""

    def prepare(self, place: Place) -> Start:
        return Start([sys.executable, str(HERE / "provider.py"), str(place.port)], Target(place.url))


class Bare(Peer):
    """Python that forwards bytes and knows nothing."""

    name = "bare proxy"
    does = "nothing: a proxy in Python"
    script = "bare_proxy.py"

    def install(self) -> str:
        return ""

    def prepare(self, place: Place) -> Start:
        command = [sys.executable, str(HERE / self.script), str(place.port), place.provider_url, str(place.folder)]
        return Start(command, Target(place.url))


class Held(Bare):
    """The bare proxy with a row on disk before and after each call."""

    name = "held proxy"
    does = "a row with fsync before it and one after it; no keys, budgets, prices"
    script = "held_proxy.py"
    streams = False
