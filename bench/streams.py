"""Streamed calls: what one chunk costs, and what a token waits."""

import statistics
import sys
from collections.abc import Iterator, Sequence

from call import Stream, message
from effort import Effort
from load import run
from scene import Running, Scene
from streaming import Flow, Streams
from tables import Cell, Column, Table
from turns import added_ms, in_turns, pool

FEW, FEW_GAP_MS = 20, 40  # 500 chunks a second
MANY, MANY_GAP_MS = 500, 40  # 12,500
VERY_MANY, VERY_MANY_GAP_MS = 2_000, 100  # 20,000
ROUNDS = 2
FLOORS = ("bare proxy", "nginx")
OWN = ("pertoken", *FLOORS)  # who is asked for very many
PERCENTS = (50, 99, 99.9)

COLUMNS = (
    Column("asked"),
    Column("CPU a chunk", "{:.1f} us"),
    *(Column(f"x {name}", "{:.1f}") for name in FLOORS),
    Column("chunks a second", "{:,.0f}"),
    *(Column(f"p{percent} added", "{:.2f} ms") for percent in PERCENTS),
    Column("memory then", "{:,.0f} MB"),
)


def measure(scene: Scene, effort: Effort) -> Iterator[Table]:
    """Yield the costs of a chunk for few and for many streams, and the delays of a token among very many."""
    everybody = [one for one in scene.everybody if one.peer.streams]
    own = [one for one in everybody if one is scene.direct or one.peer.name in OWN]
    for one in everybody:  # what is made for the first stream is made
        _read(one, FEW, Stream(10, FEW_GAP_MS))
    yield _table(scene, everybody, FEW, Stream(effort.chunks // 2, FEW_GAP_MS), 1)
    yield _table(scene, everybody, MANY, Stream(effort.chunks, MANY_GAP_MS), ROUNDS)
    yield _table(scene, own, VERY_MANY, Stream(effort.chunks // 2, VERY_MANY_GAP_MS), 1)


def _table(scene: Scene, asked: Sequence[Running], streams: int, stream: Stream, rounds: int) -> Table:
    print(f"{streams:,} streams", file=sys.stderr, flush=True)
    lost: dict[str, Flow] = {}  # who is not asked again

    def read(one: Running) -> Flow:
        flow = lost.get(one.name) or _read(one, streams, stream)
        if flow.begun < streams:
            lost[one.name] = flow
        return flow

    taken = dict(zip([one.name for one in asked], in_turns(asked, read, rounds), strict=True))
    costs = {one.peer.name: _cpu_us(taken[one.name]) for one in asked if one.name not in lost}
    direct = pool(flow.delays_s for flow in taken[scene.direct.name])
    rows: list[list[Cell]] = []
    for one in asked:
        if one.name in lost:
            rows.append([one.name, f"cannot run so many: {lost[one.name].begun:,} ran"])
            continue
        itself = one is scene.direct
        cost = costs[one.peer.name]
        floors = [cost / costs[name] if name in costs else None for name in FLOORS]
        rate = statistics.median(flow.chunks / flow.seconds for flow in taken[one.name])
        delays = pool(flow.delays_s for flow in taken[one.name])
        added = added_ms(delays, None if itself else direct, PERCENTS)
        costly = [None] * (1 + len(FLOORS)) if itself else [cost, *floors]
        rows.append([one.name, *costly, rate, *added, one.process.memory_bytes() / 1e6])
    return Table(f"streams, {streams:,} at once", COLUMNS, rows, _notes(streams, stream))


def _notes(streams: int, stream: Stream) -> tuple[str, ...]:
    return (
        f"{stream.chunks} chunks a stream, each a packet; {streams * 1_000 // stream.gap_ms:,} a second are sent",
        "added: from the provider's writing of a chunk to its arrival, less the same of the provider asked directly",
        "the wait between two tokens grows by no more than that",
    )


def _read(one: Running, count: int, stream: Stream) -> Flow:
    lasts_s = stream.chunks * stream.gap_ms / 1e3
    streams = Streams(one.target.address, message(one.target, stream), count)
    with one.awake():
        flow = run(streams.read(lasts_s, one.process.cpu_s))
    one.calls += count
    return flow


def _cpu_us(rounds: Sequence[Flow]) -> float:
    """Return the median CPU of a chunk."""
    return statistics.median(flow.cpu_s / flow.chunks for flow in rounds) * 1e6
