"""Whole calls in an open loop: what they add when they come at a fixed rate, whether or not earlier ones are answered.

Latency counts from when a call was due, so that whoever stops for a while is charged for all calls that had to wait.
"""

import sys
from collections.abc import Iterator

from call import message
from effort import Effort
from load import Kept, opened, run
from scene import Running, Scene
from tables import Cell, Column, Table
from turns import added_ms, in_turns, pool

RATES = (500, 1_000, 2_000, 5_000)
ROUNDS = 2
PERCENTS = (50, 99, 99.9)
ENOUGH = 0.97  # of the calls that were due are answered in time: it keeps the rate

COLUMNS = (
    Column("asked"),
    *(Column(f"p{percent} added", "{:.2f} ms") for percent in PERCENTS),
    Column("failed", "{:,}"),
)


def measure(scene: Scene, effort: Effort) -> Iterator[Table]:
    """Yield a table for each rate; whoever did not keep a rate is not asked at a higher one."""
    lost: dict[str, str] = {}
    for rate in RATES:
        print(f"{rate:,} calls a second", file=sys.stderr, flush=True)
        asked = [one for one in scene.everybody if one.name not in lost]
        rounds = in_turns(asked, lambda one: _ask(one, rate, effort.rate_s), ROUNDS)  # noqa: B023 - called at once
        by_name = {one.name: of_one for one, of_one in zip(asked, rounds, strict=True)}
        for name, of_one in by_name.items():
            best = max(of_one, key=lambda kept: kept.in_time)
            if best.in_time < best.due * ENOUGH:
                lost[name] = f"cannot keep {rate:,}: {best.in_time / best.seconds:,.0f} a second"
        yield _table(scene, rate, by_name, lost)


def _ask(one: Running, rate: int, seconds: float) -> Kept:
    with one.awake():
        kept = run(opened(one.target.address, message(one.target), rate, seconds))
    one.calls += len(kept.latencies_s)
    return kept


def _table(scene: Scene, rate: int, rounds: dict[str, list[Kept]], lost: dict[str, str]) -> Table:
    direct = pool(kept.latencies_s for kept in rounds.get(scene.direct.name, []))
    rows: list[list[Cell]] = []
    for one in scene.everybody:
        if one.name in lost:
            rows.append([one.name, lost[one.name]])
            continue
        latencies = pool(kept.latencies_s for kept in rounds[one.name])
        added = added_ms(latencies, None if one is scene.direct else direct, PERCENTS)
        rows.append([one.name, *added, sum(kept.failed for kept in rounds[one.name])])
    notes = ("counted from when a call was due; the provider's own row is its latency, which the others are less",)
    return Table(f"whole calls, open loop, {rate:,} a second", COLUMNS, rows, notes)
