"""The examples in docs/concepts are run: what a page says comes out, to the last digit."""

import json
import re
from pathlib import Path

import pytest
from tests.core.conftest import LISTS

from pertoken.catalogs import genai, history, providers, rules
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.services.extract import extract_usage
from pertoken.services.rate import rate_usage

PAGE = (Path(__file__).parent.parent / "docs" / "concepts" / "from-usage-to-money.md").read_text()
AT = "2026-11-23T12:00:00Z"
EXAMPLES = re.findall(r"```json\n(.*?)```.*?\*\*([\d.]+) USD\*\*", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the shipped price book."""
    at_us = parse_time(AT)
    return PriceBook([*genai.read(at_us), *history.read(at_us), *rules.read(at_us)], Sellers(providers.names(), LISTS))


@pytest.mark.parametrize(("line", "cost"), EXAMPLES)
def test_the_examples_come_out(book: PriceBook, line: str, cost: str) -> None:
    """Usage is extracted from the answer and rated at the page's instant: the page's amount, digit by digit."""
    asked = json.loads(line)
    found = extract_usage(asked["api"], asked["provider"], json.dumps(asked["body"]).encode(), None)
    rated = rate_usage(
        {**found, "provider": asked["provider"], "model": found["model"] or asked["model"], "at": AT,
         "batch": asked.get("batch", False)},
        book, 0, None,
    )  # fmt: skip

    assert rated["status"] == "priced", rated
    assert rated["cost"] == cost


def test_every_way_to_be_charged_has_an_example() -> None:
    """No provider is left out by an example that is not found."""
    assert len(EXAMPLES) == PAGE.count("```json")
    assert len(EXAMPLES) >= 12
