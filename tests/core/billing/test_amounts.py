"""What quantities cost: published examples, and laws."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.core.billing.makers import a_plan, billed, used

from pertoken.core.money import format_amount

CASES = yaml.safe_load((Path(__file__).parent / "charge_models.yaml").read_text())
PICOS = 10**12


@pytest.mark.parametrize(
    ("charge", "quantity", "amount"),
    [
        pytest.param(case["charge"], quantity, amount, id=f"{case['charge']['model']} {at}: {quantity}")
        for at, case in enumerate(CASES)
        for quantity, amount in case["amounts"].items()
    ],
)
def test_worked_values(charge: dict[str, Any], quantity: int, amount: str) -> None:
    """A quantity costs what the example says, and the lines add up to it."""
    bill = billed(a_plan(charge), used(quantity))

    assert bill.total_picos == Fraction(amount) * PICOS, format_amount(bill.total_picos)
    assert sum(line.amount_picos for line in bill.lines) == bill.total_picos


prices = st.integers(0, 5_000).map(lambda cents: f"{cents / 100:.2f}")
bounds = st.lists(st.integers(1, 300), min_size=1, max_size=4, unique=True).map(sorted)


@st.composite
def tiers(draw: st.DrawFn, *, flats: bool = True) -> list[dict[str, Any]]:
    """Return tiers as a plan file has them."""
    flat = prices if flats else st.just("0")
    made = [{"up_to": bound, "price": draw(prices), "flat": draw(flat)} for bound in draw(bounds)]
    return [*made, {"price": draw(prices), "flat": draw(flat)}]


def slowly(tiers: list[dict[str, Any]], quantity: int, *, volume: bool) -> Fraction:
    """Return what a quantity costs, unit by unit."""
    total, reached = Fraction(0), set()
    for unit in range(1, quantity + 1):
        decides = quantity if volume else unit
        at = next(at for at, tier in enumerate(tiers) if decides <= tier.get("up_to", decides))
        total += Fraction(tiers[at]["price"])
        reached.add(at)
    return total + sum(Fraction(tiers[at]["flat"]) for at in reached)


@given(tiers(), st.integers(0, 400), st.sampled_from(["graduated", "volume"]))
def test_tiers_cost_what_their_units_cost(tiers: list[dict[str, Any]], quantity: int, model: str) -> None:
    """A calculator that looks at each unit alone comes to the same."""
    bill = billed(a_plan({"model": model, "tiers": tiers}), used(quantity))

    assert bill.total_picos == slowly(tiers, quantity, volume=model == "volume") * PICOS


@given(tiers(flats=False), st.integers(0, 400))
def test_graduated_is_continuous(tiers: list[dict[str, Any]], quantity: int) -> None:
    """Without flat amounts, one unit more costs the price of one tier, at the edges too."""
    plan = a_plan({"model": "graduated", "tiers": tiers})
    more = billed(plan, used(quantity + 1)).total_picos - billed(plan, used(quantity)).total_picos

    assert more in {Fraction(tier["price"]) * PICOS for tier in tiers}


@given(st.integers(1, 100), st.integers(0, 1_000), prices)
def test_packages(size: int, quantity: int, price: str) -> None:
    """The packages hold the quantity, and one less would not."""
    bill = billed(a_plan({"model": "package", "price": price, "per": size}), used(quantity))
    packages = sum(line.quantity for line in bill.lines)

    assert (packages - 1) * size < quantity <= packages * size or quantity == packages == 0
    assert bill.total_picos == packages * Fraction(price) * PICOS
