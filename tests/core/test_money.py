"""Amounts are exact, in every currency, to the last stored digit."""

import signal
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.money import (
    HALF,
    NotAnAmount,
    amount_max,
    divide_half_even,
    divide_up,
    format_amount,
    join,
    parse_amount,
    parse_price,
    pico_digits,
    split,
)

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


@pytest.mark.parametrize(
    ("picos", "currency", "text"),
    [
        (0, "USD", "0"),
        (1, "USD", "0.000000000001"),
        (-1, "USD", "-0.000000000001"),
        (9_600_000_000, "USD", "0.0096"),
        (100 * 10**12, "USD", "100"),
        (10**10, "JPY", "1"),
        (10**13, "KWD", "1"),
        (2**63 - 1, "USD", "9223372.036854775807"),
        (-(2**63), "USD", "-9223372.036854775808"),
    ],
)
def test_format(picos: int, currency: str, text: str) -> None:
    """An amount is written in the major unit, to its last digit and no further."""
    assert format_amount(picos, currency) == text


@pytest.mark.parametrize(
    ("numerator", "denominator", "nearest"),
    [
        (1, 2, 0),
        (3, 2, 2),
        (5, 2, 2),
        (-1, 2, 0),
        (-3, 2, -2),
        (-5, 2, -2),
        (2, 3, 1),
        (-2, 3, -1),
        (7, 1, 7),
        (0, 9, 0),
    ],
)
def test_halves_go_to_the_even_neighbour(numerator: int, denominator: int, nearest: int) -> None:
    """Halves go up as often as down, below zero as above."""
    assert divide_half_even(numerator, denominator) == nearest


@pytest.mark.parametrize("denominator", [0, -1])
def test_dividing_by_nothing_is_our_mistake(denominator: int) -> None:
    """A price is for so many of something: more than none."""
    with pytest.raises(AssertionError):
        divide_half_even(1, denominator)
    with pytest.raises(AssertionError):
        divide_up(1, denominator)


@pytest.mark.parametrize("text", ["1" * 5_000, "0." + "1" * 5_000])
def test_a_very_long_number_is_no_amount(text: str) -> None:
    """A number of thousands of digits is refused like every other that does not fit."""
    with pytest.raises(NotAnAmount):
        parse_amount(text)


@pytest.mark.parametrize("text", ["1E-99999999999", "0E-99999999999"])
def test_a_far_exponent_costs_no_time(text: str) -> None:
    """A dozen characters cannot keep the program busy: they are an answer or a refusal at once."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(text)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 0.25)
    try:
        assert parse_amount(text) == 0
    except NotAnAmount:
        pass  # as good an answer
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_minor_digits_are_those_of_iso_4217() -> None:
    """Currencies without minor units, or with four digits, are stored as ISO 4217 has them."""
    without = ["BIF", "DJF", "GNF", "KMF", "RWF", "UYI", "VUV"]

    assert {name: pico_digits(name) for name in without} == dict.fromkeys(without, 10)
    assert {name: pico_digits(name) for name in ("CLF", "UYW")} == {"CLF": 14, "UYW": 14}


@given(st.integers(-9 * 10**30, 9 * 10**30))
def test_a_stored_amount_is_the_same_again(amount: int) -> None:
    """The two integers that are stored of an amount make it again; the low one is a part of the base."""
    high, low = split(amount)

    assert join(high, low) == amount
    assert 0 <= low < HALF
    assert -(2**63) <= high < 2**63


@pytest.mark.parametrize(("currency", "picos"), [("USD", 10**27), ("JPY", 10**25), ("KWD", 10**28), ("CLF", 10**29)])
def test_the_largest_amount_is_as_many_units_of_every_currency(currency: str, picos: int) -> None:
    """An amount may be 10^15 units of its currency, and sums have room for many of those."""
    assert amount_max(currency) == picos
    assert format_amount(picos, currency) == "1000000000000000"


@pytest.mark.parametrize("text", ["1_000", "٣", " 1", "1 ", "0x1", "1e", "."])
def test_only_plain_digits_are_an_amount(text: str) -> None:
    """What only Python takes for a number is none: underscores, blanks, digits of other scripts."""
    with pytest.raises(NotAnAmount, match="write one such as"):
        parse_amount(text)


def test_a_price_is_not_negative() -> None:
    """What is charged, or limits what is, is 0 or more."""
    assert parse_price("0.5") == parse_amount("0.5")
    assert parse_price("-0") == 0
    with pytest.raises(NotAnAmount, match="must not be negative: -1"):
        parse_price("-1")
