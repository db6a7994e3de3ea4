"""What a budget would have refused of what was used, had it been in force. Pure.

It goes through sums of usage in the order of time. Within one span of time all calls of a counter are taken as equal:
as many pass as fit into what is left, the rest is refused, and what is refused spends nothing. So it says about how
many, not which.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from pertoken.core import periods
from pertoken.core.axes import AXES
from pertoken.core.budgets import Budget, CounterKey
from pertoken.core.periods import Window

UNKNOWN_WINDOWS = frozenset({Window.MINUTE})  # shorter than any sum that is kept


class UsedThen(NamedTuple):
    """What one key used in one span of time, counted for one value of `each`; the amount is on the budget's axis."""

    start_us: int
    each: str
    key: str
    calls: int
    amount: int


class Refusals(NamedTuple):
    """How much of what was used would have been refused."""

    calls: int
    refused: int
    keys: frozenset[str]
    days: int  # on which anything was refused
    values: int  # of `each` that were refused anything
    first_us: int | None  # when it would have begun


def why_unknown(budget: Budget) -> str | None:
    """Return why sums of usage cannot say what a budget would have refused, None where they can."""
    row = AXES[budget.axis]
    if row.is_gauge:
        return f"sums of usage do not say how many {row.unit} were under way at once"
    if budget.window in UNKNOWN_WINDOWS:
        return "sums of usage are kept by quarters of an hour, and the window is shorter"
    if "conversation" in (budget.each, *dict(budget.scope)):
        return "sums of usage do not know conversations"
    return None


def replay(budget: Budget, used: Iterable[UsedThen], since_us: int) -> Refusals:
    """Return what `budget` would have refused from `since_us` on; `used` is in the order of time.

    What was used before `since_us` fills the counters of windows that were under way then.
    """
    spent: dict[CounterKey, int] = {}
    calls = refused = 0
    keys: set[str] = set()
    days: set[int] = set()
    values: set[str] = set()
    first_us = None
    for start_us, of_counter in _by_counter(used):
        counter = CounterKey(
            budget.budget_id, of_counter[0].each, periods.bounds(budget.window, start_us, budget.zone)[0]
        )
        before = spent.get(counter, 0)
        wanted = sum(one.amount for one in of_counter)
        here = sum(one.calls for one in of_counter)
        passed = here if start_us < since_us else _passing(here, wanted, budget.limit - before)
        spent[counter] = before + (wanted if passed == here else wanted * passed // here)
        if start_us < since_us:
            continue
        calls += here
        if passed < here:
            refused += here - passed
            keys.update(_most_likely(of_counter, here - passed))
            days.add(periods.bounds(Window.DAY, start_us, budget.zone)[0])
            values.add(of_counter[0].each)
            first_us = start_us if first_us is None else first_us
    return Refusals(calls, refused, frozenset(keys), len(days), len(values), first_us)


def _by_counter(used: Iterable[UsedThen]) -> Iterator[tuple[int, list[UsedThen]]]:
    """Yield the keys that shared a counter in a span, span by span."""
    for start_us, span in groupby(used, key=lambda one: one.start_us):
        by_value: dict[str, list[UsedThen]] = {}
        for one in span:
            by_value.setdefault(one.each, []).append(one)
        for some in by_value.values():
            yield start_us, some


def _passing(calls: int, amount: int, room: int) -> int:
    """Return how many of equal calls fit into what is left."""
    if amount <= max(room, 0):
        return calls
    return max(room, 0) * calls // amount


def _most_likely(used: list[UsedThen], refused: int) -> list[str]:
    """Return the keys with refused calls, those with the most calls first, and at most one key for each call."""
    called = sorted((one for one in used if one.calls > 0 and one.key), key=lambda one: (-one.calls, one.key))
    return [one.key for one in called[:refused]]
