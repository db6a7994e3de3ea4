"""Whole calls in a closed loop: what one costs at 1, 32 and 256 connections, how many there are, what they add."""

import statistics
import sys
from collections.abc import Iterator, Sequence

from call import message
from effort import Effort
from load import Answers, closed, run
from scene import Running, Scene
from tables import Cell, Column, Table
from turns import added_ms, in_turns, pool

CONNECTIONS = (1, 32, 256)
FLOORS = ("bare proxy", "held proxy", "nginx")
PERCENTS = (50, 99, 99.9)

COLUMNS = (
    Column("asked"),
    Column("CPU a call", "{:,.0f} us"),
    *(Column(f"x {name}", "{:.1f}") for name in FLOORS),
    Column("calls a second", "{:,.0f}"),
    *(Column(f"p{percent} added", "{:.2f} ms") for percent in PERCENTS),
    Column("failed", "{:,}"),
)


def measure(scene: Scene, effort: Effort) -> Iterator[Table]:
    """Yield a table for each number of connections."""
    for connections in CONNECTIONS:
        print(f"calls over {connections} connections", file=sys.stderr, flush=True)
        for one in scene.everybody:  # connections open, code warm
            ask(one, connections, effort.call_s / 2)
        rounds = in_turns(scene.everybody, lambda one: ask(one, connections, effort.call_s), effort.rounds)  # noqa: B023
        yield _table(scene, connections, rounds)


def ask(one: Running, connections: int, seconds: float) -> Answers:
    """Ask somebody for some seconds, and wait until it is done with it."""
    load = closed(one.target.address, message(one.target), connections, seconds, one.process.cpu_s)
    with one.awake():
        answers = run(load)
    one.calls += answers.calls
    return answers


def cpu_us(rounds: Sequence[Answers]) -> float:
    """Return the median CPU of a call."""
    return statistics.median(one.cpu_s / one.calls for one in rounds) * 1e6


def _table(scene: Scene, connections: int, rounds: Sequence[Sequence[Answers]]) -> Table:
    costs = {one.peer.name: cpu_us(of_one) for one, of_one in zip(scene.everybody, rounds, strict=True)}
    direct = pool(one.latencies_s for one in rounds[0])
    rows: list[list[Cell]] = []
    for one, of_one in zip(scene.everybody, rounds, strict=True):
        latencies = pool(answers.latencies_s for answers in of_one)
        row: list[Cell] = [one.name]
        if one is scene.direct:
            row += [None] * (1 + len(FLOORS))
        else:
            cost = costs[one.peer.name]
            row += [cost, *(cost / costs[name] if name in costs else None for name in FLOORS)]
        row.append(statistics.median(answers.calls / answers.seconds for answers in of_one))
        row += added_ms(latencies, None if one is scene.direct else direct, PERCENTS)
        row.append(sum(answers.failed for answers in of_one))
        rows.append(row)
    notes = (
        "the provider's own row: its latency, and how many calls a second the load generator can ask at most",
        f"medians of {len(rounds[0])} rounds in turns; percentiles of all calls of all rounds, less the provider's",
    )
    plural = "s" if connections > 1 else ""
    return Table(f"whole calls, closed loop, {connections} connection{plural}", COLUMNS, rows, notes)
