"""The gateway with a look at its event loop: `python bench/watched.py FILE serve ...` is `pertoken serve ...`.

FILE has one number: the most CPU time, in nanoseconds, that the loop's thread took between two looks, one each
millisecond. So much does one step of the loop take, plus one millisecond at most, whoever else uses the machine.
"""

import asyncio
import mmap
import struct
import sys
import time
from pathlib import Path

import uvloop

from pertoken.cli.main import cli

NUMBER = struct.Struct("<Q")
LOOK_S = 0.001


class Watch:
    """The number in the file, for whoever writes it and whoever reads it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), NUMBER.size)

    def note(self, took_ns: int) -> None:
        """Keep a time that is longer than those before."""
        if took_ns > NUMBER.unpack_from(self._memory)[0]:
            NUMBER.pack_into(self._memory, 0, took_ns)

    def take_ms(self) -> float:
        """Return the longest time since the last question."""
        (took_ns,) = NUMBER.unpack_from(self._memory)
        NUMBER.pack_into(self._memory, 0, 0)
        return float(took_ns) / 1e6


def prepare(path: Path) -> None:
    """Make the file."""
    path.write_bytes(NUMBER.pack(0))


def watch(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    """Look at a loop from now on."""
    longest, last_ns = Watch(path), time.thread_time_ns()

    def look() -> None:
        nonlocal last_ns
        now_ns = time.thread_time_ns()
        longest.note(now_ns - last_ns)
        last_ns = now_ns
        loop.call_later(LOOK_S, look)

    loop.call_soon(look)


def main() -> None:
    """Run pertoken with what follows the file."""
    path = Path(sys.argv.pop(1))
    new_event_loop = uvloop.new_event_loop

    def watched() -> asyncio.AbstractEventLoop:
        loop = new_event_loop()
        watch(loop, path)
        return loop

    uvloop.new_event_loop = watched  # type: ignore[assignment]  # it returns more than it says
    cli(prog_name="pertoken")


if __name__ == "__main__":
    main()
