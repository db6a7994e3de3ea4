"""Coarse sums: what a day of UTC comes to by few things, so that long reports read few rows.

A day is summed by model (provider, model and team together), by the hours of the same, and by each dimension that calls
have (a key, a customer, a user, a tag), each together with the team.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pertoken.core.budgets import TAG_PREFIX, Attribution
from pertoken.core.latency import LatencyCounts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import HOUR_US, Grain, Slice, Sums

MODEL = "model"
HOUR = "hour"
TEAM = "team"
OF_MODEL = ("provider", "model", TEAM)
DIMENSIONS = ("key", "customer", "user")  # and tags
WIDTHS_US = {Grain.DAY: DAY_US, Grain.QUARTER: HOUR_US}  # of the coarse sums that take the place of a roll-up


class CoarseSum(NamedTuple):
    """What a day, or an hour of it, comes to by the values of `dimensions_of`.

    Latency counts are by values alone: in the sum of one of their currencies. Hours have none.
    """

    start_us: int
    values: tuple[str | None, ...]
    currency: str
    sums: Sums
    latency: LatencyCounts


class SummedDay(NamedTuple):
    """A day that is summed by one thing."""

    start_us: int
    name: str
    sums: Sequence[CoarseSum]


def dimensions_of(what: str) -> tuple[str, ...]:
    """Return what the coarse sums of a name are grouped by."""
    return OF_MODEL if what in {MODEL, HOUR} else (what, TEAM)


def values_of(what: str, attribution: Attribution) -> tuple[str | None, ...]:
    """Return the values of the coarse sum that an attribution's calls are in. A tag that is not there is None."""
    found = ((name, attribution.value(name)) for name in dimensions_of(what))
    return tuple([value if name.startswith(TAG_PREFIX) else value or "" for name, value in found])


def name_for(piece: Slice, names: Collection[str]) -> str | None:
    """Return the name of the coarse sums that can say a slice by the dimensions of `names`, None where none can."""
    if piece.grain is Grain.EVENT:
        return None
    others = [name for name in dict.fromkeys(names) if name not in OF_MODEL]
    if piece.grain is Grain.QUARTER:
        in_one_span = not piece.width_us or (piece.width_us % HOUR_US == 0 and piece.offset_us % HOUR_US == 0)
        return HOUR if in_one_span and not others else None
    if not others:
        return MODEL
    is_one = len(others) == 1 and all(name in {TEAM, others[0]} for name in names)
    return others[0] if is_one else None


def divide(piece: Slice, days_us: Sequence[int]) -> tuple[tuple[int, int], list[Slice]]:
    """Return the stretch of a slice that coarse sums may say, and what is left to roll-ups.

    `days_us` are the starts of the days that are summed, in order. Coarse sums may say those of their rows that begin
    in the stretch.
    """
    width_us = WIDTHS_US[piece.grain]
    start_us, end_us = -(-piece.start_us // width_us) * width_us, piece.end_us // width_us * width_us
    rest = []
    at_us = piece.start_us
    for day_us in days_us:
        from_us, to_us = max(day_us, start_us), min(day_us + DAY_US, end_us)
        if from_us >= to_us:
            continue
        if at_us < from_us:
            rest.append(piece._replace(start_us=at_us, end_us=from_us))
        at_us = to_us
    if at_us < piece.end_us:
        rest.append(piece._replace(start_us=at_us))
    return (start_us, end_us), rest
