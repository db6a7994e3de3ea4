"""Which price is in force: by instant, name, condition and trust."""

from typing import Any

import pytest
from tests.factories import price_row

from pertoken.core.conditions import STANDARD, Context, context
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Clause, Match, PriceRow, Source, price_id
from pertoken.core.rates import NoPrice, Rates

JUNE = parse_time("2025-06-10")


def row(amount: int, **fields: Any) -> PriceRow:
    """Return a price of a million input tokens of o3."""
    base = price_row("input_tokens", amount, provider="openai", model="o3", match=Match.SNAPSHOT, per=10**6)
    made = base._replace(**fields)
    return made._replace(price_id=price_id(made))


def amount_of(book: PriceBook, model: str, at_us: int = JUNE, found: Context | None = None) -> int | str:
    """Return the amount in force for input tokens, or why there is none."""
    rates = book.resolve("openai", model, at_us, found or Context())
    return rates.at(0).rows["input_tokens"].amount_picos if isinstance(rates, Rates) else rates.reason


def test_the_instant_decides() -> None:
    """A price ends where the next begins, to the microsecond."""
    book = PriceBook([row(10, valid_to_us=JUNE), row(2, valid_from_us=JUNE)])

    assert [amount_of(book, "o3", at) for at in (0, JUNE - 1, JUNE, JUNE + 1)] == [10, 10, 2, 2]
    assert [amount_of(book, "o3", at) for at in (JUNE, JUNE - 1)] == [2, 10]  # what is remembered is right too


def test_before_the_first_price_there_is_none() -> None:
    """A call before the first known price is not rated by guess."""
    book = PriceBook([row(2, valid_from_us=JUNE)])

    assert amount_of(book, "o3", JUNE - 1) == "no price in force for 'o3' at openai"
    assert amount_of(book, "gpt-9") == "no price known for 'gpt-9' at openai"


@pytest.mark.parametrize(
    ("model", "amount"),
    [("o3", 1), ("O3", 1), ("o3-2025-04-16", 1), ("o3-pro", 3), ("o3-deep-research", 4), ("o3-mini", 5)],
)
def test_the_closest_name_wins(model: str, amount: int) -> None:
    """A name itself, then the name and a date, then a rule, then a prefix."""
    rule = Clause("or", parts=(Clause("equals", "o3-mini"), Clause("regex", "^o3-deep")))
    book = PriceBook(
        [
            row(1),
            row(3, model="o3-pro", match=Match.EQUALS),
            row(4, model="o3-rule", match=Match.RULE, rule=rule),
            row(5, model="o3-mini", match=Match.EQUALS),
            row(9, model="o", match=Match.PREFIX),
        ]
    )

    assert amount_of(book, model) == amount


def test_the_operators_price_wins_over_imports() -> None:
    """Of two rows for one name and instant, the more trusted source is in force."""
    book = PriceBook([row(2), row(3, source=Source.HISTORY), row(4, source=Source.OPERATOR)])

    assert amount_of(book, "o3") == 4


def test_tiers_are_priced_or_refused() -> None:
    """A service tier with rows of its own gets them; one without is never taken for the standard tier."""
    book = PriceBook([row(2), row(1, conditions=(("service_tier", "flex"),)), row(3, conditions=(("batch", "true"),))])

    assert amount_of(book, "o3", found=context("flex")) == 1
    assert amount_of(book, "o3", found=context("batch")) == 3
    assert amount_of(book, "o3", found=context("default")) == 2
    assert "service tier 'warp'" in str(amount_of(book, "o3", found=context("warp")))


def test_a_context_tier_holds_strictly_above_its_threshold() -> None:
    """200,000 tokens are in the base tier, 200,001 in the long one; a unit without a tier keeps its base price."""
    book = PriceBook([row(2), row(4, input_above=200_000), row(9, unit="output_tokens")])
    rates = book.resolve("openai", "o3", JUNE)

    assert isinstance(rates, Rates)
    assert rates.at(200_000).rows["input_tokens"].amount_picos == 2
    assert rates.at(200_001).rows["input_tokens"].amount_picos == 4
    assert rates.at(200_001).rows["output_tokens"].amount_picos == 9


