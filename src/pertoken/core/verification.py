"""Computes from events what counters, roll-ups and balances must be.

The rule in one line: a counter is what its budget's events spent in its window, plus what open holds hold there. The
same derivation fills the counters of a new budget, so the two can never drift apart. A budget counts from the window on
in which it was set.
"""

from collections.abc import Mapping

from pertoken.core.axes import AXES
from pertoken.core.budgets import TAG_PREFIX, Budget, BudgetIndex, CounterKey
from pertoken.core.events import Event
from pertoken.core.holds import Hold
from pertoken.core.periods import Window
from pertoken.core.reporting import Sum, Total

CONVERSATION = "conversation"


class Counters:
    """Sums what events and open holds make of every counter they touch.

    `since_us`: for a budget, the start of the first window that counts; without it all do.
    """

    def __init__(self, index: BudgetIndex, since_us: Mapping[str, int] | None = None) -> None:
        self._index = index
        self._since_us = since_us or {}
        self._held: dict[CounterKey, int] = {}
        self._spent: dict[CounterKey, int] = {}

    def add_event(self, event: Event) -> None:
        """Add what an event spent."""
        for touch in self._index.touched(event.attribution, event.opened_at_us):
            if touch.key.window_start_us >= self._since_us.get(touch.key.budget_id, 0):
                self.add_spent(touch.key, AXES[touch.budget.axis].spent(event, touch.budget))

    def add_total(self, total: Total) -> None:
        """Add sums of events to the counters of windows without end."""
        for touch in self._index.touched(total.attribution, 0):
            if touch.budget.window is Window.TOTAL:
                spent = AXES[touch.budget.axis].spent_of_sums(total.sums, total.currency, touch.budget)
                self.add_spent(touch.key, spent)

    def add_spent(self, key: CounterKey, amount: int) -> None:
        """Add to what was spent."""
        self._spent[key] = self._spent.get(key, 0) + amount

    def add_hold(self, hold: Hold) -> None:
        """Add what an open hold holds."""
        for touch in self._index.touched(hold.attribution, hold.opened_at_us):
            held = AXES[touch.budget.axis].held(hold, touch.budget)
            self._held[touch.key] = self._held.get(touch.key, 0) + held

    def sums(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter touched."""
        return {
            key: (self._held.get(key, 0), self._spent.get(key, 0)) for key in self._held.keys() | self._spent.keys()
        }


def is_summed(budget: Budget) -> bool:
    """Tell whether roll-ups can say what a budget's windows have spent: they know no conversations and no minutes."""
    return budget.window is not Window.MINUTE and CONVERSATION not in (budget.each, *dict(budget.scope))


def spent_sum(budget: Budget, window_start_us: int, row: Sum) -> tuple[CounterKey, int] | None:
    """Return what sums of roll-ups, by the budget's `each` if it has one, add to a counter; None where it is no value.

    An event's roll-up is that of when it occurred; its window is that of when its call began, which is the same time.
    """
    each = "" if budget.each is None else row.values[0]
    if each is None or (not each and budget.each is not None and not budget.each.startswith(TAG_PREFIX)):
        return None
    spent = AXES[budget.axis].spent_of_sums(row.sums, row.currency, budget)
    return CounterKey(budget.budget_id, each, window_start_us), spent
