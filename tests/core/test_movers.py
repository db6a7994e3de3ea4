"""Why a cost moved."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.movers import Cause, Consumed, make_mover, most_moved

MINI, LARGE = ("openai", "mini"), ("openai", "large")
CAUSES = {
    # name: (before, now, what a cached token saves, the whole change comes from)
    "more calls alike": ((10, 1000, 0, 100, 1100), (20, 2000, 0, 200, 2200), 0, Cause.CALLS),
    "longer calls": ((10, 1000, 0, 100, 1100), (10, 2000, 0, 200, 2200), 0, Cause.TOKENS),
    "another price": ((10, 1000, 0, 100, 1100), (10, 1000, 0, 100, 2200), 0, Cause.PRICE),
    "more from cache": ((10, 1000, 100, 100, 1050), (10, 1000, 500, 100, 850), Fraction(1, 2), Cause.CACHED),
    "nothing before": ((0, 0, 0, 0, 0), (3, 10, 0, 10, 20), 0, Cause.CALLS),
    "nothing now": ((3, 10, 0, 10, 20), (0, 0, 0, 0, 0), 0, Cause.CALLS),
}


@pytest.mark.parametrize("case", CAUSES)
def test_one_cause_has_all_of_the_change(case: str) -> None:
    """Where one thing alone moved, it has the whole change."""
    before, now, saved, cause = CAUSES[case]
    mover = make_mover("key", "k", {MINI: Consumed(*before)}, {MINI: Consumed(*now)}, {MINI: Fraction(saved)})

    assert {name: part for name, part in mover.parts.items() if part} == {cause: now[4] - before[4]}
    assert mover.cause is cause


def test_a_dearer_model_for_the_same_calls() -> None:
    """As many calls, but of a dearer model: the change comes from the mix of models, not from calls."""
    before = {MINI: Consumed(10, 1000, 0, 100, 1_100), LARGE: Consumed(10, 1000, 0, 100, 11_000)}
    now = {MINI: Consumed(5, 500, 0, 50, 550), LARGE: Consumed(15, 1500, 0, 150, 16_500)}
    mover = make_mover("key", "k", before, now, {})

    assert {name: part for name, part in mover.parts.items() if part} == {Cause.MODELS: 4_950}


def test_the_cause_moved_the_cost_the_same_way() -> None:
    """A cost that fell is never explained by longer calls, however much longer they are."""
    before, now = Consumed(100, 1000, 0, 0, 10_000), Consumed(30, 600, 0, 0, 6_000)
    mover = make_mover("key", "k", {MINI: before}, {MINI: now}, {})

    assert mover.parts[Cause.TOKENS] > 0 > mover.change_picos
    assert mover.cause is Cause.CALLS


counts = st.integers(0, 10**9)


@st.composite
def consumed(draw: st.DrawFn) -> Consumed:
    """Return what some calls came to; corrections may leave a cost that is negative."""
    whole = draw(counts)
    return Consumed(
        draw(counts), whole, draw(st.integers(0, whole)), draw(counts), draw(st.integers(-(10**15), 10**18))
    )


by_kind = st.dictionaries(st.sampled_from([MINI, LARGE]), consumed())


@given(by_kind, by_kind, st.fractions(0, 10**6, max_denominator=1000))
def test_the_parts_are_the_change(before: dict, now: dict, saved: Fraction) -> None:
    """Whatever moved, the parts of all causes add up to the change, to the last pico."""
    mover = make_mover("key", "k", before, now, {MINI: saved, LARGE: saved})

    assert sum(mover.parts.values()) == mover.change_picos
    assert mover.now.cost_picos == sum(one.cost_picos for one in now.values())


def test_the_largest_changes_come_first() -> None:
    """Those that moved most come first, down as well as up, and what did not move is left out."""
    movers = [
        make_mover("key", name, {MINI: Consumed(1, 1, 0, 0, before)}, {MINI: Consumed(1, 1, 0, 0, now)}, {})
        for name, before, now in (("up", 10, 20), ("down", 100, 50), ("still", 7, 7), ("little", 1, 2))
    ]

    assert [one.name for one in most_moved(movers, 2)] == ["down", "up"]
