"""Rating is exact, and a quote is never below it."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import price_row

from pertoken.core.money import format_amount, parse_amount
from pertoken.core.periods import Window
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import PriceRow, Quota
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, Unpriced, quote, rate


def rates_of(prices: dict[str, str], tiers: dict[int, dict[str, str]] | None = None, **fields: Any) -> Rates:
    """Return rates in USD per million tokens, or per thousand for searches."""
    rows = []
    for above, units in {0: prices, **(tiers or {})}.items():
        for unit, amount in units.items():
            per = 1_000 if unit == "web_searches" else 10**6
            named = {"price_id": f"pr_{unit}_{above}", "per": per, "input_above": above or None, **fields}
            rows.append(price_row(unit, parse_amount(amount), **named))
    rates = PriceBook(rows).resolve("p", "m", 0)
    assert isinstance(rates, Rates)
    return rates


SOL = {"input_tokens": "4", "cache_read_tokens": "0.4", "cache_write_tokens": "5", "output_tokens": "20"}
OPUS = {
    "input_tokens": "4", "cache_write_tokens": "5", "cache_write_1h_tokens": "8", "cache_read_tokens": "0.20",
    "output_tokens": "20", "web_searches": "10",
}  # fmt: skip
GEMINI = {"input_tokens": "1.25", "cache_read_tokens": "0.125", "output_tokens": "10"}
GEMINI_LONG = {200_000: {"input_tokens": "2.5", "cache_read_tokens": "0.25", "output_tokens": "15"}}


@pytest.mark.parametrize(
    ("prices", "tiers", "usage", "cost"),
    [
        (SOL, None, {"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400,
                     "output_tokens": 300, "reasoning_tokens": 200}, "0.0096"),
        (OPUS, None, {"input_tokens": 6_100, "cache_read_tokens": 5_000, "cache_write_tokens": 1_000,
                      "cache_write_1h_tokens": 400, "output_tokens": 200, "web_searches": 2}, "0.0316"),
        (GEMINI, GEMINI_LONG, {"input_tokens": 250_000, "cache_read_tokens": 50_000, "output_tokens": 4_000,
                               "reasoning_tokens": 3_000}, "0.5725"),
        (GEMINI, GEMINI_LONG, {"input_tokens": 200_000, "output_tokens": 1_000}, "0.26"),
        ({"input_tokens": "0.02"}, None, {"input_tokens": 1, "output_tokens": 0}, "0.00000002"),
        ({"input_tokens": "0", "output_tokens": "0"}, None, {"input_tokens": 9, "output_tokens": 9}, "0"),
    ],
)  # fmt: skip
def test_worked_examples(
    prices: dict[str, str], tiers: dict[int, dict[str, str]] | None, usage: dict[str, int], cost: str
) -> None:
    """Providers' own examples come out to the last digit, and the lines add up."""
    rated = rate(usage, rates_of(prices, tiers))

    assert isinstance(rated, Rated)
    assert format_amount(rated.cost_picos) == cost
    assert sum(line.amount_picos for line in rated.lines) == rated.cost_picos


def test_a_unit_without_a_price_of_its_own_takes_its_containers() -> None:
    """Reasoning is output, a one-hour write is a write; the line says at whose price."""
    rated = rate({"output_tokens": 3, "reasoning_tokens": 3}, rates_of(SOL))

    assert isinstance(rated, Rated)
    assert [(line.unit, line.price.row.unit) for line in rated.lines] == [("reasoning_tokens", "output_tokens")]


def test_what_has_no_price_at_all_is_unpriced() -> None:
    """A search without a price makes the whole usage unpriced, never cheaper."""
    assert isinstance(rate({"input_tokens": 5, "web_searches": 1}, rates_of(SOL)), Unpriced)
    assert isinstance(quote({"input_tokens": 5, "web_searches": 1}, rates_of(SOL)), Unpriced)


TOKENS = st.integers(0, 10**7)
PRICE = st.decimals(0, 500, places=6, allow_nan=False).map(str)


@given(st.lists(PRICE, min_size=4, max_size=4), TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)
def test_rating_is_exact(prices: list[str], fresh: int, read: int, written: int, visible: int, thought: int) -> None:
    """Every cost equals what exact fractions give."""
    units = dict(zip(SOL, prices, strict=True))
    usage = {
        "input_tokens": fresh + read + written, "cache_read_tokens": read, "cache_write_tokens": written,
        "output_tokens": visible + thought, "reasoning_tokens": thought,
    }  # fmt: skip
    rated = rate(usage, rates_of(units))

    expected = [fresh, read, written, visible + thought]
    exact = sum(Fraction(price) * count for price, count in zip(prices, expected, strict=True)) * 10**6
    assert isinstance(rated, Rated)
    assert rated.cost_picos == exact


@given(st.lists(PRICE, min_size=8, max_size=8), st.integers(0, 400_000), TOKENS, st.data())
def test_a_quote_is_never_below_what_is_rated(prices: list[str], input_max: int, output_max: int, data: Any) -> None:
    """Whatever a call uses within its bound, in whatever kind of input and context tier, its cost is covered."""
    rates = rates_of(dict(zip(SOL, prices[:4], strict=True)), {200_000: dict(zip(SOL, prices[4:], strict=True))})
    total = data.draw(st.integers(0, input_max))
    read = data.draw(st.integers(0, total))
    written = data.draw(st.integers(0, total - read))
    output = data.draw(st.integers(0, output_max))
    usage = {
        "input_tokens": total, "cache_read_tokens": read, "cache_write_tokens": written,
        "output_tokens": output, "reasoning_tokens": data.draw(st.integers(0, output)),
    }  # fmt: skip
    quoted = quote({"input_tokens": input_max, "output_tokens": output_max}, rates)
    rated = rate(usage, rates)

    assert isinstance(quoted, int)
    assert isinstance(rated, Rated)
    assert rated.cost_picos <= quoted


