"""Sound, pictures and video have a price of their own, or a row that names them; they are never text by default."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.stand_in import price

from pertoken.core.price_book import Cover, PriceBook, Sellers
from pertoken.core.prices import EVERYTHING
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, Unpriced, quote, rate
from pertoken.core.units import DIMENSIONS, MODALITIES, TOKEN_UNITS

TEXT = ["input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"]
OTHER = sorted(unit for unit in TOKEN_UNITS if DIMENSIONS[unit] & MODALITIES)


def rates(*units: str, covers: dict[str, tuple[str, ...]] | None = None, sellers: Sellers | None = None) -> Rates:
    """Return prices of 1, 2, 3, ... for the units."""
    rows = [
        price(unit, at, provider="p", covers=(covers or {}).get(unit, (EVERYTHING,)))
        for at, unit in enumerate(units, start=1)
    ]
    found = PriceBook(rows, sellers or Sellers()).resolve("p", "m", 0)
    assert isinstance(found, Rates)
    return found


@pytest.mark.parametrize("unit", OTHER)
def test_no_other_modality_is_text(unit: str) -> None:
    """With prices of text alone, sound, pictures and video have none, neither in rating nor in a quote."""
    of_text = rates(*TEXT)

    assert of_text.at(0).price(unit) is None
    assert isinstance(rate({unit: 1}, of_text), Unpriced)
    assert isinstance(quote({unit: 1}, of_text), Unpriced)


@pytest.mark.parametrize("unit", OTHER)
def test_what_a_row_names_it_covers(unit: str) -> None:
    """Where a row of text names a unit, that unit costs what the row says."""
    side = "output_tokens" if unit.startswith("output") else "input_tokens"
    rated = rate({unit: 1}, rates("input_tokens", "output_tokens", covers={side: (EVERYTHING, unit)}))

    assert isinstance(rated, Rated)
    assert rated.lines[0].price.row.unit == side


@pytest.mark.parametrize(
    ("unit", "own", "charged_as"),
    [
        ("cache_read_audio_tokens", "input_audio_tokens", "input_audio_tokens"),
        ("cache_write_audio_tokens", "input_audio_tokens", "input_audio_tokens"),
        ("cache_read_image_tokens", "input_image_tokens", "input_image_tokens"),
        ("cache_read_audio_tokens", "input_image_tokens", None),
        ("output_audio_tokens", "input_audio_tokens", None),
        ("reasoning_tokens", "output_audio_tokens", "output_tokens"),
    ],
)
def test_a_modality_falls_to_itself(unit: str, own: str, charged_as: str | None) -> None:
    """Cached sound costs what sound costs, not what cached text does; spoken output is never output."""
    found = rates(*TEXT, own).at(0).price(unit)

    assert (None if found is None else found.row.unit) == charged_as


def test_a_rule_of_a_provider_covers() -> None:
    """What is known of a provider's models is as if its rows said so, for the models that the rule names."""
    cover = Cover(re.compile("^see"), "input_tokens", ("input_image_tokens",))
    book = PriceBook([price("input_tokens", 5, provider="p")], Sellers(covers={"p": [cover]}))
    for model, is_priced in (("see-1", True), ("SEE-1", True), ("blind", False)):
        found = book.resolve("p", model, 0)
        assert isinstance(found, Rates)
        assert isinstance(rate({"input_image_tokens": 1}, found), Rated) is is_priced


AMOUNTS = st.dictionaries(st.sampled_from([*TEXT[:3], "input_image_tokens"]), st.integers(0, 50))


@settings(max_examples=300, deadline=None)
@given(AMOUNTS, st.integers(0, 50), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_a_quote_is_no_less_than_what_pictures_cost(
    amounts: dict[str, int], base: int, text: int, image: int, cached: int, told: bool
) -> None:
    """A hold for a picture is enough, told apart or counted as text, plain or written to a cache or read from it."""
    amounts = {**amounts, "input_tokens": base}
    cover = (EVERYTHING, "input_image_tokens")
    rows = [price(unit, amount, provider="p", covers=cover) for unit, amount in amounts.items()]
    found = PriceBook(rows).resolve("p", "m", 0)
    assert isinstance(found, Rates)
    held = quote({"input_tokens": text, "input_image_tokens": image}, found)
    has_own = "input_image_tokens" in amounts
    for part in ("cache_read_tokens", "cache_write_tokens"):
        usage = {"input_tokens": text + image, part: min(cached, text + image if not has_own else text)}
        charged = rate({**usage, "input_image_tokens": image} if has_own or (told and not cached) else usage, found)

        assert isinstance(held, int)
        assert isinstance(charged, Rated)
        assert charged.cost_picos <= held