@pytest.mark.parametrize(
    ("time", "amount"),
    [("16:29:59", 2), ("16:30:00", 1), ("23:59:59", 1), ("00:00:00", 1), ("00:29:59", 1), ("00:30:00", 2)],
)
def test_a_time_of_day_may_go_past_midnight(time: str, amount: int) -> None:
    """A window of the day begins and ends at its minute, every day."""
    book = PriceBook([row(2), row(1, conditions=(("time", "16:30-00:30"),))])

    assert amount_of(book, "o3", parse_time(f"2026-11-23T{time}Z")) == amount
    assert amount_of(book, "o3", parse_time(f"2026-11-24T{time}Z")) == amount


def test_two_currencies_do_not_mix() -> None:
    """Rows in two currencies for one model are a refusal, not a sum."""
    book = PriceBook([row(2), row(3, unit="output_tokens", currency="EUR")])

    assert isinstance(book.resolve("openai", "o3", JUNE), NoPrice)


def test_endless_names_do_not_grow_memory() -> None:
    """A client that invents model names cannot fill the memory of answers."""
    book = PriceBook([row(2)])
    for number in range(PriceBook.MEMORY_MAX + 10):
        book.resolve("openai", f"made-up-{number}", JUNE)

    assert len(book._memory) <= PriceBook.MEMORY_MAX


def factor(numerator: int, denominator: int, **fields: Any) -> PriceRow:
    """Return a factor on all tokens of every model."""
    fields = {"unit": "tokens", "match": Match.PREFIX, "model": "", "currency": "", "is_factor": True, **fields}
    return row(numerator, per=denominator, **fields)


BATCH, FAST, EU = (("batch", "true"),), (("speed", "fast"),), (("region", "eu"),)


@pytest.mark.parametrize(
    ("rows", "asked", "price"),
    [
        ([row(8)], context("flex"), "with service tier 'flex'"),
        ([row(8)], context("prioirty"), "with service tier 'prioirty'"),
        ([row(8), row(4, conditions=BATCH)], context(batch=True), 4),
        ([row(8), row(4, conditions=BATCH)], context(batch=True, speed="fast"), "with speed 'fast'"),
        ([row(8), row(4, conditions=BATCH), row(9, conditions=FAST)], context(batch=True, speed="fast"), "together"),
        (
            [row(8), row(4, conditions=BATCH), row(9, conditions=FAST), row(5, conditions=BATCH + FAST)],
            context(batch=True, speed="fast"),
            5,
        ),
        ([row(8)], context(region="eu"), 8),  # nobody prices regions here: they cost the same
        ([row(8), row(9, conditions=EU)], context(region="eu"), 9),
        ([row(8), row(9, conditions=EU)], context(region="us"), "with region 'us'"),
        ([row(8), factor(1, 2, conditions=BATCH)], context(batch=True), 4),
        ([row(8), factor(1, 2, conditions=BATCH)], STANDARD, 8),
        ([row(8), factor(1, 2, conditions=BATCH), factor(3, 2, conditions=EU)], context(batch=True, region="eu"), 6),
        (
            [row(8), factor(1, 2, conditions=BATCH, stacks=False), factor(3, 2, conditions=EU)],
            context(batch=True, region="eu"),
            "together",
        ),
        ([row(8), row(3, conditions=BATCH), factor(1, 2, conditions=BATCH)], context(batch=True), 3),
        ([row(8), factor(1, 2, conditions=BATCH), factor(1, 1, conditions=BATCH, model="o3")], context(batch=True), 8),
        ([row(8), factor(9, 10, source=Source.OPERATOR), factor(1, 2, conditions=BATCH)], context(batch=True), 3.6),
        ([row(8), row(4, conditions=BATCH), factor(9, 10, source=Source.OPERATOR)], context(batch=True), 3.6),
        ([row(8, source=Source.OPERATOR), row(4, conditions=BATCH)], context(batch=True), 4),
        ([row(8, source=Source.REVIEWED), row(4, valid_from_us=JUNE - 1)], STANDARD, 8),
        ([row(8, source=Source.HISTORY), row(4, valid_from_us=JUNE - 1)], STANDARD, 4),
    ],
)
def test_conditions_combine_or_refuse(rows: list[PriceRow], asked: Context, price: float | str) -> None:
    """All conditions must hold together; what nobody priced is refused, a tier misspelt as well; factors multiply."""
    rates = PriceBook(rows).resolve("openai", "o3", JUNE, asked)

    if isinstance(price, str):
        assert isinstance(rates, NoPrice)
        assert price in rates.reason
        return
    assert isinstance(rates, Rates), rates
    found = rates.at(0).price("input_tokens")
    assert found is not None
    assert found.amount_picos / found.per * 10**6 == pytest.approx(price)


