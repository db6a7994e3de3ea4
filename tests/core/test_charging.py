"""What one use costs: as served, by each model that took part, at one's own prices or another's list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import price_row

from pertoken.catalogs import history
from pertoken.core.charging import Charge, Served, charge
from pertoken.core.conditions import Context, context
from pertoken.core.events import EventStatus
from pertoken.core.money import amount_max, divide_half_even, format_amount
from pertoken.core.periods import FOREVER_US, parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.rates import Rates
from pertoken.core.units import DIMENSIONS
from pertoken.core.usage import QUANTITY_MAX
from pertoken.wire import anthropic_messages

AT_US = parse_time("2026-11-23T12:00:00Z")
FACTOR_MAX = 10  # no list multiplies a price by more


def cost(book: PriceBook, provider: str, model: str, usage: dict[str, int], of: Context | None = None) -> str:
    """Return the cost of a usage, or why it has none."""
    made = charge(book, Served(provider, model, None, AT_US, of or context()), usage)
    return format_amount(made.cost_picos) if made.status is EventStatus.PRICED else str(made.reason)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "asked", "expected"),
    [
        # Responses, gpt-5.6-sol: 200 x 4 + 2,000 x 0.4 + 400 x 5 + 300 x 20 micro-dollars; priority costs twice
        ("openai", "gpt-5.6-sol", {"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400,
                                   "output_tokens": 300, "reasoning_tokens": 200}, context(), "0.0096"),
        ("openai", "gpt-5.6-sol", {"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400,
                                   "output_tokens": 300, "reasoning_tokens": 200}, context("priority"), "0.0192"),
        ("anthropic", "claude-opus-5-5", {"input_tokens": 6_100, "cache_read_tokens": 5_000,
                                          "cache_write_tokens": 1_000, "cache_write_1h_tokens": 400,
                                          "output_tokens": 200, "web_searches": 2}, context(), "0.0316"),
        # In the US alone tokens cost a tenth more, searches do not: 0.0116 x 1.1 + 0.02
        ("anthropic", "claude-opus-5-5", {"input_tokens": 6_100, "cache_read_tokens": 5_000,
                                          "cache_write_tokens": 1_000, "cache_write_1h_tokens": 400,
                                          "output_tokens": 200, "web_searches": 2}, context(region="us"), "0.03276"),
        ("google", "gemini-2.5-pro", {"input_tokens": 250_000, "cache_read_tokens": 50_000, "output_tokens": 4_000,
                                      "reasoning_tokens": 3_000}, context(), "0.5725"),
        ("xai", "grok-4.3", {"input_tokens": 1_000, "output_tokens": 100, "reasoning_tokens": 90}, context(), "0.0015"),
        ("groq", "whisper-large-v3", {"seconds": 3}, context(), "0.000308333333"),
        ("azure", "gpt-4o", {"input_tokens": 1_000, "output_tokens": 0}, context(), "0.0025"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::x1", {"input_tokens": 1_000, "cache_read_tokens": 500,
                                                            "output_tokens": 100}, context(), "0.00082"),
        ("groq", "gpt-4o", {"input_tokens": 1_000}, context(), "no price known for 'gpt-4o' at groq"),
    ],
)  # fmt: skip
def test_worked_examples(
    book: PriceBook, provider: str, model: str, usage: dict[str, int], asked: Context, expected: str
) -> None:
    """Providers' own examples to the last digit; another name of a provider and another's list are found."""
    assert cost(book, provider, model, usage, asked) == expected


def test_a_list_that_begins_later_ends_what_was_taken_before() -> None:
    """A provider's own first price ends the use of another's list at its instant, also from memory."""
    rows = history.read(AT_US)
    own = next(row for row in rows if row.model == "gpt-4o" and row.unit == "input_tokens")
    rows.append(
        own._replace(provider="azure", amount_picos=7 * 10**12, valid_from_us=AT_US, price_id="pr_own")._replace(
            valid_to_us=FOREVER_US
        )
    )
    book = PriceBook(rows, Sellers({}, {"azure": ("openai",)}))

    def price(at_us: int) -> int:
        rates = book.resolve("azure", "gpt-4o", at_us)
        assert isinstance(rates, Rates)
        return rates.at(0).rows["input_tokens"].amount_picos

    assert [price(at) // 10**11 for at in (AT_US - 1, AT_US, AT_US - 2, AT_US + 1)] == [25, 70, 25, 70]


def test_each_model_that_took_part_has_its_own_price(book: PriceBook) -> None:
    """An answer whose iterations were two models' is charged part by part; the sum of both is the usage."""
    body = b"""{"model": "claude-opus-4-8", "id": "msg_1", "usage": {"input_tokens": 100, "output_tokens": 30,
        "iterations": [
            {"type": "message", "model": "claude-opus-4-8", "input_tokens": 100, "output_tokens": 20},
            {"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 1000, "output_tokens": 10}]}}"""
    reading = anthropic_messages.read_answer(body)
    served = Served("anthropic", "claude-opus-4-8", reading.model, AT_US, context())

    assert reading.quantities == {"input_tokens": 1_100, "output_tokens": 30}
    assert [model for model, _ in reading.parts] == ["claude-opus-4-8", "claude-haiku-4-5"]
    charged = charge(book, served, reading.quantities, parts=reading.parts)
    assert format_amount(charged.cost_picos) == "0.00205"  # 100 x 5 + 20 x 25 + 1,000 x 1 + 10 x 5 micro-dollars
    unknown = charge(book, served, reading.quantities, parts=(*reading.parts, ("claude-99", {"input_tokens": 1})))
    assert isinstance(unknown, Charge)


