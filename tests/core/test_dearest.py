from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import examples

from pertoken.catalogs import genai, history, rules
from pertoken.core.conditions import Context, context
from pertoken.core.dearest import Most, most
from pertoken.core.periods import FOREVER_US, parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, rate
from pertoken.core.units import UNITS
from pertoken.core.usage import Contradiction

AT_US = parse_time("2026-11-23T12:00:00Z")
SHIPPED = PriceBook([*genai.read(AT_US), *history.read(AT_US), *rules.read(AT_US)])
MODELS = sorted(
    {
        (row.provider, row.model)
        for row in SHIPPED.rows
        if row.valid_from_us <= AT_US < row.valid_to_us and not row.is_factor
    }
)
USAGE = st.dictionaries(st.sampled_from(UNITS), st.integers(0, 10**6), min_size=1, max_size=4)


def row(model: str, unit: str, amount_picos: int, **fields: object) -> PriceRow:
    """Return a price of one of `unit`, or a factor of so many halves."""
    made = PriceRow("", "p", model, Match.EQUALS, unit, amount_picos, 1, "USD", 0, FOREVER_US, 0, Source.OPERATOR, "")
    return made._replace(**fields)  # type: ignore[arg-type]


BOOK = PriceBook(
    [
        row("small", "input_tokens", 2),
        row("small", "output_tokens", 10),
        row("small", "input_tokens", 3, input_above=100),
        row("small", "output_tokens", 7, conditions=(("service_tier", "flex"),)),
        row("small", "tokens", 2, is_factor=True, currency="", conditions=(("service_tier", "priority"),)),
        row("small", "tokens", 1, per=2, is_factor=True, currency="", conditions=(("batch", "true"),)),
        row("large", "input_tokens", 50),
        row("large", "output_audio_tokens", 70),
        row("large", "web_searches", 9, minimum=2),
        row("gone", "input_tokens", 1_000, valid_to_us=5),
    ]
)


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        ("small", {"input_tokens": 5, "output_tokens": 3}, 5 * 3 * 2 + 3 * 10 * 2),
        ("small", {"input_tokens": 5, "cache_read_tokens": 4, "output_tokens": 0}, 1 * 3 * 2 + 4 * 3 * 2),
        ("unheard", {"input_tokens": 5}, 5 * 50 * 2),
        ("unheard", {"output_audio_tokens": 5, "output_tokens": 5}, 5 * 70 * 2),
        ("small", {"output_audio_tokens": 5, "output_tokens": 5}, 5 * 70 * 2),
        ("small", {"web_searches": 1}, 2 * 9),
        ("gone", {"input_tokens": 1}, 50 * 2),
        ("small", {"pages": 1}, None),
    ],
)
def test_the_dearest_reading(model: str, usage: dict[str, int], expected: int | None) -> None:
    """Every tier, condition and factor counts; what the model has no price for costs as much as at its provider."""
    known = [one for one in (BOOK.dearest("p", model, 10), BOOK.dearest("p", None, 10)) if one is not None]

    assert most(usage, known, "USD") == expected


def test_nothing_is_known_of_an_unknown_provider() -> None:
    """A provider without any row has no dearest rates."""
    assert BOOK.dearest("other", "small", 10) is None
    assert BOOK.dearest("other", None, 10) is None


def test_the_dearest_rates_are_those_of_their_time() -> None:
    """A row counts from when it begins until it ends, also where an answer is remembered."""
    found = [BOOK.dearest("p", "gone", at_us) for at_us in (1, 10, 1)]

    assert [None if one is None else one.prices["input_tokens"] for one in found] == [
        Most(Fraction(1_000), 0),
        None,
        Most(Fraction(1_000), 0),
    ]


def contexts(provider: str, model: str) -> list[Context]:
    """Return contexts that some row of a model speaks of."""
    rows = [one for _, one in SHIPPED.candidates(provider, model)]
    found = {context()}
    for one in rows:
        asked = dict(one.conditions)
        found.add(
            context(
                asked.get("service_tier"),
                batch=asked.get("batch") == "true",
                speed=asked.get("speed"),
                region=asked.get("region"),
            )
        )
    return sorted(found, key=repr)


@examples(300)
@given(st.sampled_from(MODELS), USAGE, st.data())
def test_no_price_of_a_model_is_above_its_dearest(
    model: tuple[str, str], usage: dict[str, int], data: st.DataObject
) -> None:
    """Whatever the tier, region or context turns out to be: the dearest reading is at least the exact one."""
    rates = SHIPPED.resolve(*model, AT_US, data.draw(st.sampled_from(contexts(*model))))
    try:
        rated = rate(usage, rates) if isinstance(rates, Rates) else None
    except Contradiction:
        return
    if isinstance(rated, Rated):
        found = SHIPPED.dearest(*model, AT_US)
        assert found is not None
        known = [found, SHIPPED.dearest(model[0], None, AT_US) or found]

        assert rated.cost_picos <= (most(usage, known, rated.currency) or 0)
