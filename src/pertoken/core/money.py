"""Exact money: integer counts of a currency's smallest stored unit.

An amount is an integer count of 10^-(10 + minor digits) of the currency's major unit. For US dollars that is a
pico-dollar, 10^-12, so a list price of 0.15 USD per million tokens is exactly 150,000 picos a token. Nothing here
knows a float; `divide_half_even` rounds what is stored, and `short_amount` what people read.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

PICO_DIGITS_BEYOND_MINOR = 10

# ISO 4217 minor digits where they differ from 2 (ISO 4217 list one, amendment 176).
_MINOR_DIGITS = {
    "BHD": 3, "BIF": 0, "CLF": 4, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "UYW": 4, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip

TEXT_LETTERS_MAX = 100  # of an amount that is read
MAJOR_MAX = 10**15  # units of any currency that one amount may come to: a price, a limit, a hold, a cost
MAJOR_DIGITS_MAX = 16  # of whole units, before it is worth to compute how many there are
SIGNIFICANT = 4  # digits that people read of an amount below 1
HALF = 10**12  # a stored amount is two integers, high * HALF + low with 0 <= low < HALF: of US dollars, whole ones high


# Decimal itself would take digits of other scripts, underscores and blanks as well.
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|s?nan[0-9]*)", re.IGNORECASE)


class NotAnAmount(ValueError):
    """A text that should be an exact decimal amount is not one."""


@lru_cache(maxsize=256)
def pico_digits(currency: str) -> int:
    """Return how many decimal digits of `currency` are stored: 12 for USD, 10 for JPY."""
    return PICO_DIGITS_BEYOND_MINOR + _MINOR_DIGITS.get(currency, 2)


def parse_amount(text: str, currency: str = "USD") -> int:
    """Return the picos of a decimal text in the major unit ("0.15").

    Raises NotAnAmount when the text is no plain finite decimal, finer than the currency stores, or above MAJOR_MAX.
    """
    if len(text) > TEXT_LETTERS_MAX:
        raise NotAnAmount(f"not a decimal amount, too long: {text[:20]!r}...")
    if not _DECIMAL.fullmatch(text):
        raise NotAnAmount(f"not a finite amount: {text!r}" if _NOT_FINITE.fullmatch(text) else _not_decimal(text))
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise NotAnAmount(_not_decimal(text)) from error
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    shift = pico_digits(currency) + exponent
    whole = int("".join(map(str, digits)))
    if whole == 0:
        return 0
    if len(digits) + exponent > MAJOR_DIGITS_MAX:
        raise NotAnAmount(f"too large, an amount is at most {MAJOR_MAX} {currency}: {text!r}")
    if shift < -TEXT_LETTERS_MAX:  # finer than any number of digits that could be written here
        raise NotAnAmount(f"finer than {currency} is stored (10^-{pico_digits(currency)}): {text!r}")
    if shift >= 0:
        picos = whole * int(10**shift)
    else:
        picos, rest = divmod(whole, int(10**-shift))
        if rest:
            raise NotAnAmount(f"finer than {currency} is stored (10^-{pico_digits(currency)}): {text!r}")
    if picos > amount_max(currency):
        raise NotAnAmount(f"too large, an amount is at most {MAJOR_MAX} {currency}: {text!r}")
    return -picos if sign else picos


def parse_price(text: str, currency: str = "USD") -> int:
    """Return the picos of a decimal text that is charged, or that limits what is. Raises NotAnAmount, also below 0."""
    picos = parse_amount(text, currency)
    if picos < 0:
        raise NotAnAmount(f"must not be negative: {text}")
    return picos


def _not_decimal(text: str) -> str:
    return f"not a decimal amount: {text!r}; write one such as 0.15"


def format_amount(picos: int, currency: str = "USD") -> str:
    """Return the exact decimal text in the major unit, without exponent or trailing zeros ("0.0096")."""
    return _written(picos, *_scale(currency))


def _written(count: int, digits: int, scale: int) -> str:
    """Return a count of 10^-digits, which is 1 / scale, as a decimal text."""
    whole, rest = divmod(abs(count), scale)
    text = f"{whole}.{str(rest).zfill(digits).rstrip('0')}" if rest else str(whole)
    return f"-{text}" if count < 0 else text


@lru_cache(maxsize=256)
def _scale(currency: str) -> tuple[int, int]:
    digits = pico_digits(currency)
    return digits, int(10**digits)


@lru_cache(maxsize=256)
def amount_max(currency: str) -> int:
    """Return the picos of the largest amount there may be."""
    return MAJOR_MAX * _scale(currency)[1]


def split(amount: int) -> tuple[int, int]:
    """Return an amount, or a count, as the two integers that are stored of it: (high, low)."""
    return (0, amount) if 0 <= amount < HALF else divmod(amount, HALF)


def join(high: int, low: int) -> int:
    """Return the amount of two stored integers, or of sums of them."""
    return high * HALF + low if high else low


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half to even: the only rounding in pertoken.

    `denominator` must be positive.
    """
    assert denominator > 0, denominator
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def decimal_text(value: Fraction, digits_max: int = 18) -> str:
    """Return a number as a decimal text, exactly where it has one, else rounded half to even to `digits_max` digits."""
    digits, denominator = 0, value.denominator
    while 10**digits % denominator and digits < digits_max:
        digits += 1
    scale = int(10**digits)
    return _written(divide_half_even(value.numerator * scale, denominator), digits, scale)


def divide_up(numerator: int, denominator: int) -> int:
    """Return the least integer not below numerator / denominator: for holds, which must never be too small."""
    assert denominator > 0, denominator
    return -(-numerator // denominator)


def short_amount(exact: Decimal) -> str:
    """Return an amount as people read it, on pages and in tables.

    From 1 up it has two decimals and thousands separated, below 1 four significant digits; exact zero is 0.
    """
    if exact == 0:
        return "0"
    if abs(exact) >= 1:
        return f"{exact.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,f}"
    places = SIGNIFICANT - 1 - exact.adjusted()
    return f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"
