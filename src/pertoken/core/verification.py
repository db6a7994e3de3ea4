"""Re-deriving from first entries what counters, roll-ups and balances must be.

The rule in one line: a counter is what its budget's events spent in its window, plus what open holds hold there. The
same derivation fills the counters of a new budget, so the two can never drift apart.
"""

from pertoken.core.budgets import BudgetIndex, CounterKey
from pertoken.core.ledger import Event, Hold, held_amount, spent_amount


class Counters:
    """Sums what events and open holds make of every counter they touch."""

    def __init__(self, index: BudgetIndex) -> None:
        self._index = index
        self._held: dict[CounterKey, int] = {}
        self._spent: dict[CounterKey, int] = {}

    def add_event(self, event: Event) -> None:
        """Add what an event spent."""
        for touch in self._index.touched(event.attribution, event.opened_at_us):
            self._spent[touch.key] = self._spent.get(touch.key, 0) + spent_amount(event, touch.budget.axis)

    def add_hold(self, hold: Hold) -> None:
        """Add what an open hold holds."""
        for touch in self._index.touched(hold.attribution, hold.opened_at_us):
            self._held[touch.key] = self._held.get(touch.key, 0) + held_amount(hold, touch.budget.axis)

    def sums(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter touched."""
        return {
            key: (self._held.get(key, 0), self._spent.get(key, 0)) for key in self._held.keys() | self._spent.keys()
        }
