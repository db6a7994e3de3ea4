"""What a soak looks at from outside, again and again: memory, files, threads, sockets, holds."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RSS = re.compile(r"VmRSS:\s+(\d+) kB")
THREADS = re.compile(r"Threads:\s+(\d+)")


class Sample(NamedTuple):
    """A process at one instant."""

    rss_mb: float
    sockets: int  # to clients, for the most part
    provider_sockets: int
    files: int  # and pipes, and all else that is no socket
    threads: int
    cpu_ms: float  # of all its threads that live


def sample(pid: int, provider_ports: frozenset[int]) -> Sample:
    """Look at a process; its connections to these ports are those to providers."""
    status = Path(f"/proc/{pid}/status").read_text()
    rss, threads = RSS.search(status), THREADS.search(status)
    assert rss is not None
    assert threads is not None
    to_providers = _inodes(provider_ports)
    targets = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            targets.append(str(descriptor.readlink()))
    sockets = [target[len("socket:[") : -1] for target in targets if target.startswith("socket:")]
    there = sum(inode in to_providers for inode in sockets)
    files = len(targets) - len(sockets)
    return Sample(int(rss[1]) / 1024, len(sockets) - there, there, files, int(threads[1]), _cpu_ms(pid))


def _cpu_ms(pid: int) -> float:
    """Return the time on a processor, which the scheduler counts in nanoseconds, thread by thread."""
    total_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            total_ns += int((thread / "schedstat").read_text().split()[0])
    return total_ns / 1e6


def _inodes(ports: frozenset[int]) -> frozenset[str]:
    """Return the inodes of this machine's sockets whose other end is one of these ports."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return frozenset(row[9] for row in rows if int(row[2].partition(":")[2], 16) in ports)


class Watch:
    """Looks at processes and at what `count` counts (open holds, calls made), so many times a run."""

    def __init__(
        self,
        pids: dict[str, int],
        provider_ports: frozenset[int],
        count: Callable[[], tuple[int, int]],
        every_s: float,
    ) -> None:
        self._pids = pids
        self._provider_ports = provider_ports
        self._count = count
        self._every_s = every_s
        self._ended = threading.Event()
        self.samples: dict[str, list[Sample]] = {name: [] for name in pids}
        self.counts: list[tuple[int, int]] = []
        self.failure: BaseException | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look while the block runs. Raises what went wrong with looking: a process that is gone, for one."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        if self.failure is not None:
            raise self.failure

    def look(self) -> dict[str, Sample]:
        """Look once."""
        return {name: sample(pid, self._provider_ports) for name, pid in self._pids.items()}

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every_s):
                for name, one in self.look().items():
                    self.samples[name].append(one)
                self.counts.append(self._count())
        except BaseException as failure:  # noqa: BLE001 - it belongs to who started the thread
            self.failure = failure


def wait_for(holds: Callable[[], bool], within_s: float) -> bool:
    """Wait until something holds; tell whether it did in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
