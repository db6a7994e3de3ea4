"""The axes of budgets: a table with one row for each, which says all that sets it apart from the others.

A new axis is a member of `Axis` and a row here, with a class for how it counts where no other axis counts like it.
Nothing else changes: whoever must tell axes apart asks their rows. mypy refuses a row that lacks a field or a method,
and the program does not start where an axis has no row. `tests/core/made_up` adds an axis and uses it.
"""

# ruff: noqa: ARG002 - one axis looks at the currency, another does not

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple

from pertoken.core.budgets import Axis, Budget
from pertoken.core.events import Event, is_correction
from pertoken.core.holds import Hold
from pertoken.core.money import format_amount
from pertoken.core.reporting import SUMS
from pertoken.core.usage import tokens_total

_CALLS, _INPUT, _OUTPUT, _COST = map(SUMS.index, ("calls", "input_tokens", "output_tokens", "cost_picos"))


class Needs(NamedTuple):
    """What a hold, or its growth, takes of the budgets that it touches."""

    money_picos: int
    currency: str
    tokens: int
    calls: int


class AxisRow(ABC):
    """What sets budgets on one axis apart: fields that others ask, and how much of a budget is needed, held and spent.

    What events spend one by one is what their sums spend. A class, not functions in fields: a third faster compiled.
    """

    def __init__(self, unit: str, *, is_money: bool, is_gauge: bool, shrinks: bool, gets_cheaper: bool) -> None:
        self.unit = unit  # what is counted; of money, the budget's currency says it
        self.is_money = is_money  # amounts are picos of the budget's currency
        self.is_gauge = is_gauge  # only what is under way counts: no window resets it, and what has ended spent nothing
        self.shrinks = shrinks  # a smaller hold takes less: to count tokens and to cap the output can help
        self.gets_cheaper = gets_cheaper  # the same call takes less with a cheaper model

    @abstractmethod
    def needed(self, needs: Needs, budget: Budget) -> int:
        """Return what is needed of a budget."""

    @abstractmethod
    def held(self, hold: Hold, budget: Budget) -> int:
        """Return what an open hold takes of a budget."""

    @abstractmethod
    def spent(self, event: Event, budget: Budget) -> int:
        """Return what an event spends of a budget."""

    @abstractmethod
    def spent_of_sums(self, sums: Sequence[int], currency: str, budget: Budget) -> int:
        """Return what events of one currency spend of a budget, from their sums in the order of SUMS."""


class _Money(AxisRow):
    """Money counts in the budget's own currency alone: of any other, nothing."""

    def needed(self, needs: Needs, budget: Budget) -> int:
        return needs.money_picos if needs.currency == budget.currency else 0

    def held(self, hold: Hold, budget: Budget) -> int:
        return hold.amount_picos if hold.currency == budget.currency else 0

    def spent(self, event: Event, budget: Budget) -> int:
        return event.cost_picos if event.currency == budget.currency else 0

    def spent_of_sums(self, sums: Sequence[int], currency: str, budget: Budget) -> int:
        return sums[_COST] if currency == budget.currency else 0


class _Tokens(AxisRow):
    """Tokens of input and output."""

    def needed(self, needs: Needs, budget: Budget) -> int:
        return needs.tokens

    def held(self, hold: Hold, budget: Budget) -> int:
        return hold.tokens

    def spent(self, event: Event, budget: Budget) -> int:
        return tokens_total(event.quantities)

    def spent_of_sums(self, sums: Sequence[int], currency: str, budget: Budget) -> int:
        return sums[_INPUT] + sums[_OUTPUT]


class _Calls(AxisRow):
    """Calls: a correction is none."""

    def needed(self, needs: Needs, budget: Budget) -> int:
        return needs.calls

    def held(self, hold: Hold, budget: Budget) -> int:
        return 1

    def spent(self, event: Event, budget: Budget) -> int:
        return 0 if is_correction(event) else 1

    def spent_of_sums(self, sums: Sequence[int], currency: str, budget: Budget) -> int:
        return sums[_CALLS]


class _CallsUnderWay(_Calls):
    """Calls as long as they last."""

    def spent(self, event: Event, budget: Budget) -> int:
        return 0

    def spent_of_sums(self, sums: Sequence[int], currency: str, budget: Budget) -> int:
        return 0


AXES: Final[dict[Axis, AxisRow]] = {
    Axis.MONEY: _Money("money", is_money=True, is_gauge=False, shrinks=True, gets_cheaper=True),
    Axis.TOKENS: _Tokens("tokens", is_money=False, is_gauge=False, shrinks=True, gets_cheaper=False),
    Axis.REQUESTS: _Calls("requests", is_money=False, is_gauge=False, shrinks=False, gets_cheaper=False),
    Axis.CONCURRENT: _CallsUnderWay("calls", is_money=False, is_gauge=True, shrinks=False, gets_cheaper=False),
}

assert AXES.keys() == set(Axis), f"no row for: {', '.join(sorted(set(Axis) - AXES.keys()))}"


def written(amount: int, budget: Budget) -> str | int:
    """Return an amount of what a budget counts, as it is written: money as a decimal text, anything else as it is."""
    return format_amount(amount, budget.currency) if AXES[budget.axis].is_money else amount


def currency_in(budget: Budget) -> str | None:
    """Return the currency that a budget counts in, None where it does not count money."""
    return budget.currency if AXES[budget.axis].is_money else None
