"""The figures of several workers, each in a file of its own in a folder that they share.

A worker writes its file once a second and before it answers. Its successor counts on from that file, so what the
workers come to together never falls, whichever of them is asked.
"""

import pickle
import threading
from pathlib import Path
from typing import NamedTuple

from pertoken.core.tally import Snapshot

ENDING = ".counts"


class FiguresTaken(NamedTuple):
    """The figures of this process at one moment; a later one has a larger number."""

    number: int
    data: bytes


class SharedCounts:
    """The folder as one worker uses it; `place` is its place among the workers, which its successor will have."""

    def __init__(self, folder: Path, place: int) -> None:
        self._folder = folder
        self._own = folder / f"{place}{ENDING}"
        self._writing = threading.Lock()
        self._written = 0  # the number of what was written last

    def left(self) -> Snapshot | None:
        """Return what the worker before this one left, None where this is the first."""
        return _read(self._own)

    def write(self, taken: FiguresTaken) -> None:
        """Write the file of this worker anew, unless it has later figures; nobody reads half of it. Raises OSError."""
        with self._writing:
            if taken.number <= self._written:
                return
            new = self._own.with_suffix(".new")
            new.write_bytes(taken.data)
            new.replace(self._own)
            self._written = taken.number

    def read_all(self) -> list[Snapshot]:
        """Return the figures of every worker, dead ones too."""
        found = (_read(path) for path in sorted(self._folder.glob(f"*{ENDING}")))
        return [one for one in found if one is not None]


def as_bytes(snapshot: Snapshot) -> bytes:
    """Return a snapshot as it is written: amounts may be larger than other forms take."""
    return pickle.dumps(snapshot, protocol=pickle.HIGHEST_PROTOCOL)


def of_bytes(data: bytes) -> Snapshot:
    """Return what was written."""
    snapshot: Snapshot = pickle.loads(data)  # noqa: S301 - our own process wrote it, in a folder of its own
    return snapshot


def _read(path: Path) -> Snapshot | None:
    try:
        return of_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
