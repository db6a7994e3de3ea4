"""The figures of several workers, each in its own file in a shared directory.

A worker writes its file once a second and before it answers a scrape. The worker that replaces it continues from that
file. So the sum of all workers never falls, whichever worker answers.
"""

import pickle
import threading
from pathlib import Path
from typing import NamedTuple

from pertoken.core.tally import Snapshot

ENDING = ".counts"


class FiguresTaken(NamedTuple):
    """The figures of this process at one moment. Later figures have a larger `number`."""

    number: int
    data: bytes


class SharedCounts:
    """The shared directory, as one worker uses it. `place` is the worker's index, which its replacement inherits."""

    def __init__(self, folder: Path, place: int) -> None:
        self._folder = folder
        self._own = folder / f"{place}{ENDING}"
        self._writing = threading.Lock()
        self._written = 0  # the `number` of the last written figures

    def left(self) -> Snapshot | None:
        """Return the figures of the worker that this one replaces, or None for the first worker."""
        return _read(self._own)

    def write(self, taken: FiguresTaken) -> None:
        """Replace the file of this worker atomically, unless it has later figures. Raises OSError."""
        with self._writing:
            if taken.number <= self._written:
                return
            new = self._own.with_suffix(".new")
            new.write_bytes(taken.data)
            new.replace(self._own)
            self._written = taken.number

    def read_all(self) -> list[Snapshot]:
        """Return the figures of every worker, including dead ones."""
        found = (_read(path) for path in sorted(self._folder.glob(f"*{ENDING}")))
        return [one for one in found if one is not None]


def as_bytes(snapshot: Snapshot) -> bytes:
    """Return a snapshot, pickled, because amounts may be too large for other formats."""
    return pickle.dumps(snapshot, protocol=pickle.HIGHEST_PROTOCOL)


def of_bytes(data: bytes) -> Snapshot:
    """Return the snapshot that `as_bytes` wrote."""
    snapshot: Snapshot = pickle.loads(data)  # noqa: S301 - our own process wrote it, in our own directory
    return snapshot


def _read(path: Path) -> Snapshot | None:
    try:
        return of_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
