"""Which hold a call needs, and what is tried where a budget has less left. Tables of small numbers."""

from typing import NamedTuple

import pytest
from tests.core.test_ceilings import rates

from pertoken.core.admission import (
    Bound,
    Cheaper,
    amount_of,
    bound_of_bytes,
    cap_to_write,
    cheaper_or_refused,
    closer,
    explain_refusal,
    in_another_currency,
    may_shrink,
    smaller,
)
from pertoken.core.axes import AXES
from pertoken.core.bounds import FAMILIES, Family, Limits
from pertoken.core.budgets import Attribution, Axis, Budget, BudgetIndex, CounterKey, Mode, Step, Touch
from pertoken.core.commands import Refused, Remaining
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.periods import FOREVER_US, Window
from pertoken.core.rates import Rates
from pertoken.core.trust import WHOLE

PRICES = rates((0, {"input_tokens": 1, "output_tokens": 10}))


class Asking(NamedTuple):
    """A call that wants to be admitted."""

    facts: RequestFacts = RequestFacts("m")
    model: str = "m"
    rates: tuple[Rates, ...] = (PRICES,)
    family: Family = FAMILIES["o200k"]
    limits: Limits = Limits(1_000, 10_000)
    pictures: tuple[str, ...] = ()
    cheaper: str | None = None


def blocked(left: int, axis: Axis = Axis.MONEY, steps: tuple[Step, ...] = (Step.CAP,)) -> Remaining:
    """Return a counter of a budget that has so much left."""
    budget = Budget("b", "all", axis, 10**6, Window.TOTAL, steps=steps)
    return Remaining(Touch(CounterKey("b", "", 0), budget, FOREVER_US), 0, 10**6 - left)


def counted(output_max: int = 1_000) -> Bound:
    """Return a bound of 100 counted input tokens."""
    return Bound({"input_tokens": 100, "output_tokens": output_max}, output_max, counted=True)


def test_the_bound_that_costs_nothing() -> None:
    """Each byte may be a token, beside the frame; the output is all that the model makes, or the client's cap."""
    ask = Asking()
    bound = bound_of_bytes(ask, 100, WHOLE)

    assert bound == Bound({"input_tokens": 116, "output_tokens": 1_000}, 1_000, counted=False)
    assert amount_of(ask, bound) == 116 + 1_000 * 10
    asked = Asking(RequestFacts("m", output_max=50, choices=2))
    assert bound_of_bytes(asked, 100, WHOLE).quantities["output_tokens"] == 100


def test_counting_makes_no_bound_larger() -> None:
    """A count by another tokenizer may be above the bytes; the lower of the two holds."""
    assert closer(counted(), 40).quantities == {"input_tokens": 40, "output_tokens": 1_000}
    assert closer(counted()._replace(counted=False), 140) == counted()


@pytest.mark.parametrize(("asked", "held", "written"), [(None, 1_000, None), (None, 400, 400), (500, 500, None)])
def test_a_cap_is_written_where_less_is_held(asked: int | None, held: int, written: int | None) -> None:
    """Only a cap makes a bound true that is below what the model could make."""
    assert cap_to_write(Asking(RequestFacts("m", output_max=asked)), counted(held)) == written


@pytest.mark.parametrize("axis", Axis)
def test_a_smaller_hold_is_one_call_all_the_same(axis: Axis) -> None:
    """Only of money and tokens does a smaller hold take less."""
    assert may_shrink(blocked(1, axis)) == (axis in (Axis.MONEY, Axis.TOKENS))


@pytest.mark.parametrize(
    ("ask", "blocker", "was_loose", "output_max"),
    [
        (Asking(), blocked(2_100), False, 200),  # 100 for the input, 10 for each token of output
        (Asking(), blocked(300, Axis.TOKENS), False, 200),
        (Asking(), blocked(200), False, None),  # 10 tokens are no answer
        (Asking(), blocked(2_100, steps=()), False, None),
        (Asking(), blocked(2_100, steps=()), True, 1_000),  # counting may have been enough
        (Asking(RequestFacts("m", output_max=900)), blocked(2_100), True, 1_000),
        (Asking(RequestFacts("m", output_min=300)), blocked(2_100), False, None),
        (Asking(cheaper="c"), blocked(2_100, steps=(Step.CHEAPER, Step.CAP)), False, None),
        (Asking(cheaper="c"), blocked(2_100, steps=(Step.CAP, Step.CHEAPER)), False, 200),
        (Asking(), blocked(2_100, steps=(Step.CHEAPER, Step.CAP)), False, 200),  # there is no cheaper model
    ],
)
def test_what_is_tried_next(ask: Asking, blocker: Remaining, was_loose: bool, output_max: int | None) -> None:
    """The output is capped to what is left where the budget says so, in the order of its steps."""
    bound = smaller(ask, counted(), blocker, was_loose=was_loose)

    assert (None if bound is None else bound.output_max) == output_max


@pytest.mark.parametrize("axis", [axis for axis in Axis if AXES[axis].shrinks])
def test_an_answer_without_output_cannot_be_capped(axis: Axis) -> None:
    """An embedding has no output and its model no price for one: it is counted, and then does not fit."""
    ask = Asking(RequestFacts("m", output_max=0), rates=(rates((0, {"input_tokens": 1})),))
    bound = counted(output_max=0)

    assert smaller(ask, bound, blocked(50, axis), was_loose=True) == bound
    assert smaller(ask, bound, blocked(50, axis), was_loose=False) is None


def test_what_does_not_fit_goes_to_a_cheaper_model_or_is_refused() -> None:
    """A cheaper model helps a budget of money only; a refusal names the budget."""
    steps = (Step.CHEAPER,)
    money, tokens = (Refused(blocked(5, axis, steps), 10) for axis in (Axis.MONEY, Axis.TOKENS))

    assert cheaper_or_refused(Asking(cheaper="c"), money, 0) == Cheaper("c")
    for ask, refused, code in (
        (Asking(), money, Code.BUDGET_EXCEEDED),
        (Asking(cheaper="c"), tokens, Code.RATE_LIMITED),
    ):
        refusal = cheaper_or_refused(ask, refused, 0)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.budget) == (code, "all")


@pytest.mark.parametrize(("left", "says"), [(0, "is used up"), (5, "has not enough left")])
def test_a_refusal_for_size_does_not_say_that_a_budget_is_used_up(left: int, says: str) -> None:
    """What is used up has nothing left; a call that is too large for what is left is told so."""
    refusal = explain_refusal(Refused(blocked(left), 10), 0)

    assert says in refusal.message


@pytest.mark.parametrize(
    ("mode", "currency", "is_refused"), [(Mode.HARD, "EUR", True), (Mode.SOFT, "EUR", False), (Mode.HARD, "USD", False)]
)
def test_a_hard_budget_in_another_currency_refuses(mode: Mode, currency: str, is_refused: bool) -> None:
    """No rate of exchange is known, so nobody could say what the call takes of it."""
    budget = Budget("b", "all", Axis.MONEY, 1, Window.TOTAL, mode=mode, currency=currency)
    refusal = in_another_currency(Asking(), Attribution("k"), 0, BudgetIndex([budget]))

    assert (refusal is not None and refusal.code is Code.BUDGET_EXCEEDED) == is_refused
    assert is_refused == (refusal is not None and "'all' is in EUR" in refusal.message)
