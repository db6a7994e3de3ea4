"""A started program with all the processes it starts: on which cores it runs, its CPU time, its memory, its end.

It reads /proc and the kernel's clock of each process, so it runs on Linux only. It does not know what the program does.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

END_S = 20
CALM_S = 10
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A program started on `cores`, its output in `log`; it and what it starts end together, by their ids."""

    def __init__(self, command: Sequence[str], cores: Collection[int], log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        self.started_at = time.perf_counter()
        with log.open("wb") as sink, _running_on(cores):  # a child inherits the cores from its first instruction on
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env={**os.environ, **environ}, cwd=log.parent,
                start_new_session=True,  # Ctrl-C is ours alone; we end the rest
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether the program is gone."""
        return self._popen.poll() is not None

    def move(self, cores: Collection[int]) -> None:
        """Move the whole tree, with all its threads, to other cores."""
        for pid in self.tree():
            for task in _tasks(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(task.name), cores)

    def tree(self) -> list[int]:
        """Return the ids of the program and of all that came from it, itself first."""
        found = [self._popen.pid]
        for pid in found:  # grows while it is walked
            found.extend(_children(pid))
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds, user and system, of all threads of the whole tree so far."""
        return sum(map(_cpu_ns, self.tree())) / 1e9

    def first_thread_s(self) -> float:
        """Return the CPU seconds of the program's first thread so far, without those of its children."""
        first = self._popen.pid
        return int(Path(f"/proc/{first}/task/{first}/schedstat").read_text().split()[0]) / 1e9

    def memory_bytes(self) -> int:
        """Return the resident memory of the whole tree; what its processes share counts once for each."""
        return sum(map(_resident_bytes, self.tree()))

    def calm_down(self) -> None:
        """Wait until it has finished what it still had to do, so that it does not disturb the next measurement."""
        ends_at = time.perf_counter() + CALM_S
        before = self.cpu_s()
        while time.perf_counter() < ends_at:
            time.sleep(0.2)
            now = self.cpu_s()
            if now - before < 0.02:
                return
            before = now

    def suspend(self) -> None:
        """Stop the whole tree where it is: it takes no CPU time until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the tree run on."""
        self._signal(signal.SIGCONT)

    def tail(self) -> str:
        """Return the end of what it said."""
        return self.log.read_text(errors="replace")[-2_000:]

    def stop(self) -> None:
        """End the tree: ask the program, then kill by id whatever of it is still there."""
        tree = self.tree()
        self.resume()
        self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_S)
        for pid in tree:
            if _group(pid) == self._popen.pid:  # still ours, not a newcomer with an old number
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._popen.wait()
        ends_at = time.perf_counter() + END_S
        while any(map(lives, tree)) and time.perf_counter() < ends_at:  # a kill takes effect a little later
            time.sleep(0.01)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def lives(pid: int) -> bool:
    """Tell whether there is such a process, and not only what is left of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@contextlib.contextmanager
def _running_on(cores: Collection[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _cpu_ns(pid: int) -> int:
    """Return the kernel's CPU clock of a process (its id as in clock_getcpuclockid): ticks are 10 ms, this is exact."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
