"""Checks coarse sums: each is what the roll-ups of its day come to, up to a cut or the day's end."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pertoken.core.coarse import SummedDay, is_timed, values_of
from pertoken.core.latency import LatencyCounts, add_counts
from pertoken.core.periods import DAY_US, format_time
from pertoken.core.reporting import Grain, Rollup, Sums, add_sums
from pertoken.ports.archive import SumsView
from pertoken.services.verdict import Difference, difference

Values = tuple[str | None, ...]


class _Total:
    """What is summed by one thing: sums by currency, and latency counts of all currencies."""

    def __init__(self) -> None:
        self.sums: dict[tuple[Values, str], Sums] = {}
        self.latency: dict[Values, LatencyCounts] = {}

    def add(self, values: Values, currency: str, sums: Sums, latency: LatencyCounts) -> None:
        add_sums(self.sums, (values, currency), sums)
        add_counts(self.latency.setdefault(values, {}), latency)


def check_coarse(archive: SumsView, checked: dict[str, int]) -> Iterator[Difference]:
    """Yield where a coarse sum is not what the roll-ups of its day come to."""
    checked["coarse_sums"] = 0
    for day_us, summed in itertools.groupby(archive.summed_days(), key=lambda one: one.start_us):
        by_name = {name: list(of) for name, of in itertools.groupby(summed, key=lambda one: one.name)}
        quarters = list(archive.rollups(Grain.QUARTER, day_us, day_us + DAY_US))
        for of_name in by_name.values():
            yield from _check(quarters, of_name, checked)


def _check(quarters: Sequence[Rollup], summed: Sequence[SummedDay], checked: dict[str, int]) -> Iterator[Difference]:
    """Check the sums of a day by one thing, up to each cut in their order."""
    derived, at = _Total(), 0
    for day_us, until_us, name, sums in summed:
        checked["coarse_sums"] += len(sums)
        while at < len(quarters) and quarters[at].start_us < until_us:
            row = quarters[at]
            derived.add(values_of(name, row.attribution), row.currency, row.sums, row.latency)
            at += 1
        kept = _Total()
        for one in sums:
            kept.add(*one)
        what = f"{format_time(day_us)[:10]} by {name}"
        if until_us < day_us + DAY_US:
            what += f" until {format_time(until_us)[11:16]}"
        timed = derived.latency if is_timed(name, day_us, until_us) else {values: {} for values in derived.latency}
        yield from _compare(what, "sums", derived.sums, kept.sums)
        yield from _compare(what, "latency", timed, kept.latency)


def _compare(what: str, kind: str, want: Mapping[Any, object], have: Mapping[Any, object]) -> Iterator[Difference]:
    for place in [*want, *(one for one in have if one not in want)]:
        if want.get(place) != have.get(place):
            yield difference("coarse sum", f"{what} {place}", kind, want.get(place), have.get(place))
