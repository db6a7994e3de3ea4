"""Amounts are exact, in every currency, to the last stored digit."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.money import NotAnAmount, divide_half_even, divide_up, format_amount, parse_amount

PICOS = st.integers(-(10**24), 10**24)


@pytest.mark.parametrize(
    ("text", "currency", "picos"),
    [
        ("0.15", "USD", 150_000_000_000),
        ("0.000000000001", "USD", 1),
        ("-2.5", "USD", -2_500_000_000_000),
        ("1E-6", "USD", 1_000_000),
        ("5", "JPY", 50_000_000_000),
        ("1.234", "KWD", 12_340_000_000_000),
        ("0", "EUR", 0),
        ("007", "USD", 7_000_000_000_000),
    ],
)
def test_parse(text: str, currency: str, picos: int) -> None:
    """A decimal text is a whole number of the currency's smallest stored unit."""
    assert parse_amount(text, currency) == picos


@pytest.mark.parametrize("text", ["", "ten", "NaN", "Infinity", "1e400", "0.0000000000001", "1.2.3", "0x10", "1" * 80])
def test_what_is_no_amount(text: str) -> None:
    """What is no finite decimal, or finer than the currency stores, is refused and never rounded."""
    with pytest.raises(NotAnAmount):
        parse_amount(text)


@given(PICOS, st.sampled_from(["USD", "JPY", "KWD"]))
def test_format_and_parse_are_inverse(picos: int, currency: str) -> None:
    """An amount survives being written and read; the text has no exponent and no trailing zeros."""
    text = format_amount(picos, currency)

    assert parse_amount(text, currency) == picos
    assert "E" not in text
    assert "." not in text or not text.endswith("0")


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_rounding_is_half_even(numerator: int, denominator: int) -> None:
    """The one rounding function does what the decimal module calls ROUND_HALF_EVEN."""
    nearest = divide_half_even(numerator, denominator)

    assert abs(Fraction(numerator, denominator) - nearest) <= Fraction(1, 2)
    if 2 * (numerator % denominator) == denominator:
        assert nearest % 2 == 0
    if denominator == 10**12:
        assert nearest == int((Decimal(numerator) / denominator).quantize(Decimal(1), ROUND_HALF_EVEN))


@given(st.integers(0, 10**30), st.integers(1, 10**12))
def test_rounding_up_is_never_too_small(numerator: int, denominator: int) -> None:
    """A hold is never below what it must cover, and by less than one unit above it."""
    assert 0 <= divide_up(numerator, denominator) * denominator - numerator < denominator
