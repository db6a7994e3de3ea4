"""When the prices of models changed, and by how much: marks in charts of what was spent."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates

UNITS = ("input_tokens", "output_tokens")
CHANGES_MAX = 20  # of one model, that are looked for


class PriceChange(NamedTuple):
    """One change of a model's price."""

    at_us: int
    provider: str
    model: str
    percent: Decimal  # of what a million input and a million output tokens cost together


def price_changes(
    book: PriceBook, models: Iterable[tuple[str, str]], since_us: int, until_us: int
) -> list[PriceChange]:
    """Return the changes within [since, until) of these (provider, model), in order."""
    found = [one for provider, model in models for one in _of_model(book, provider, model, since_us, until_us)]
    return sorted(found)


def _of_model(book: PriceBook, provider: str, model: str, since_us: int, until_us: int) -> Iterator[PriceChange]:
    now = book.resolve(provider, model, until_us - 1)
    for _ in range(CHANGES_MAX):
        at_us = now.valid_from_us
        if at_us <= since_us:
            return
        before = book.resolve(provider, model, at_us - 1)
        change = _percent(_price(before), _price(now))
        if change:
            yield PriceChange(at_us, provider, model, change)
        now = before


def _price(rates: object) -> Fraction | None:
    """Return what a token of input and one of output cost together, in picos."""
    if not isinstance(rates, Rates):
        return None
    prices = [rates.at(0).price(unit) for unit in UNITS]
    return sum((Fraction(one.amount_picos, one.per) for one in prices if one is not None), Fraction(0))


def _percent(before: Fraction | None, now: Fraction | None) -> Decimal | None:
    if not before or now is None:
        return None
    share = (now - before) * 100 / before
    return Decimal(share.numerator) / share.denominator


def cache_saves(book: PriceBook, models: Iterable[tuple[str, str]], at_us: int) -> dict[tuple[str, str], Fraction]:
    """Return by how many picos a token of input is cheaper where it is read from cache, where that is known."""
    found = {}
    for provider, model in models:
        rates = book.resolve(provider, model, at_us)
        if not isinstance(rates, Rates):
            continue
        whole, cached = (rates.at(0).price(unit) for unit in ("input_tokens", "cache_read_tokens"))
        if whole is not None and cached is not None:
            found[provider, model] = Fraction(whole.amount_picos, whole.per) - Fraction(cached.amount_picos, cached.per)
    return found
