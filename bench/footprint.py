"""Who is measured and who is not, how long each takes to start, and its memory before and after it has worked."""

import sys
from collections.abc import Iterator

from calls import ask
from effort import Effort
from scene import Scene
from tables import Cell, Column, Table

CONNECTIONS = 32

WHO = (
    Column("who"),
    Column("started", "{:.2f} s"),
    Column("memory", "{:,.0f} MB"),
    Column("what it does with a call"),
)
GROWTH = (
    Column("who"),
    Column("memory at first", "{:,.0f} MB"),
    Column("after so many calls", "{:,}"),
    Column("memory then", "{:,.0f} MB"),
    Column("after so many more", "{:,}"),
    Column("memory at last", "{:,.0f} MB"),
)


def introduce(scene: Scene) -> Table:
    """Return the table of who is there and who is not."""
    rows: list[list[Cell]] = [[one.name, one.started_s, one.rested_bytes / 1e6, one.peer.does] for one in scene.running]
    rows += [[name, None, None, reason] for name, reason in scene.absent]
    return Table("who is measured", WHO, rows, ("started: from the command to the first right answer",))


def measure(scene: Scene, effort: Effort) -> Iterator[Table]:
    """Yield what memory does over many calls."""
    print("memory", file=sys.stderr, flush=True)
    rows: list[list[Cell]] = []
    for one in scene.running:
        ask(one, CONNECTIONS, effort.call_s)
        before, memory = one.calls, one.process.memory_bytes()
        ask(one, CONNECTIONS, effort.call_s * 3)
        more = one.calls - before
        rows.append([one.name, one.rested_bytes / 1e6, before, memory / 1e6, more, one.process.memory_bytes() / 1e6])
    yield Table("memory, the whole process tree", GROWTH, rows)


def conclude(scene: Scene) -> Table:
    """Return what is to be said at the end by those that kept something of their calls."""
    said: list[list[Cell]] = []
    for one in scene.running:
        with one.awake():
            said.append([one.name, one.calls, one.peer.close(one.place)])
    columns = (Column("who"), Column("calls in all", "{:,}"), Column("what its books say then"))
    return Table("afterwards", columns, [row for row in said if row[-1]])
