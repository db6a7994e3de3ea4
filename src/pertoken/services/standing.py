"""How budgets stand in their current window, few figures each: for looking at hundreds of them at once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pertoken.core import periods
from pertoken.core.budgets import Budget, BudgetIndex, CounterKey
from pertoken.core.holds import Hold
from pertoken.core.periods import DAY_US, Window
from pertoken.core.refusals import HOUR_US
from pertoken.ports.archive import CountersView, HoldsView, RefusedView, StandingView

REFUSALS_US = 31 * DAY_US  # how far back refusals are counted, for windows that began before
WINDOWS_SHOWN = 24


class BudgetStanding(NamedTuple):
    """A budget in its current window. Of one for each value, the figures are those of the fullest value."""

    budget: Budget
    start_us: int
    end_us: int
    spent: int
    held: int
    value: str  # whose figures these are, empty where the budget is one for all
    values: int  # that were counted
    full: int  # of them, those that have nothing left
    refused: int  # calls, since the window began

    @property
    def left(self) -> int:
        """What is left, 0 where more was spent than the limit."""
        return max(0, self.budget.limit - self.spent - self.held)


class WindowSum(NamedTuple):
    """What one window of a budget held and spent, of all values together."""

    start_us: int
    end_us: int
    spent: int
    held: int
    values: int


def standings(archive: StandingView, now_us: int) -> list[BudgetStanding]:
    """Return how every budget stands that may be seen, by name."""
    budgets = archive.budgets()
    windows = {one.budget_id: periods.bounds(one.window, now_us, one.zone) for one in budgets}
    counters: dict[str, list[tuple[str, int, int]]] = {}
    starts = [(budget_id, start_us) for budget_id, (start_us, _) in windows.items()]
    for key, (held, spent) in archive.counters_in(starts).items():
        counters.setdefault(key.budget_id, []).append((key.each, held, spent))
    refused = _refused(archive, {one.name: windows[one.budget_id][0] for one in budgets}, now_us)
    found = [_standing(one, windows[one.budget_id], counters.get(one.budget_id, []), refused) for one in budgets]
    return sorted(found, key=lambda one: (one.budget.name.lower(), one.budget.budget_id))


def _standing(
    budget: Budget, window: tuple[int, int], counted: Sequence[tuple[str, int, int]], refused: dict[str, int]
) -> BudgetStanding:
    value, held, spent = max(counted, key=lambda one: one[1] + one[2], default=("", 0, 0))
    full = sum(1 for _, one_held, one_spent in counted if one_held + one_spent >= budget.limit)
    return BudgetStanding(budget, *window, spent, held, value, len(counted), full, refused.get(budget.name, 0))


def _refused(archive: RefusedView, starts: dict[str, int], now_us: int) -> dict[str, int]:
    """Return how many calls budgets refused since their windows began, by name, of the last 31 days."""
    found: dict[str, int] = {}
    since_us = now_us - REFUSALS_US
    for kind, calls in archive.refused_counts(since_us - since_us % HOUR_US, now_us + HOUR_US).items():
        if kind.budget in starts and kind.hour_us + HOUR_US > starts[kind.budget]:
            found[kind.budget] = found.get(kind.budget, 0) + calls
    return found


def window_sums(archive: CountersView, budget: Budget, now_us: int) -> list[WindowSum]:
    """Return what the last windows of a budget held and spent, the current one first, as far as counters are kept."""
    windows = list(_windows_back(budget, now_us))
    sums: dict[int, tuple[int, int, int]] = {}
    for key, (held, spent) in archive.counters_in([(budget.budget_id, start_us) for start_us, _ in windows]).items():
        before = sums.get(key.window_start_us, (0, 0, 0))
        sums[key.window_start_us] = (before[0] + spent, before[1] + held, before[2] + 1)
    found = [WindowSum(start_us, end_us, *sums.get(start_us, (0, 0, 0))) for start_us, end_us in windows]
    kept = [at for at, one in enumerate(found) if one.values]
    return found[: max(kept, default=0) + 1]


def _windows_back(budget: Budget, now_us: int) -> Iterator[tuple[int, int]]:
    start_us, end_us = periods.bounds(budget.window, now_us, budget.zone)
    yield start_us, end_us
    if budget.window is Window.TOTAL:
        return
    for _ in range(WINDOWS_SHOWN - 1):
        start_us, end_us = periods.bounds(budget.window, start_us - 1, budget.zone)
        yield start_us, end_us


def values_of(archive: CountersView, budget: Budget, now_us: int) -> list[tuple[str, int, int]]:
    """Return (value, spent, held) of each counter of a budget in its current window."""
    start_us, _ = periods.bounds(budget.window, now_us, budget.zone)
    counters = archive.counters_in([(budget.budget_id, start_us)])
    return [(key.each, spent, held) for key, (held, spent) in counters.items()]


def holds_on(archive: HoldsView, budget: Budget) -> list[tuple[Hold, CounterKey]]:
    """Return the open holds on a budget, the newest first, each with the counter that it is held on."""
    index = BudgetIndex([budget])
    found = [
        (hold, touch.key)
        for hold in archive.open_holds()
        for touch in index.touched(hold.attribution, hold.opened_at_us)
    ]
    return sorted(found, key=lambda one: -one[0].opened_at_us)
