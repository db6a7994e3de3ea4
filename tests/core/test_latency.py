"""Counts of how long calls took: they add up, and say quantiles within the error that is stated."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import event, hold, with_own

from pertoken.core.events import Event, OfCorrection, Timeline
from pertoken.core.latency import (
    BOUNDS_US,
    ERROR_PERCENT,
    LatencyCounts,
    Timing,
    add_counts,
    calls_of,
    count,
    quantile_us,
)

LARGEST_US = BOUNDS_US[-1] - 1
times = st.integers(BOUNDS_US[0], LARGEST_US)


def made(took_us: int, first_byte_us: int | None = None, sent_us: int | None = 1) -> Event:
    """Return the event of a call that took so long."""
    one = event(hold("call_1"))
    timeline = Timeline(0, sent_us, first_byte_us, None)
    return with_own(one._replace(recorded_at_us=one.opened_at_us + took_us), timeline=timeline)


def counted(*events: Event) -> LatencyCounts:
    """Return the counts of some events."""
    counts: LatencyCounts = {}
    for one in events:
        count(counts, one)
    return counts


def test_bounds_are_as_close_as_the_error_needs() -> None:
    """Each bound is less than 1.19 times the one before; from 1 ms to 17 minutes; a kind's numbers are its own."""
    most = (1 + Fraction(ERROR_PERCENT) / 100) ** 2

    assert all(1 < Fraction(above, below) < most for below, above in pairwise(BOUNDS_US))
    assert (BOUNDS_US[0], BOUNDS_US[-1]) == (1_000, 1_048_576_000)
    assert Timing.FIRST_BYTE + len(BOUNDS_US) < Timing.TOTAL


@given(st.lists(times, min_size=1, max_size=60), st.integers(0, 1_000))
def test_a_quantile_is_as_exact_as_stated(took_us: list[int], permille: int) -> None:
    """A quantile of counts is within 9.1 % of the one of the times themselves, in either direction."""
    found = quantile_us(counted(*map(made, took_us)), Timing.TOTAL, permille)
    exact = sorted(took_us)[max(1, -(-len(took_us) * permille // 1_000)) - 1]
    most = 1 + Fraction(ERROR_PERCENT) / 100

    assert found is not None
    assert exact / most - 1 <= found <= exact * most


@pytest.mark.parametrize(
    ("took_us", "told_us"),
    [(-5_000_000, 500), (0, 500), (999, 500), (1_000, 1_090), (BOUNDS_US[-1], BOUNDS_US[-1]), (2**50, BOUNDS_US[-1])],
)
def test_beyond_the_bounds_a_bound_is_told(took_us: int, told_us: int) -> None:
    """Half a millisecond stands for less than one, a clock set back included; the last bound for all that is longer."""
    assert quantile_us(counted(made(took_us)), Timing.TOTAL, 500) == told_us


@given(st.lists(times, max_size=20), st.lists(times, max_size=20))
def test_counts_add_up_and_are_taken_away(some: list[int], others: list[int]) -> None:
    """Counts of two lots of calls come to those of all; with one lot taken away the other is left, without zeros."""
    together, one, other = (counted(*map(made, took)) for took in ([*some, *others], some, others))
    added = dict(one)
    add_counts(added, other)
    left = dict(added)
    add_counts(left, other, -1)

    assert added == together
    assert left == one
    assert calls_of(together, Timing.TOTAL) == len(some) + len(others)


def test_what_was_not_sent_is_not_counted() -> None:
    """A reported event, a correction and one of before have no times; a call without an answer has no first byte."""
    sent = made(5_000, 2_000)
    without = counted(made(5_000, 2_000, None), sent._replace(of=OfCorrection("call_0")), event(hold("call_1")))
    unanswered = counted(made(5_000))

    assert without == {}
    assert quantile_us(without, Timing.TOTAL, 500) is None
    assert (calls_of(unanswered, Timing.FIRST_BYTE), calls_of(unanswered, Timing.TOTAL)) == (0, 1)
    assert calls_of(counted(sent), Timing.FIRST_BYTE) == 1
