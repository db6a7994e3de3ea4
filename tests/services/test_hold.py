"""What a call holds: at the dearest of the prices that can apply, in their currency."""

from types import SimpleNamespace
from typing import Any

import pytest

from pertoken.core.admission import Bound, amount_of
from pertoken.core.errors import Code, Refusal
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.rates import Rates

BOUND = Bound({"input_tokens": 100, "output_tokens": 10}, 10, counted=True)


def rates(model: str, currency: str, picos: int) -> Rates:
    """Return the prices of a model: so many picos for each token."""
    rows = [
        PriceRow(f"pr_{model}_{unit}", "maker", model, Match.EQUALS, unit, picos, 1, currency, 0, 2**60, 0,
                 Source.OPERATOR, "")
        for unit in ("input_tokens", "output_tokens")
    ]  # fmt: skip
    found = PriceBook(rows).resolve("maker", model, 1)
    assert isinstance(found, Rates)
    return found


def request(*possible: Rates) -> Any:
    """Return a request that may be charged at any of `possible`."""
    return SimpleNamespace(model="m", rates=possible, facts=SimpleNamespace(long_cache=False, repeats=1))


@pytest.mark.parametrize(("currencies", "expected"), [((), 0), (("CNY",), 110), (("CNY", "CNY"), 220)])
def test_the_dearest_of_one_currency_is_held(currencies: tuple[str, ...], expected: int) -> None:
    """Of several prices in one currency the dearest is held; a free call holds nothing."""
    possible = [rates(f"m{number}", currency, number + 1) for number, currency in enumerate(currencies)]

    assert amount_of(request(*possible), BOUND) == expected


@pytest.mark.parametrize("second", ["CNY", "EUR"])
def test_prices_in_several_currencies_are_refused(second: str) -> None:
    """No amount is the dearest of two currencies: the call is refused, whichever number is larger."""
    possible = (rates("m0", "USD", 1), rates("m1", second, 1_000))
    for order in (possible, possible[::-1]):
        refusal = amount_of(request(*order), BOUND)

        assert isinstance(refusal, Refusal)
        assert refusal.code is Code.PRICE_UNKNOWN
        assert "USD" in refusal.message
        assert second in refusal.message


@pytest.mark.parametrize(
    ("picos", "output"),
    [(1, 10**12), (10**26, 10), (1, 10**30)],
    ids=["tokens", "money", "both"],
)
def test_what_no_account_could_hold_is_not_forwarded(picos: int, output: int) -> None:
    """A call that could come to more tokens, or more money, than one call may is refused, and is told the most."""
    bound = Bound({"input_tokens": 1, "output_tokens": output}, output, counted=True)
    refusal = amount_of(request(rates("m", "USD", picos)), bound)

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.INVALID_REQUEST
    assert "the most is 1000000000000000 USD and 1000000000000 tokens" in refusal.message
