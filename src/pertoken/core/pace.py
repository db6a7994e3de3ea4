"""How a budget's spending stands against its time: where it should be by now, and where it leads at this pace."""

from fractions import Fraction
from typing import NamedTuple


class Pace(NamedTuple):
    """How far a window is, and where its spending leads if it goes on as so far."""

    elapsed: Fraction  # of the window, 0 to 1: the share of the limit that would be spent by now at an even pace
    projected: int  # at the end of the window, rounded down
    reached_at_us: int | None  # when the limit is reached at this pace; None: not in this window


def pace_of(spent: int, limit: int, start_us: int, end_us: int, now_us: int) -> Pace:
    """Return the pace of a window [start, end) at `now_us`; a limit that is reached already is reached now."""
    assert start_us < end_us, (start_us, end_us)
    elapsed = Fraction(min(max(now_us, start_us), end_us) - start_us, end_us - start_us)
    if not elapsed or spent <= 0:
        return Pace(elapsed, max(0, spent), now_us if spent >= limit else None)
    projected = int(spent / elapsed)
    if spent >= limit:
        return Pace(elapsed, projected, now_us)
    at_us = start_us + int(elapsed * limit / spent * (end_us - start_us))
    return Pace(elapsed, projected, at_us if at_us < end_us else None)
