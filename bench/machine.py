"""The machine of a run: what it is called in a table, and which of its cores are measured and which make the load."""

import os
import platform
import resource
from pathlib import Path
from typing import NamedTuple, Self

FILES = 20_000  # thousands of connections, on both sides of a gateway


class Cores(NamedTuple):
    """The cores of what is measured, and those of the load generator and the provider."""

    measured: frozenset[int]
    around: frozenset[int]

    @property
    def apart(self) -> bool:
        """Whether the load leaves the measured cores alone."""
        return not self.measured & self.around


class Machine(NamedTuple):
    """What a run has: a machine by name, and the cores that it may use."""

    name: str
    usable: tuple[int, ...]

    @classmethod
    def here(cls) -> Self:
        """Return this machine."""
        usable = tuple(sorted(os.sched_getaffinity(0)))
        system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
        return cls(f"{_processor()}, {len(usable)} cores, {system}", usable)

    def cores(self, measured: int = 1) -> Cores:
        """Return so many cores for what is measured and another for the load; where none is left, all for both."""
        if len(self.usable) > measured:
            return Cores(frozenset(self.usable[:measured]), frozenset(self.usable[measured : measured + 1]))
        return Cores(frozenset(self.usable), frozenset(self.usable))


def allow_files() -> None:
    """Let this process, and what it starts, open as many files as thousands of connections take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
