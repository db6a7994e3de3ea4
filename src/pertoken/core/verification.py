"""Re-deriving from first entries what counters, roll-ups and balances must be.

The rule in one line: a counter is what its budget's events spent in its window, plus what open holds hold there. The
same derivation fills the counters of a new budget, so the two can never drift apart.
"""

from collections.abc import Iterable

from pertoken.core.budgets import BudgetIndex, CounterKey
from pertoken.core.ledger import Event, Hold, held_amount, spent_amount


def derive_counters(
    index: BudgetIndex, events: Iterable[Event], open_holds: Iterable[Hold]
) -> dict[CounterKey, tuple[int, int]]:
    """Return (held, spent) of every counter that `events` and `open_holds` touch."""
    held: dict[CounterKey, int] = {}
    spent: dict[CounterKey, int] = {}
    for event in events:
        for touch in index.touched(event.attribution, event.opened_at_us):
            spent[touch.key] = spent.get(touch.key, 0) + spent_amount(event, touch.budget.axis)
    for hold in open_holds:
        for touch in index.touched(hold.attribution, hold.opened_at_us):
            held[touch.key] = held.get(touch.key, 0) + held_amount(hold, touch.budget.axis)
    return {key: (held.get(key, 0), spent.get(key, 0)) for key in held.keys() | spent.keys()}