def test_a_part_without_a_price_makes_nothing_free(book: PriceBook) -> None:
    """Tokens are charged though a search has no price; the event is unpriced and says why."""
    served = Served("groq", "openai/gpt-oss-120b", None, AT_US, context())
    tokens = {"input_tokens": 1_000_000, "output_tokens": 0}
    alone, with_search = charge(book, served, tokens), charge(book, served, {**tokens, "map_queries": 2})

    assert alone.status is EventStatus.PRICED
    assert with_search.status is EventStatus.UNPRICED
    assert with_search.cost_picos == alone.cost_picos > 0
    assert "map_queries" in str(with_search.reason)


def test_every_part_that_has_a_price_is_counted(book: PriceBook) -> None:
    """Where one of several models used something without a price, all that has one is charged, of each model."""
    tokens = {"input_tokens": 1_000_000, "output_tokens": 0}
    served = Served("anthropic", "claude-haiku-4-5", None, AT_US, context())
    alone = charge(book, served, tokens)
    together = charge(
        book, served, tokens, parts=(("claude-haiku-4-5", {**tokens, "pages": 1}), ("claude-haiku-4-5", tokens))
    )

    assert together.status is EventStatus.UNPRICED
    assert "pages" in str(together.reason)
    assert together.cost_picos == 2 * alone.cost_picos > 0


def test_no_listed_price_makes_a_call_too_dear_to_be_posted(book: PriceBook) -> None:
    """Of every unit of every price a provider can state the most that is believed: all of it together can be posted."""
    for row in book.rows:
        if not row.is_factor:
            dearest = row.amount_picos * QUANTITY_MAX * FACTOR_MAX // row.per
            assert dearest <= amount_max(row.currency) // len(DIMENSIONS), row


@given(
    st.dictionaries(st.sampled_from(["input_tokens", "output_tokens", "web_searches"]), st.integers(0, QUANTITY_MAX)),
    st.integers(0, amount_max("USD")),
    st.integers(1, 10**6),
)
def test_a_charge_is_an_amount(quantities: dict[str, int], picos: int, per: int) -> None:
    """Whatever is used at whatever price can be posted: a cost beyond all amounts is none, and says so."""
    rows = [price_row(unit, picos, per=per) for unit in ("input_tokens", "output_tokens", "web_searches")]
    exact = sum(divide_half_even(quantity * picos, per) for quantity in quantities.values())
    made = charge(PriceBook(rows), Served("p", "m", None, 1, context()), quantities)

    assert made.cost_picos == (exact if exact <= amount_max("USD") else 0)
    assert (made.status is EventStatus.PRICED) == (exact <= amount_max("USD"))
    assert sum(line[3] for line in made.lines) == made.cost_picos
