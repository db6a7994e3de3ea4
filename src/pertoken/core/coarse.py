"""Coarse sums: what a day of UTC comes to by few things, so that long reports read few rows.

A day is summed by model (with its provider), by team (with provider and model), and by each dimension that calls have
(a key, a customer, a user, a tag), each together with the team. It is summed up to its end and up to cuts within it.
What lies between two cuts is the difference of their sums, so few rows say the days of every time zone, whenever its
clocks change.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from pertoken.core.budgets import TAG_PREFIX, Attribution
from pertoken.core.latency import LatencyCounts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import QUARTER_US, Grain, Slice, Sums

MODEL = "model"
TEAM = "team"
OF_MODEL = ("provider", "model")
OF_TEAM = (*OF_MODEL, TEAM)
DIMENSIONS = ("key", "customer", "user")  # and tags
APART_US = tuple(quarters * QUARTER_US for quarters in (1, 2, 4, 12))  # the cuts of a day; the first that suits


class CoarseSum(NamedTuple):
    """What a day comes to, up to a cut, by the values of `dimensions_of`.

    Latency counts are by values alone: in the sum of one of their currencies. Only sums by model and by team have them
    at cuts before the day's end.
    """

    values: tuple[str | None, ...]
    currency: str
    sums: Sums
    latency: LatencyCounts


class SummedDay(NamedTuple):
    """A day that is summed by one thing, up to a cut or its end."""

    start_us: int
    until_us: int
    name: str
    sums: Sequence[CoarseSum]


class Signed(NamedTuple):
    """How the sums up to a cut count in a span: added, or taken away."""

    span: int
    sign: int


def dimensions_of(what: str) -> tuple[str, ...]:
    """Return what the coarse sums of a name are grouped by."""
    return {MODEL: OF_MODEL, TEAM: OF_TEAM}.get(what, (what, TEAM))


def values_of(what: str, attribution: Attribution) -> tuple[str | None, ...]:
    """Return the values of the coarse sum that an attribution's calls are in. A tag that is not there is None."""
    found = ((name, attribution.value(name)) for name in dimensions_of(what))
    return tuple([value if name.startswith(TAG_PREFIX) else value or "" for name, value in found])


def is_timed(name: str, day_us: int, until_us: int) -> bool:
    """Tell whether the sums of a day by `name` up to an instant have latency counts."""
    return name in {MODEL, TEAM} or until_us == day_us + DAY_US


def name_for(piece: Slice, names: Collection[str]) -> str | None:
    """Return the name of the coarse sums that can say a slice by the dimensions of `names`, None where none can."""
    if piece.grain is Grain.EVENT:
        return None
    others = [name for name in dict.fromkeys(names) if name not in OF_TEAM]
    if not others:
        return TEAM if TEAM in names else MODEL
    is_one = len(others) == 1 and all(name in {TEAM, others[0]} for name in names)
    return others[0] if is_one else None


def without_days(piece: Slice, days_us: Sequence[int]) -> list[Slice]:
    """Return what is left of a slice of days without those days, which are in order."""
    rest = []
    at_us = piece.start_us
    for day_us in days_us:
        if at_us < day_us:
            rest.append(piece._replace(start_us=at_us, end_us=day_us))
        at_us = day_us + DAY_US
    if at_us < piece.end_us:
        rest.append(piece._replace(start_us=at_us))
    return rest


def useful_cuts(piece: Slice) -> list[int]:
    """Return how far into a day cuts may be that are next to a bound of spans which are days, and the day's end."""
    at_us = -piece.offset_us % DAY_US
    near = {sign * (sign * at_us // apart_us * apart_us) for apart_us in APART_US for sign in (1, -1)}
    return sorted(near | {DAY_US})


def between_cuts(piece: Slice, cuts_us: Sequence[int]) -> tuple[dict[int, list[Signed]], list[Slice]]:
    """Return how the sums up to each cut count in the spans of a slice of quarters, and what is left to roll-ups.

    `cuts_us` are the cuts that there are sums up to, in order. Each is after the start of its day; its end is one, too.
    """
    shares: dict[int, list[Signed]] = {}
    rest: list[Slice] = []
    for start_us, end_us, span in _cells(piece):
        from_us = start_us
        first, last = bisect_left(cuts_us, start_us), bisect_right(cuts_us, end_us) - 1
        is_start = start_us % DAY_US == 0
        if last >= 0 and cuts_us[last] > start_us and (is_start or first < last):
            shares.setdefault(cuts_us[last], []).append(Signed(span, 1))
            if not is_start:
                shares.setdefault(cuts_us[first], []).append(Signed(span, -1))
                _leave(rest, piece, start_us, cuts_us[first])
            from_us = cuts_us[last]
        _leave(rest, piece, from_us, end_us)
    return shares, rest


def _cells(piece: Slice) -> Iterator[tuple[int, int, int]]:
    """Yield the parts of a slice that are within one day of UTC and one span each, with their span."""
    at_us, span = piece.start_us, 0
    while at_us < piece.end_us:
        to_us = min(piece.end_us, at_us // DAY_US * DAY_US + DAY_US)
        if piece.width_us:
            span = (at_us + piece.offset_us) // piece.width_us
            to_us = min(to_us, (span + 1) * piece.width_us - piece.offset_us)
        yield at_us, to_us, span
        at_us = to_us


def _leave(rest: list[Slice], piece: Slice, start_us: int, end_us: int) -> None:
    """Leave a stretch to roll-ups, together with the one before it where they touch."""
    if start_us == end_us:
        return
    if rest and rest[-1].end_us == start_us:
        rest[-1] = rest[-1]._replace(end_us=end_us)
    else:
        rest.append(piece._replace(start_us=start_us, end_us=end_us))
