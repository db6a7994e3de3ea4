"""Bills: what is counted, and what never matters."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.billing.makers import a_plan, billed, used

from pertoken.core.billing.bill import Totals
from pertoken.core.billing.meters import CannotMeter, MeteredUse

PICOS = 10**12
LINEAR = (
    {"model": "unit", "price": "0.000003"},
    {"model": "matrix", "prices": [{"where": {"model": "gpt-4o"}, "price": "2"}, {"price": "3"}]},
    {"model": "markup", "price": "0.333", "meter": {"unit": "cost"}},
    {
        "model": "percentage",
        "price": "0.029",
        "least_per_event": "0.30",
        "most_per_event": "5",
        "meter": {"unit": "cost"},
    },
    {"model": "unit", "price": "0.01", "meter": {"unit": "calls", "where": {"customer": "acme"}}},
)
OTHERS = (
    {"model": "graduated", "tiers": [{"up_to": 100, "price": "2"}, {"price": "1", "flat": "3"}]},
    {"model": "volume", "tiers": [{"up_to": 100, "price": "2"}, {"price": "1"}], "included": 7},
    {"model": "package", "price": "3", "per": 9},
    {"model": "seat", "price": "7", "meter": {"field": "user", "aggregate": "unique"}},
    {"model": "unit", "price": "1", "meter": {"field": "tag:size", "aggregate": "max"}},
    {"model": "unit", "price": "1", "meter": {"field": "tag:size", "aggregate": "latest"}},
    {"model": "flat", "price": "20"},
)

events = st.lists(
    st.builds(
        used,
        st.integers(0, 200),
        st.integers(0, 50),
        model=st.sampled_from(["gpt-4o", "o1"]),
        customer=st.sampled_from(["acme", None]),
        user=st.sampled_from(["a", "b", "c"]),
        tags=st.integers(0, 9).map(lambda size: (("size", str(size)),)),
        currency=st.just("USD"),
        cost_picos=st.integers(0, 10**13),
    ),
    max_size=12,
)


@given(events, st.data())
def test_order_never_matters(found: list[MeteredUse], data: st.DataObject) -> None:
    """The same events in another order make the same bill."""
    plan = a_plan(*LINEAR, *OTHERS)

    assert billed(plan, *data.draw(st.permutations(found))) == billed(plan, *found)


@given(events, st.integers(0, 12))
def test_splitting_a_period_never_changes_a_linear_total(found: list[MeteredUse], at: int) -> None:
    """What each event decides alone adds up to the same, however the period is cut."""
    plan = a_plan(*LINEAR)
    parts = billed(plan, *found[:at]).total_picos + billed(plan, *found[at:]).total_picos

    assert parts == billed(plan, *found).total_picos


@given(events)
def test_rows_of_a_matrix_sum_to_the_whole(found: list[MeteredUse]) -> None:
    """Each unit is charged at one row: rows of the same price come to as much as a charge without rows."""
    rows = [{"where": {"model": "o*"}, "price": "2"}, {"where": {"user": ["a", "b"]}, "price": "2"}, {"price": "2"}]
    matrix, whole = a_plan({"model": "matrix", "prices": rows}), a_plan({"model": "unit", "price": "2"})

    assert billed(matrix, *found).total_picos == billed(whole, *found).total_picos


@given(events)
def test_lines_say_what_makes_them(found: list[MeteredUse]) -> None:
    """MeteredQuantity times unit amount is the amount of each line, to a pico an event."""
    for line in billed(a_plan(*LINEAR, *OTHERS), *found).lines:
        assert abs(line.quantity * line.unit_amount * PICOS - line.amount_picos) <= len(found)


CACHED = used(units={"input_tokens": 9, "cache_read_tokens": 4})
SMALL, LARGE = used(at_us=2, tags=(("mb", "1.5"),)), used(at_us=1, tags=(("mb", "2"),))
METERED: list[tuple[dict[str, Any], list[MeteredUse], str]] = [
    ({"unit": "calls"}, [used(5), used(7)], "2"),
    ({"unit": "output_tokens"}, [used(5), used(7)], "12"),
    ({"unit": "input_tokens"}, [CACHED], "9"),
    (
        {"unit": "input_tokens", "without": ["cache_read_tokens"]},
        [CACHED],
        "5",
    ),
    ({"unit": "calls", "where": {"model": ["gpt-4o", "x"]}}, [used(), used(model="o1")], "1"),
    ({"unit": "calls", "where": {"model": "o1*"}}, [used(), used(model="o1-mini")], "1"),
    ({"unit": "calls", "where": {"customer": "a"}}, [used(), used(customer="a")], "1"),
    (
        {"unit": "calls", "where": {"tag:env": "prod"}},
        [used(tags=(("env", "prod"),)), used(tags=(("env", "test"),))],
        "1",
    ),
    ({"unit": "calls", "where": {"service_tier": "flex"}}, [used(service_tier="flex"), used()], "1"),
    ({"field": "tag:mb", "aggregate": "sum"}, [SMALL, LARGE, used()], "3.5"),
    ({"field": "mb", "aggregate": "sum"}, [SMALL], "1.5"),
    ({"field": "tag:mb", "aggregate": "max"}, [SMALL, LARGE], "2"),
    ({"field": "tag:mb", "aggregate": "count"}, [used(tags=(("mb", "x"),)), used()], "1"),
    (
        {"field": "tag:n", "aggregate": "latest"},
        [used(at_us=2, tags=(("n", "3"),)), used(at_us=1, tags=(("n", "9"),))],
        "3",
    ),
    ({"field": "user", "aggregate": "unique"}, [used(user="a"), used(user="b"), used(user="a"), used()], "2"),
    ({"field": "output_tokens", "aggregate": "max"}, [used(5), used(7)], "7"),
]


@pytest.mark.parametrize(("meter", "found", "quantity"), METERED, ids=[str(meter) for meter, _, _ in METERED])
def test_what_a_meter_counts(meter: dict[str, Any], found: list[MeteredUse], quantity: str) -> None:
    """A meter counts what it selects, by its aggregate."""
    [line] = billed(a_plan({"model": "unit", "price": "1", "meter": meter}), *found).lines

    assert line.quantity == Fraction(quantity)


WRONG: list[tuple[dict[str, Any], MeteredUse, str]] = [
    ({"field": "tag:mb", "aggregate": "sum"}, used(tags=(("mb", "many"),)), "tag:mb is not a number: 'many'"),
    ({"field": "tag:mb", "aggregate": "max"}, used(tags=(("mb", "-1"),)), "tag:mb is negative: -1"),
    ({"field": "tag:mb", "aggregate": "sum"}, used(tags=(("mb", "NaN"),)), "tag:mb is not a number: 'NaN'"),
    ({"field": "tag:mb", "aggregate": "latest"}, used(tags=(("mb", "1e99"),)), "tag:mb is not between 0 and"),
    (
        {"unit": "input_tokens", "without": ["cache_read_tokens"]},
        used(units={"input_tokens": 1, "cache_read_tokens": 2}),
        "input_tokens is less than what is inside it",
    ),
]


@pytest.mark.parametrize(("meter", "event", "why"), WRONG, ids=[why for _, _, why in WRONG])
def test_what_cannot_be_counted(meter: dict[str, Any], event: MeteredUse, why: str) -> None:
    """A value that is no quantity is said, and the event then counts at no charge."""
    plan = a_plan(
        {"model": "unit", "price": "1", "meter": {"unit": "calls"}}, {"model": "unit", "price": "1", "meter": meter}
    )
    totals = Totals(plan)
    with pytest.raises(CannotMeter) as refused:
        totals.add(event)

    assert str(refused.value).startswith(why)
    assert totals.bill().lines == ()


def test_cost_in_another_currency() -> None:
    """A plan does not charge a cost in another currency as if it were its own."""
    plan = a_plan({"model": "markup", "price": "0.1", "meter": {"unit": "cost"}})
    with pytest.raises(CannotMeter, match="its cost is in EUR, the plan is in USD"):
        billed(plan, used(currency="EUR", cost_picos=1))


def test_a_part_of_a_seat() -> None:
    """Seats are whole."""
    plan = a_plan({"model": "seat", "price": "7", "meter": {"field": "tag:seats", "aggregate": "max"}})
    with pytest.raises(CannotMeter, match="5/2 is no whole number of seats"):
        billed(plan, used(tags=(("seats", "2.5"),)))


@pytest.mark.parametrize(("quantity", "total"), [(0, "100"), (99, "100"), (100, "100"), (101, "101")])
def test_a_commitment(quantity: int, total: str) -> None:
    """What is missing from a commitment is charged, and not more."""
    bill = billed(a_plan({"model": "unit", "price": "1"}, commitment="100"), used(quantity))

    assert bill.total_picos == int(total) * PICOS


PER_EVENT = [("1", "0.3"), ("100", "2.9"), ("1000", "5"), ("0", "0.3")]


@pytest.mark.parametrize(("cost", "amount"), PER_EVENT)
def test_percentage_within_bounds_for_each_event(cost: str, amount: str) -> None:
    """A percentage of 2.9 % is at least 0.30 and at most 5 for each event."""
    plan = a_plan(LINEAR[3])
    event = used(currency="USD", cost_picos=int(cost) * PICOS)

    assert billed(plan, event, event).total_picos == 2 * Fraction(amount) * PICOS


def test_a_markup_below_cost() -> None:
    """A negative markup is a discount on cost."""
    plan = a_plan({"model": "markup", "price": "-0.25", "meter": {"unit": "cost"}})

    assert billed(plan, used(currency="USD", cost_picos=4 * PICOS)).total_picos == 3 * PICOS