def one_row(unit: str, amount: str, per: int = 10**6, **fields: Any) -> PriceRow:
    """Return a price of one unit."""
    named = {"price_id": f"pr_{unit}_{fields.get('input_above', 0)}", "per": per, **fields}
    return price_row(unit, parse_amount(amount))._replace(**named)


def resolved(*rows: PriceRow) -> Rates:
    """Return the rates of rows."""
    rates = PriceBook(rows).resolve("p", "m", 0)
    assert isinstance(rates, Rates), rates
    return rates


@pytest.mark.parametrize(("quantity", "cost"), [(0, "0"), (99, "0.000099"), (100, "0.0001"), (250, "0.00165")])
def test_a_marginal_step_prices_what_lies_above_it(quantity: int, cost: str) -> None:
    """The first hundred cost 1 a million, the next hundred 10, the rest 11."""
    rates = resolved(
        one_row("input_tokens", "1"),
        one_row("input_tokens", "10", input_above=100, marginal=True),
        one_row("input_tokens", "11", input_above=200, marginal=True),
    )
    rated = rate({"input_tokens": quantity}, rates)

    assert isinstance(rated, Rated)
    assert format_amount(rated.cost_picos) == cost


def test_a_minimum_is_charged_where_anything_is() -> None:
    """Three seconds are charged as ten, none as none, eleven as eleven."""
    rates = resolved(one_row("seconds", "0.36", 3_600, minimum=10), one_row("output_tokens", "1"))
    costs = [rate({"seconds": seconds, "output_tokens": 0}, rates) for seconds in (0, 3, 10, 11)]

    assert [isinstance(one, Rated) and format_amount(one.cost_picos) for one in costs] == [
        "0",
        "0.001",
        "0.001",
        "0.0011",
    ]


def test_a_free_quota_is_taken_first() -> None:
    """Of three searches two are still free: one line free, one charged; without a count of use nothing is free."""
    rates = resolved(one_row("web_searches", "14", 1_000, quota=Quota(5_000, Window.MONTH, "g")))
    rated = rate({"web_searches": 3}, rates, {"g": 2})
    full = rate({"web_searches": 3}, rates)

    assert isinstance(rated, Rated)
    assert [(line.quantity, line.amount_picos, line.free) for line in rated.lines] == [
        (2, 0, True),
        (1, 14 * 10**9, False),
    ]
    assert isinstance(full, Rated)
    assert full.cost_picos == 42 * 10**9
    assert quote({"web_searches": 3}, rates) == 42 * 10**9


def test_a_call_is_a_request() -> None:
    """A price for each call is charged once without being reported."""
    rates = resolved(one_row("requests", "5", 1_000), one_row("input_tokens", "1"))
    rated = rate({"input_tokens": 1}, rates)

    assert isinstance(rated, Rated)
    assert format_amount(rated.cost_picos) == "0.005001"
    assert quote({"input_tokens": 1}, rates) == rated.cost_picos


@given(
    data=st.data(),
    prices=st.lists(st.integers(0, 10**7), min_size=4, max_size=4),
    steps=st.lists(st.integers(1, 1_000), max_size=2, unique=True),
    factors=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), max_size=2),
    minimum=st.integers(0, 500),
)
def test_a_quote_covers_steps_factors_and_minimums(
    data: Any, prices: list[int], steps: list[int], factors: list[tuple[int, int]], minimum: int
) -> None:
    """Whatever usage a call turns out to have within its bound, its cost is no more than what was quoted."""
    units = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    rows = [one_row(unit, "0", amount_picos=amount) for unit, amount in zip(units, prices, strict=True)]
    rows[3] = rows[3]._replace(minimum=minimum)
    rows += [
        rows[0]._replace(price_id=f"pr_{above}", input_above=above, marginal=True, amount_picos=above * 7_919)
        for above in steps
    ]
    rows += [
        rows[0]._replace(
            price_id=f"pr_f{at}", unit=("tokens", "output_tokens")[at], amount_picos=top, per=bottom, is_factor=True,
            currency="", input_above=None, marginal=False,
        )
        for at, (top, bottom) in enumerate(factors)
    ]  # fmt: skip
    rates = resolved(*rows)
    inputs, outputs = data.draw(st.integers(0, 2_000)), data.draw(st.integers(0, 2_000))
    used = data.draw(st.integers(0, inputs))
    read = data.draw(st.integers(0, used))
    write = data.draw(st.integers(0, used - read))
    usage = {
        "input_tokens": used,
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "output_tokens": data.draw(st.integers(0, outputs)),
    }
    rated, quoted = rate(usage, rates), quote({"input_tokens": inputs, "output_tokens": outputs}, rates)

    assert isinstance(rated, Rated)
    assert isinstance(quoted, int)
    assert sum(line.amount_picos for line in rated.lines) == rated.cost_picos
    # Each part may be rounded up by half a pico.
    assert rated.cost_picos <= quoted + len(rated.lines)
