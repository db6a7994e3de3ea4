"""LiteLLM's list with numbers that no price has: left out, at once, and never a zero that nobody wrote."""

import pytest

from pertoken.catalogs import litellm
from pertoken.core.prices import PriceRow

NUMBERS = ("1e400", "1e-400", "1e-40", "1e-19", "1e999999999", "1e-999999999", "1" + "0" * 40, "-1", "-1e-9", '"1"')
PRICE = '"input_cost_per_token": 1e-6'


def read(fields: str, name: str = "m") -> list[PriceRow]:
    """Return the rows of one model."""
    return litellm.read(f'{{"{name}": {{"litellm_provider": "p", {fields}}}}}'.encode(), 1)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "field", ["input_cost_per_token", "ocr_cost_per_page", "regional_processing_uplift_multiplier_eu"]
)
def test_a_number_that_is_no_price(number: str, field: str) -> None:
    """What is too large, negative, or finer than is stored is left out: the model is not free."""
    assert read(f'"{field}": {number}') == []


@pytest.mark.parametrize("number", [*NUMBERS, "0", "0.0"])
def test_a_number_that_is_no_quota(number: str) -> None:
    """A search is charged, and none is free."""
    free = f'"search_free_requests": {{"count": {number}, "period": "day", "shared_group": "x"}}'
    [row] = read(f'"search_context_cost_per_query": {{"search_context_size_low": 0.1}}, {free}')

    assert row.quota is None
    assert row.amount_picos == 10**14


@pytest.mark.parametrize("number", ["0", "0.0", "-0.0", "0e5"])
def test_a_zero_that_is_written(number: str) -> None:
    """A price of zero is free; to multiply all prices by zero is not what a surcharge does."""
    assert [row.amount_picos for row in read(f'"input_cost_per_token": {number}')] == [0]
    assert read(f'"regional_processing_uplift_multiplier_eu": {number}') == []


@pytest.mark.parametrize(
    "fields",
    [
        '"input_cost_per_token_above_99999999999999999999k_tokens": 1e-6',
        '"input_cost_per_token_above_\\u0661k_tokens": 1e-6',
        f'"off_peak_pricing": {{"windows": [{{"hours_utc": "99:99-88:88"}}], {PRICE}}}',
        f'"off_peak_pricing": {{"windows": [{{"hours_utc": "1\\u0662:00-13:00"}}], {PRICE}}}',
    ],
    ids=["a tier beyond all", "digits of another script", "no time", "a time of another script"],
)
def test_a_condition_that_cannot_be(fields: str) -> None:
    """A price under a condition that no call could be held against is left out."""
    assert read(fields) == []


@pytest.mark.parametrize("name", ["", " ", "m\\u202e", "m\\u001b[2J", "x" * 300])
def test_a_name_that_is_none(name: str) -> None:
    """A model that no operator could name himself is left out."""
    assert read(PRICE, "m")
    assert read(PRICE, name) == []
