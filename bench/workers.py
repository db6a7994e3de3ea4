"""Two workers beside one, on one database: how many more calls there are, and what each costs then.

Two workers get two cores. Where the machine has no third one for the load generator and the provider, those run on the
same two, and what they used is taken off: calls are counted for the time that was left to the workers.
"""

import functools
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from call import message
from effort import Effort
from load import closed, run
from machine import Machine
from peers.pertoken import Pertoken
from scene import Running, Scene, scene
from tables import Cell, Column, Table
from turns import in_turns

WORKERS = (1, 2)
CONNECTIONS = (64, 256, 512)  # with more of them, more calls share a commit, and the workers wait less for each other

COLUMNS = (
    Column("connections"),
    Column("workers", "{}"),
    Column("calls a second", "{:,.0f}"),
    Column("less the load's share", "{:,.0f}"),
    Column("x one worker", "{:.2f}"),
    Column("CPU a call", "{:,.0f} us"),
    Column("failed", "{:,}"),
)


class Worked(NamedTuple):
    """What came of one round."""

    rate: float
    rate_alone: float
    cpu_us: float
    failed: int


def measure(effort: Effort, machine: Machine) -> Iterator[Table]:
    """Yield one worker beside two."""
    before = os.sched_getaffinity(0)
    rows: list[list[Cell]] = []
    try:
        with scene([Pertoken(workers=count) for count in WORKERS], machine.cores()) as made:
            everybody = list(zip(WORKERS, made.running, strict=True))
            for count, one in everybody:
                one.process.move(machine.cores(count).measured)
            for connections in CONNECTIONS:
                print(f"workers, {connections} connections", file=sys.stderr, flush=True)
                ask = functools.partial(_ask, made, machine, connections)
                for pair in everybody:
                    ask(effort.call_s / 2, pair)
                rows += _rows(connections, in_turns(everybody, functools.partial(ask, effort.call_s), effort.rounds))
    finally:
        os.sched_setaffinity(0, before)
    shared = "a core of its own" if machine.cores(WORKERS[-1]).apart else "shares the cores of two workers"
    yield Table("workers on one database", COLUMNS, rows, (f"the load {shared}",))


def _ask(made: Scene, machine: Machine, connections: int, seconds: float, pair: tuple[int, Running]) -> Worked:
    count, one = pair
    cores = machine.cores(count)
    made.direct.process.move(cores.around)
    os.sched_setaffinity(0, cores.around)
    load = closed(one.target.address, message(one.target), connections, seconds, one.process.cpu_s)
    with one.awake():
        load_before = time.process_time() + made.direct.process.cpu_s()
        answers = run(load)
        load_s = time.process_time() + made.direct.process.cpu_s() - load_before
    left_s = answers.seconds if cores.apart else answers.seconds - load_s / len(cores.measured)
    cpu_us = answers.cpu_s / answers.calls * 1e6
    return Worked(answers.calls / answers.seconds, answers.calls / left_s, cpu_us, answers.failed)


def _rows(connections: int, rounds: Sequence[Sequence[Worked]]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for count, of_one in zip(WORKERS, rounds, strict=True):
        rate, alone, cpu_us = (statistics.median(values) for values in list(zip(*of_one, strict=True))[:3])
        if count == 1:
            single = alone
        failed = sum(worked.failed for worked in of_one)
        rows.append([str(connections), str(count), rate, alone, alone / single, cpu_us, failed])
    return rows
