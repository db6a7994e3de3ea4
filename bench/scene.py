"""Everything that a measurement needs, started: the provider, and whom it measures, each checked to answer rightly."""

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs
from call import Target, WrongAnswer, check
from machine import Cores
from peers.floors import Direct
from peers.peer import Absent, Peer, Place
from process import Process

START_S = 180


class Running:
    """A peer that runs and answers rightly. `calls` counts what it was asked."""

    def __init__(self, peer: Peer, version: str, place: Place, process: Process, target: Target) -> None:
        self.name = f"{peer.name} {version}" if version else peer.name
        self.peer = peer
        self.place = place
        self.process = process
        self.target = target
        self.started_s = time.perf_counter() - process.started_at
        self.rested_bytes = process.memory_bytes()
        self.calls = 0

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run while it is measured, and suspend it then: even at rest some disturb the others.

        LiteLLM takes 0.2 % of a core at rest, in bursts: in four turns of 5,000 calls a second, pertoken's p99 was 7 to
        11 ms with the others suspended, and 8 to 37 ms with them awake.
        """
        self.process.resume()
        self.process.calm_down()  # it may have something to catch up on
        try:
            yield
        finally:
            self.process.calm_down()
            self.rest()

    def rest(self) -> None:
        """Suspend it; not the provider, whom everybody asks."""
        if not isinstance(self.peer, Direct):
            self.process.suspend()


class Scene:
    """Whom to measure, whom not and why, and the provider behind them, which can be asked directly."""

    def __init__(self, direct: Running, running: Sequence[Running], absent: Sequence[tuple[str, str]]) -> None:
        self.direct = direct
        self.running = running
        self.absent = absent

    @property
    def everybody(self) -> list[Running]:
        """Return whom to measure, the provider first."""
        return [self.direct, *self.running]

    def find(self, name: str) -> Running | None:
        """Return one of those that run."""
        return next((one for one in self.running if one.peer.name == name), None)


@contextlib.contextmanager
def scene(peers: Sequence[Peer], cores: Cores) -> Iterator[Scene]:
    """Yield what is asked for, running; end it all, whatever happens."""
    with folder() as room, contextlib.ExitStack() as stack:
        direct = _start(Direct(), "", Place(_own(room), _free_port(), ""), cores.around, stack)
        running: list[Running] = []
        absent: list[tuple[str, str]] = []
        for peer in peers:
            try:
                version = peer.install()
                place = Place(_own(room), _free_port(), direct.target.url)
                running.append(_start(peer, version, place, cores.measured, stack))
            except Absent as reason:
                absent.append((peer.name, f"not to be had here: {reason}"))
            except WrongAnswer as wrong:
                print(f"{peer.name}: {wrong}", file=sys.stderr, flush=True)
                absent.append((peer.name, f"does not answer rightly here: {str(wrong).splitlines()[0][:120]}"))
        yield Scene(direct, running, absent)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder on a disk: a usual temporary folder may be in memory, where fsync costs nothing."""
    cache = platformdirs.user_cache_path("pertoken-bench", appauthor=False, ensure_exists=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="run-") as name:
        yield Path(name)


def _own(room: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=room))


def _start(peer: Peer, version: str, place: Place, cores: frozenset[int], stack: contextlib.ExitStack) -> Running:
    print(f"starting {peer.name}", file=sys.stderr, flush=True)
    start = peer.prepare(place)
    process = Process(start.command, cores, place.folder / "log", start.environ)
    stack.callback(process.stop)
    _until_right(process, start.target, streams=peer.streams)
    running = Running(peer, version, place, process, start.target)
    running.rest()
    return running


def _until_right(process: Process, target: Target, *, streams: bool) -> None:
    """Wait until the call is answered as it must be. Raises WrongAnswer with the last reason."""
    while True:
        try:
            check(target, streams=streams)
        except WrongAnswer as wrong:
            if process.ended or time.perf_counter() - process.started_at > START_S:
                raise WrongAnswer(f"{wrong}; it said:\n{process.tail()}") from wrong
            time.sleep(0.01)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
