"""The axes of budgets: how much a hold, an event or a sum of events counts on each.

A new axis is a member of `Axis` and a line in each function here: mypy names those that do not know it yet.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from pertoken.core.budgets import Axis, Budget
from pertoken.core.events import Event, OfCorrection
from pertoken.core.holds import Hold
from pertoken.core.reporting import SUMS
from pertoken.core.usage import tokens_total

# An enum's member costs three look-ups where it is used.
MONEY: Final = Axis.MONEY
TOKENS: Final = Axis.TOKENS
REQUESTS: Final = Axis.REQUESTS
CONCURRENT: Final = Axis.CONCURRENT

_CALLS, _INPUT, _OUTPUT, _COST = map(SUMS.index, ("calls", "input_tokens", "output_tokens", "cost_picos"))


class Needs(NamedTuple):
    """What a hold, or its growth, takes of the budgets that it touches."""

    money_picos: int
    currency: str
    tokens: int
    calls: int


def needed(needs: Needs, budget: Budget) -> int:
    """Return what is needed of a budget: of money in another currency than its own, nothing."""
    axis = budget.axis
    if axis is MONEY:
        return needs.money_picos if needs.currency == budget.currency else 0
    if axis is TOKENS:
        return needs.tokens
    if axis is REQUESTS or axis is CONCURRENT:
        return needs.calls
    assert_never(axis)


def held_amount(hold: Hold, budget: Budget) -> int:
    """Return what an open hold takes of a budget: of money in another currency than its own, nothing."""
    axis = budget.axis
    if axis is MONEY:
        return hold.amount_picos if hold.currency == budget.currency else 0
    if axis is TOKENS:
        return hold.tokens
    if axis is REQUESTS or axis is CONCURRENT:
        return 1
    assert_never(axis)


def spent_amount(event: Event, budget: Budget) -> int:
    """Return what an event spends of a budget: of one in another currency than its cost, nothing."""
    axis = budget.axis
    if axis is MONEY:
        return event.cost_picos if event.currency == budget.currency else 0
    if axis is TOKENS:
        return tokens_total(event.quantities)
    if axis is REQUESTS:
        return 0 if isinstance(event.of, OfCorrection) else 1
    if axis is CONCURRENT:
        return 0  # what has ended is not under way
    assert_never(axis)


def spent_of_sums(sums: Sequence[int], currency: str, budget: Budget) -> int:
    """Return what events of one currency spend of a budget, from their sums in the order of SUMS."""
    axis = budget.axis
    if axis is MONEY:
        return sums[_COST] if currency == budget.currency else 0
    if axis is TOKENS:
        return sums[_INPUT] + sums[_OUTPUT]
    if axis is REQUESTS:
        return sums[_CALLS]
    if axis is CONCURRENT:
        return 0
    assert_never(axis)
