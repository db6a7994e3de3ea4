"""Asks the workers what they have and what they do, and judges two answers; nothing here is a time."""

import json
import time
from pathlib import Path
from typing import NamedTuple

PATIENCE_S = 60
OBJECTS_A_CALL, BLOCKS_A_CALL, BYTES_A_CALL = 0.5, 8, 400  # that may stay: a call that is kept has many times that
STEPS_FACTOR = 1.15  # the same calls differ by a twentieth, in batches and housekeeping


class Counts(NamedTuple):
    """What the workers have, all together, at a moment when nothing runs, and the steps of the calls counted."""

    objects: int
    blocks: int
    heap_bytes: int
    tasks: int
    functions: int
    database: int


class Counter:
    """The folder through which the workers are asked."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self._workers = workers
        self._asked = 0
        folder.mkdir()

    def look(self) -> Counts:
        """Return what all workers have now."""
        self._asked += 1
        new = self.folder / "new"
        new.write_text(str(self._asked))
        new.rename(self.folder / "ask")
        deadline = time.monotonic() + PATIENCE_S
        while len(answers := self._answers()) < self._workers:
            assert time.monotonic() < deadline, "the workers do not answer"
            time.sleep(0.05)
        return Counts(*(sum(one[name] for one in answers) for name in Counts._fields))

    def count_steps(self, counting: bool) -> None:
        """Begin or stop to count; return once all workers know."""
        if counting:
            (self.folder / "count").touch()
        else:
            (self.folder / "count").unlink()
        self.look()

    def _answers(self) -> list[dict[str, int]]:
        return [json.loads(one.read_text()) for one in self.folder.glob(f"{self._asked}-*") if not one.suffix]


def grown(first: Counts, last: Counts, calls: int) -> list[str]:
    """Return what has grown with the calls between two looks, in words; steps are those of calls alike."""
    allowed = {"objects": OBJECTS_A_CALL, "blocks": BLOCKS_A_CALL, "heap_bytes": BYTES_A_CALL}
    found = [
        f"{name}: {getattr(first, name)} to {getattr(last, name)} in {calls} calls"
        for name, a_call in allowed.items()
        if getattr(last, name) - getattr(first, name) > a_call * calls
    ]
    if last.tasks > first.tasks:
        found.append(f"tasks: {first.tasks} to {last.tasks}")
    found += [
        f"{name} of calls alike: {getattr(first, name)} to {getattr(last, name)}"
        for name in ("functions", "database")
        if getattr(last, name) > STEPS_FACTOR * getattr(first, name)
    ]
    return found
