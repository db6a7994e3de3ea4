"""What all calls of a stretch of time come to, in all and by day: counts of every call, money of one currency."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import add
from typing import NamedTuple

from pertoken.core.periods import Window, parse_time, windows
from pertoken.core.reporting import NOTHING, SUMS, Group, Sums
from pertoken.ports.archive import UseView
from pertoken.services.reports import groups

_MONEY = frozenset(at for at, name in enumerate(SUMS) if name.endswith("_picos"))
Figures = dict[str, int]  # by the names in SUMS


class Day(NamedTuple):
    """One day of a zone."""

    start_us: int
    figures: Figures


def spent(archive: UseView, since_us: int, until_us: int, zone: str, currency: str) -> Figures:
    """Return the sums of [since, until); amounts are those in `currency`."""
    found = NOTHING
    for row in groups(archive, since_us, until_us, (), zone):
        found = tuple(map(add, found, _in(row, currency)))
    return _named(found)


def spent_by_day(archive: UseView, since_us: int, until_us: int, zone: str, currency: str) -> list[Day]:
    """Return the same for each day of the zone, also for those without a call."""
    starts = [start_us for start_us, _ in windows(Window.DAY, since_us, until_us, zone)]
    sums = [NOTHING] * len(starts)
    for row in groups(archive, since_us, until_us, ("day",), zone):
        at = max(0, bisect_right(starts, parse_time(row.values[0], zone)) - 1)
        sums[at] = tuple(map(add, sums[at], _in(row, currency)))
    return [Day(start_us, _named(of_day)) for start_us, of_day in zip(starts, sums, strict=True)]


def together(days: Sequence[Day], since_us: int, until_us: int) -> Figures:
    """Return the sums of the days that begin in [since, until)."""
    found = dict.fromkeys(SUMS, 0)
    for day in days:
        if since_us <= day.start_us < until_us:
            found = {name: found[name] + day.figures[name] for name in SUMS}
    return found


class Spending:
    """What was spent in several stretches that mostly are whole days: the days are read once."""

    def __init__(self, archive: UseView, since_us: int, until_us: int, zone: str, currency: str) -> None:
        self._archive, self._zone, self._currency = archive, zone, currency
        self._end_us = until_us
        self.days = spent_by_day(archive, since_us, until_us, zone, currency)
        self._starts = [day.start_us for day in self.days]

    def of(self, since_us: int, until_us: int) -> Figures:
        """Return the sums of [since, until), the same as `spent` does."""
        at = bisect_right(self._starts, until_us) - 1
        day_us = self._starts[at] if at >= 0 else until_us
        if since_us not in self._starts or until_us > self._end_us or until_us < since_us:
            return spent(self._archive, since_us, until_us, self._zone, self._currency)
        whole = together(self.days, since_us, until_us if until_us == self._end_us else day_us)
        if until_us in (day_us, self._end_us):
            return whole
        rest = spent(self._archive, day_us, until_us, self._zone, self._currency)
        return {name: whole[name] + rest[name] for name in SUMS}


def _in(row: Group, currency: str) -> Sums:
    if row.currency == currency:
        return row.sums
    return tuple(0 if at in _MONEY else number for at, number in enumerate(row.sums))


def _named(sums: Sums) -> Figures:
    return dict(zip(SUMS, sums, strict=True))
