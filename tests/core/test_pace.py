"""Where a budget's spending leads."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.pace import Pace, pace_of

CASES = {
    # (spent, limit, now) of a window from 1,000 to 2,000
    "at an even pace": ((50, 100, 1_500), Pace(Fraction(1, 2), 100, None)),
    "too fast": ((80, 100, 1_500), Pace(Fraction(1, 2), 160, 1_625)),
    "slow": ((10, 100, 1_500), Pace(Fraction(1, 2), 20, None)),
    "reached": ((100, 100, 1_250), Pace(Fraction(1, 4), 400, 1_250)),
    "nothing spent": ((0, 100, 1_500), Pace(Fraction(1, 2), 0, None)),
    "just begun": ((5, 100, 1_000), Pace(Fraction(0), 5, None)),
    "over": ((90, 100, 3_000), Pace(Fraction(1), 90, None)),
    "a limit of nothing": ((0, 0, 1_500), Pace(Fraction(1, 2), 0, 1_500)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_pace_of_a_window(case: str) -> None:
    """The pace says how far the window is, what it leads to, and when the limit is reached."""
    (spent, limit, now_us), expected = CASES[case]

    assert pace_of(spent, limit, 1_000, 2_000, now_us) == expected


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.integers(0, 10**6))
def test_it_is_reached_where_it_leads_beyond(spent: int, limit: int, now_us: int) -> None:
    """The limit is reached within the window where the projection is above it, and never before now."""
    pace = pace_of(spent, limit, 0, 10**6, now_us)

    if pace.projected > limit:
        assert pace.reached_at_us is not None
    if pace.reached_at_us is not None:
        assert now_us <= pace.reached_at_us or spent >= limit
