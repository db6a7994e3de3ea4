"""How prices and the times of others' texts are shown."""

import pytest

from pertoken.core.units import UNITS
from pertoken.web import shown

PRICES = {
    ("input_tokens", "1.60000000"): "1.6 a million",
    ("cache_token_hours", "4.5"): "4.5 a million",
    ("characters", "1200"): "1,200 a million",
    ("code_sessions", "1920000"): "1.92 each",
    ("web_searches", "10000.000000"): "0.01 each",
    ("images", "1234567000000"): "1,234,567 each",
    ("output_tokens", "1000"): "1,000 a million",
    ("output_tokens", "0"): "0 a million",
    ("output_tokens", None): shown.UNKNOWN,
}


@pytest.mark.parametrize(("unit", "per_million"), PRICES)
def test_prices_are_quoted_as_people_buy(unit: str, per_million: str | None) -> None:
    """Tokens and characters are quoted by the million, all else each; no digit is lost, thousands are separated."""
    assert unit in UNITS
    assert str(shown.price(unit, per_million)) == PRICES[unit, per_million]


def test_times_of_texts_are_on_the_clocks_of_the_zone() -> None:
    """An instant of RFC 3339 is shown as times are everywhere, on the clocks that were asked for."""
    assert shown.stated_time("2026-11-24T23:30:00Z", "Asia/Tokyo").text == "25 Nov 2026, 08:30"
    assert shown.stated_day("2026-11-24T23:30:00Z", "Asia/Tokyo") == "25 Nov 2026"


def test_shares_have_their_thousands_separated() -> None:
    """A share far beyond the whole is read as other figures are."""
    assert shown.share(16_325, 100).text == "16,325 %"
    assert shown.change(16_425, 100).text == "▲ 16,325 %"
