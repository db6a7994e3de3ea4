"""What a budget would have refused of sums of usage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.budgets import Axis, Budget
from pertoken.core.periods import DAY_US, Window
from pertoken.core.preview import Refusals, UsedThen, replay, why_unknown

HOUR = DAY_US // 24
BUDGET = Budget("b", "b", Axis.REQUESTS, 10, Window.DAY)

# limit, what was used as (hours, each, key, calls, amount), -> refused, keys, days, values
CASES = [
    (10, [(0, "", "a", 10, 10)], 0, set(), 0, 0),
    (10, [(0, "", "a", 10, 10), (1, "", "b", 3, 3)], 3, {"b"}, 1, 1),
    (10, [(0, "", "a", 10, 10), (24, "", "b", 3, 3)], 0, set(), 0, 0),  # another day
    (10, [(0, "", "a", 20, 20), (24, "", "a", 15, 15)], 15, {"a"}, 2, 1),
    (10, [(0, "x", "a", 10, 10), (0, "y", "a", 12, 12)], 2, {"a"}, 1, 1),  # each value has the limit to itself
    (0, [(0, "", "a", 5, 5)], 5, {"a"}, 1, 1),
    (0, [(0, "", "a", 5, 0)], 0, set(), 0, 0),  # what costs nothing always fits
    (10, [(0, "", "a", 4, 20)], 2, {"a"}, 1, 1),  # calls of 5 each
    (10, [(0, "", "a", 1, 20), (1, "", "b", 1, 8)], 1, {"a"}, 1, 1),  # the refused call spends nothing
    (10, [(0, "", "a", 9, 9), (0, "", "b", 2, 2)], 1, {"a"}, 1, 1),  # no more keys than calls
    (10, [(0, "", "", 12, 12)], 2, set(), 1, 1),  # usage that names no key
    (10, [(0, "", "a", 8, 8), (0, "", "a", 0, -5), (1, "", "a", 7, 7)], 0, set(), 0, 0),  # a correction gives back
]


@pytest.mark.parametrize(("limit", "used", "refused", "keys", "days", "values"), CASES)
def test_it_refuses_what_does_not_fit(limit, used, refused, keys, days, values) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Within a window what fits passes, the rest is refused and spends nothing."""
    found = replay(BUDGET._replace(limit=limit), [UsedThen(DAY_US + at * HOUR, *rest) for at, *rest in used], 0)

    assert (found.refused, found.keys, found.days, found.values) == (refused, keys, days, values)
    assert found.calls == sum(calls for _, _, _, calls, _ in used)
    assert (found.first_us is None) == (refused == 0)


def test_what_was_before_only_fills_the_window() -> None:
    """Usage before the stretch that is asked about counts against the limit, and is not counted as refused."""
    used = [UsedThen(0, "", "a", 10, 10), UsedThen(HOUR, "", "a", 4, 4)]

    assert replay(BUDGET, used, HOUR) == Refusals(4, 4, frozenset({"a"}), 1, 1, HOUR)


@pytest.mark.parametrize(
    ("budget", "known"),
    [
        (BUDGET, True),
        (BUDGET._replace(window=Window.TOTAL), True),
        (BUDGET._replace(axis=Axis.CONCURRENT), False),
        (BUDGET._replace(window=Window.MINUTE), False),
        (BUDGET._replace(each="conversation"), False),
        (BUDGET._replace(scope=(("conversation", "c"),)), False),
    ],
)
def test_it_says_what_sums_do_not_know(budget: Budget, known: bool) -> None:
    """Where sums cannot say what would have been refused, the reason is given instead of figures."""
    assert (why_unknown(budget) is None) == known


USED = st.lists(
    st.builds(
        lambda hour, each, key, calls, amount: UsedThen(hour * HOUR, each, key, calls, amount * calls),
        st.integers(0, 100),
        st.sampled_from("xy"),
        st.sampled_from("abc"),
        st.integers(0, 50),
        st.integers(0, 9),
    ),
    max_size=30,
)


@given(USED, st.integers(0, 500), st.integers(0, 500))
def test_a_larger_limit_on_like_calls_refuses_no_more(used: list[UsedThen], limit: int, more: int) -> None:
    """Where every call takes one, a larger limit never refuses more, and what passes never exceeds the limit."""
    like = sorted((one._replace(amount=one.calls) for one in used), key=lambda one: one.start_us)
    small, large = (replay(BUDGET._replace(limit=one), like, 0) for one in (limit, limit + more))

    assert large.refused <= small.refused <= small.calls
    windows = {(one.each, one.start_us // DAY_US) for one in like}
    assert small.calls - small.refused <= limit * len(windows)
