import pytest

from pertoken.core.currencies import CURRENCIES, NotACurrency, check_currency
from pertoken.core.money import _MINOR_DIGITS


def test_currencies_are_known_by_their_code() -> None:
    """Every currency whose digits are known is one; each code is three capital letters."""
    assert set(_MINOR_DIGITS) <= CURRENCIES
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
    assert check_currency("EUR") == "EUR"


@pytest.mark.parametrize(("code", "hint"), [("usd", "'USD'"), ("EURO", "'EUR'"), ("XQQ", "ISO 4217"), ("", "ISO 4217")])
def test_another_code_is_refused(code: str, hint: str) -> None:
    """What is none is refused, with the nearest one or where codes come from."""
    with pytest.raises(NotACurrency, match=hint):
        check_currency(code)
