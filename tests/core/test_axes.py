"""What holds and events are to budgets, by axis."""

import pytest
from tests.factories import event, hold

from pertoken.core.axes import Needs, held_amount, needed, spent_amount, spent_of_sums
from pertoken.core.budgets import Axis, Budget
from pertoken.core.events import OfCorrection
from pertoken.core.periods import Window
from pertoken.core.reporting import event_sums

HOLD = hold("call_1")._replace(amount_picos=70, tokens=30)
EVENT = event(HOLD, 50)._replace(quantities={"input_tokens": 20, "output_tokens": 4})
CORRECTION = EVENT._replace(of=OfCorrection("call_1"), quantities={}, cost_picos=-5)
NEEDS = Needs(70, "USD", 30, 1)

# axis, currency of the budget; then what is needed by a hold, held, spent by an event, and spent by a correction
CASES = [
    (Axis.MONEY, "USD", 70, 70, 50, -5),
    (Axis.MONEY, "EUR", 0, 0, 0, 0),
    (Axis.TOKENS, "USD", 30, 30, 24, 0),
    (Axis.REQUESTS, "USD", 1, 1, 1, 0),
    (Axis.CONCURRENT, "USD", 1, 1, 0, 0),
]


@pytest.mark.parametrize(("axis", "currency", "need", "held", "spent", "corrected"), CASES)
def test_each_axis_counts_its_own(axis: Axis, currency: str, need: int, held: int, spent: int, corrected: int) -> None:
    """A budget counts of a hold, an event and a correction what its axis is about, and money in its own currency."""
    budget = Budget("b", "b", axis, 1_000, Window.TOTAL, currency=currency)

    assert needed(NEEDS, budget) == need
    assert held_amount(HOLD, budget) == held
    assert [spent_amount(one, budget) for one in (EVENT, CORRECTION)] == [spent, corrected]


@pytest.mark.parametrize("axis", Axis)
def test_sums_spend_what_their_events_do(axis: Axis) -> None:
    """What events spend together is what their sums spend, on every axis and for every budget's currency."""
    together = [sum(parts) for parts in zip(*map(event_sums, (EVENT, CORRECTION)), strict=True)]
    for currency in ("USD", "EUR"):
        budget = Budget("b", "b", axis, 1_000, Window.TOTAL, currency=currency)
        assert spent_of_sums(together, "USD", budget) == spent_amount(EVENT, budget) + spent_amount(CORRECTION, budget)


def test_every_axis_is_tried() -> None:
    """An axis that is new is missing in the cases above until it is written down."""
    assert {case[0] for case in CASES} == set(Axis)
