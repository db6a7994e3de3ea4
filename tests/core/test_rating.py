"""Rating is exact, and a quote is never below it."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.money import format_amount, parse_amount
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, Unpriced, quote, rate


def rates_of(prices: dict[str, str], tiers: dict[int, dict[str, str]] | None = None, **fields: Any) -> Rates:
    """Return rates in USD per million tokens, or per thousand for searches."""
    rows = []
    for above, units in {0: prices, **(tiers or {})}.items():
        for unit, amount in units.items():
            per = 1_000 if unit == "web_searches" else 10**6
            base = PriceRow(
                f"pr_{unit}_{above}", "p", "m", Match.EQUALS, unit, parse_amount(amount), per, "USD", 0, FOREVER_US, 0,
                Source.GENAI, "", above or None,
            )  # fmt: skip
            rows.append(base._replace(**fields))
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