def test_what_is_charged_with_every_model_sells_none() -> None:
    """A price of an extra for all models adds to a model that is known; it makes no unknown one known."""
    session = row(3, unit="code_sessions", per=1, match=Match.PREFIX, model="")
    every = row(5, match=Match.PREFIX, model="")
    known = PriceBook([row(8), session]).resolve("openai", "o3", JUNE)

    assert isinstance(known, Rates)
    assert {"input_tokens", "code_sessions"} <= set(known.at(0).rows)
    assert amount_of(PriceBook([row(8), session]), "o9") == "no price known for 'o9' at openai"
    assert PriceBook([session]).providers_of("o9", JUNE, ["openai"]) == []
    assert amount_of(PriceBook([every]), "o9") == 5


def test_a_row_prices_what_it_says_it_covers() -> None:
    """A unit without a row of its own takes its container's price only where that row says so."""
    covering = PriceBook([row(2)]).resolve("openai", "o3", JUNE)
    alone = PriceBook([row(2, covers=())]).resolve("openai", "o3", JUNE)
    named = PriceBook([row(2, covers=("cache_read_tokens",))]).resolve("openai", "o3", JUNE)

    assert isinstance(covering, Rates)
    assert isinstance(alone, Rates)
    assert isinstance(named, Rates)
    assert covering.at(0).price("cache_write_tokens") is not None
    assert alone.at(0).price("cache_read_tokens") is None
    assert named.at(0).price("cache_read_tokens") is not None
    assert named.at(0).price("cache_write_tokens") is None


def test_another_lists_tiers_join_where_it_agrees_on_the_base() -> None:
    """Dated history often leaves context tiers out; the list that states the same base price brings them."""
    same = [row(2, source=Source.HISTORY), row(2), row(4, input_above=200_000)]
    other = [row(3, source=Source.HISTORY), row(2), row(4, input_above=200_000)]
    own = [row(2, source=Source.OPERATOR), row(2), row(4, input_above=200_000)]

    def above(rows: list[PriceRow]) -> int:
        rates = PriceBook(rows).resolve("openai", "o3", JUNE)
        assert isinstance(rates, Rates)
        return rates.at(200_001).rows["input_tokens"].amount_picos

    assert [above(rows) for rows in (same, other, own)] == [4, 3, 2]


def test_an_id_is_the_content() -> None:
    """The same price stated twice has one id; who noted it when does not matter, what it says does."""
    assert row(2).price_id == row(2, recorded_at_us=5, evidence="x").price_id
    different = [row(2), row(3), row(2, per=2), row(2, conditions=BATCH), row(2, minimum=1), row(2, marginal=True)]
    assert len({one.price_id for one in different}) == len(different)
