"""Checks coarse sums: each is what the roll-ups of its day come to."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from pertoken.core.coarse import HOUR, WIDTHS_US, SummedDay, values_of
from pertoken.core.latency import LatencyCounts, add_counts
from pertoken.core.periods import DAY_US, format_time
from pertoken.core.reporting import Grain, Sums, add_sums
from pertoken.ports.archive import SumsView
from pertoken.services.verdict import Difference, difference

Values = tuple[str | None, ...]
CoarsePlace = tuple[int, Values, str]  # start, values, currency


class _Total:
    """What is summed by one thing: sums by currency, and latency counts of all currencies."""

    def __init__(self) -> None:
        self.sums: dict[CoarsePlace, Sums] = {}
        self.latency: dict[tuple[int, Values], LatencyCounts] = {}

    def add(self, place: CoarsePlace, sums: Sums, latency: LatencyCounts) -> None:
        add_sums(self.sums, place, sums)
        add_counts(self.latency.setdefault(place[:2], {}), latency)


def check_coarse(archive: SumsView, checked: dict[str, int]) -> Iterator[Difference]:
    """Yield where a coarse sum is not what the roll-ups of its day come to."""
    checked["coarse_sums"] = 0
    for day_us, summed in itertools.groupby(archive.summed_days(), key=lambda one: one.start_us):
        yield from _check_day(archive, day_us, list(summed), checked)


def _check_day(
    archive: SumsView, day_us: int, summed: Sequence[SummedDay], checked: dict[str, int]
) -> Iterator[Difference]:
    names = [one.name for one in summed]
    derived = _derive(archive, Grain.DAY, day_us, [name for name in names if name != HOUR])
    derived |= _derive(archive, Grain.QUARTER, day_us, [name for name in names if name == HOUR])
    for one in summed:
        checked["coarse_sums"] += len(one.sums)
        kept = _Total()
        for start_us, values, currency, sums, latency in one.sums:
            kept.add((start_us, values, currency), sums, latency)
        yield from _compare(f"{format_time(day_us)[:10]} by {one.name}", derived[one.name], kept)


def _derive(archive: SumsView, grain: Grain, day_us: int, names: Iterable[str]) -> dict[str, _Total]:
    """Return what the roll-ups of a day come to by each of some things."""
    totals = {name: _Total() for name in names}
    for row in archive.rollups(grain, day_us, day_us + DAY_US) if totals else ():
        start_us = row.start_us - row.start_us % WIDTHS_US[grain]
        for name, total in totals.items():
            latency = {} if name == HOUR else row.latency
            total.add((start_us, values_of(name, row.attribution), row.currency), row.sums, latency)
    return totals


def _compare(what: str, derived: _Total, kept: _Total) -> Iterator[Difference]:
    for kind, want, have in (("sums", derived.sums, kept.sums), ("latency", derived.latency, kept.latency)):
        for place in [*want, *(one for one in have if one not in want)]:
            if want.get(place) != have.get(place):
                yield difference("coarse sum", f"{what} {place}", kind, want.get(place), have.get(place))
