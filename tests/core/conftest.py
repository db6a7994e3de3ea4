"""The shipped prices, for rules that must hold for all of them."""

import pytest

from pertoken.catalogs import covers, genai, history, providers, rules
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook, Sellers

AT_US = parse_time("2026-11-23T12:00:00Z")
LISTS = {name: row.prices_from for name, row in providers.registry().items() if row.prices_from}


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """Return the shipped price book, with what the registry knows of its sellers."""
    rows = [*genai.read(AT_US), *history.read(AT_US), *rules.read(AT_US)]
    as_stated = frozenset(name for name, row in providers.registry().items() if row.charges_as_stated)
    return PriceBook(rows, Sellers(providers.names(), LISTS, as_stated, covers.read()))
