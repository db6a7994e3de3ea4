"""Prices of the reviewed rules, as they are shipped: what was missing in the lists, and what is known to be missing."""

from typing import Any

import pytest
from tests.services.desk import shipped_book

from pertoken.core.conditions import context
from pertoken.core.periods import parse_time
from pertoken.core.rates import Rates
from pertoken.core.units import TOKEN_UNITS
from pertoken.services.rate import rate_usage

TODAY_US = parse_time("2026-11-27T12:00:00Z")
TOKENS = {"input_tokens": 1000, "output_tokens": 1000}
OSS = "openai/gpt-oss-120b"
PREVIEW = "gemini-3.1-flash-lite-preview"
# provider, model, what decides, usage, cost
STATED: list[tuple[str, str, dict[str, Any], dict[str, int], str]] = [
    ("groq", OSS, {}, {"web_searches": 2}, "0.01"),
    ("groq", "openai/gpt-oss-20b", {}, {"web_searches": 1}, "0.005"),
    ("google", PREVIEW, {"service_tier": "flex"}, TOKENS, "0.000875"),
    ("google", PREVIEW, {"service_tier": "priority"}, TOKENS, "0.00315"),
    ("openai", "gpt-5", {"service_tier": "priority"}, TOKENS, "0.0225"),
    ("openai", "gpt-5", {"service_tier": "priority", "at": "2026-06-01T00:00:00Z"}, TOKENS, "0.0225"),
    ("openai", "gpt-5-2025-08-07", {"service_tier": "priority", "at": "2026-06-01T00:00:00Z"}, TOKENS, "0.0225"),
    ("openai", "gpt-5.2", {"service_tier": "priority", "at": "2026-06-01T00:00:00Z"}, TOKENS, "0.0315"),
]
# Nobody states these: they stay unpriced, and are charged provisionally.
UNSTATED: list[tuple[str, str, dict[str, Any], dict[str, int]]] = [
    ("groq", "groq/compound", {}, TOKENS),
    ("groq", OSS, {}, {"code_sessions": 1}),
    ("openai", "gpt-5", {"service_tier": "priority", "at": "2026-05-01T00:00:00Z"}, TOKENS),
]


@pytest.mark.parametrize(("provider", "model", "how", "usage", "cost"), STATED)
def test_what_a_list_states_is_priced(
    provider: str, model: str, how: dict[str, Any], usage: dict[str, int], cost: str
) -> None:
    """Each of these has a row with its source."""
    line = {"provider": provider, "model": model, "usage": usage, **how}
    rated = rate_usage(line, shipped_book(), TODAY_US, None)

    assert (rated["status"], rated.get("cost")) == ("priced", cost)


@pytest.mark.parametrize(("provider", "model", "how", "usage"), UNSTATED)
def test_what_nobody_states_is_unpriced(provider: str, model: str, how: dict[str, Any], usage: dict[str, int]) -> None:
    """Of these no source states a price: none is made up."""
    line = {"provider": provider, "model": model, "usage": usage, **how}

    assert rate_usage(line, shipped_book(), TODAY_US, None)["status"] == "unpriced"


# Nobody states what these cost in the dearer tier: they cost what they do in the standard one.
AT_THE_STANDARD_PRICE = {("google", "gemini-2.5-flash-image", "priority", "output_image_tokens")}


@pytest.mark.parametrize("tier", ["priority", "fast"])
def test_a_dearer_tier_is_dearer_for_every_kind_of_token(tier: str) -> None:
    """Where input costs more in a tier, no other kind of token costs there what it does in the standard one."""
    book = shipped_book()
    tiered = {(row.provider, row.model) for row in book.rows if ("service_tier", tier) in row.conditions}
    missed = set()
    for provider, model in tiered:
        standard = book.resolve(provider, model, TODAY_US, context(None))
        dear = book.resolve(provider, model, TODAY_US, context(tier))
        if not isinstance(standard, Rates) or not isinstance(dear, Rates):
            continue
        for unit in TOKEN_UNITS:
            one, other = standard.at(1).price(unit), dear.at(1).price(unit)
            if one is not None and other is not None and one.amount_picos and one.price_id == other.price_id:
                missed.add((provider, model, tier, unit))

    assert tiered
    assert missed <= AT_THE_STANDARD_PRICE
