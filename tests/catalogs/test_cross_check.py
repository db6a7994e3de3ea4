"""Every model of the installed genai-prices, over random usage, against that package's own result."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers

from pertoken.catalogs import genai, history, rules
from pertoken.core.conditions import Context, context
from pertoken.core.periods import to_us
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, rate

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT_US = to_us(AT)
ROUNDS = 4

RESOLD = "each call is a search, and the list has no fee of it; that of the provider who makes the model is taken"
# Where our own dated points or rules say otherwise, and why they win.
REVIEWED = {
    ("deepseek", "deepseek-chat"): "models.dev has 0.14/0.28 since 2026-04-25; the list still has the prices of 2025",
    ("mistral", "mistral-large"): "models.dev has 0.5/1.5 since 2025-12-08, when the name moved to Large 3",
    ("deepseek", "deepseek-reasoner"): "V4 Flash answers it since April 2026; the list still has R1's price",
    ("deepseek", "deepseek-v3.2"): "DeepSeek announced 0.28/0.42; the list has a reseller's price",
    ("google", "gemini-1.0-pro"): "tokencost's history has 0.5/1.5; the list has a quarter of it",
    ("google", "gemini-2.5-flash-preview"): "3.50 out with thinking, the default; the list has the price without",
    ("openai", "gpt-4o-search-preview"): "each call is a search, at 25 per 1,000; the list has the tokens alone",
    ("openai", "gpt-5-search-api"): "each call is a search, at 10 per 1,000; the list has the tokens alone",
    ("openai", "gpt-5.5-pro"): "in batch the list leaves out the step at 272,000 tokens",
    ("openai", "gpt-5.6-cyber"): "the page names no price of long context; the dearer reading is its sisters' step",
    ("openrouter", "openai/gpt-4o-mini-search-preview"): RESOLD,
    ("openrouter", "openai/gpt-4o-search-preview"): RESOLD,
    ("openrouter", "perplexity/sonar"): RESOLD,
    ("openrouter", "perplexity/sonar-pro"): RESOLD,
    ("openrouter", "perplexity/sonar-pro-search"): RESOLD,
    ("openrouter", "perplexity/sonar-reasoning"): RESOLD,
    ("openrouter", "perplexity/sonar-reasoning-pro"): RESOLD,
    ("perplexity", "sonar-reasoning"): "LiteLLM has 14 per 1,000 calls with the largest context; the dearer reading",
    ("x-ai", "grok-code-fast-1"): "retired on 2026-05-15 and charged as grok-build-0.1 since",
}


def to_context(when: Mapping[str, str]) -> Context:
    """Return our context of a variant's."""
    known = {"service_tier", "processing", "speed"}
    return context(
        when.get("service_tier"),
        batch=when.get("processing") == "batch",
        speed=when.get("speed"),
        attributes=tuple(sorted((key, value) for key, value in when.items() if key not in known)),
    )


def some_usage(chance: random.Random) -> dict[str, int]:
    """Return a usage on either side of every context tier."""
    total = chance.choice([100, 5_000, 127_000, 150_000, 199_999, 200_001, 250_000, 272_000, 300_000])
    write = chance.randrange(total // 4 + 1)
    return {
        "input_tokens": total,
        "cache_read_tokens": chance.randrange(total // 2 + 1),
        "cache_write_tokens": write,
        "cache_write_1h_tokens": chance.randrange(write + 1),
        "output_tokens": chance.randrange(5_000),
    }


@pytest.mark.parametrize("whole", [False, True], ids=["its rows alone", "the shipped book"])
def test_every_model_costs_what_the_package_says(whole: bool) -> None:
    """Equal to the last digit in every context the list knows, or on the reviewed list; never a price by guess."""
    rows = genai.read(AT_US)
    book = PriceBook([*rows, *history.read(AT_US), *rules.read(AT_US)] if whole else rows)
    chance = random.Random(20261123)
    compared, different = 0, set()
    for provider in providers:
        for model in provider.models:
            for when in ({}, *(variant.when for variant in model.price_variants or ())):
                for _ in range(ROUNDS):
                    usage = some_usage(chance)
                    rates = book.resolve(provider.id, model.id, AT_US, to_context(when))
                    rated = rate(usage, rates) if isinstance(rates, Rates) else None
                    if not isinstance(rated, Rated):
                        continue  # the package leaves out what it has no price for; we refuse
                    try:
                        theirs = calc_price(
                            Usage(**usage),
                            model.id,
                            provider_id=provider.id,
                            genai_request_timestamp=AT,
                            price_context=dict(when) or None,
                        )
                    except LookupError:
                        continue  # it does not find some of its own models by their id
                    if theirs.model.id != model.id:
                        continue
                    compared += 1
                    # Some of its prices carry leftovers of float arithmetic beyond a pico a million.
                    if abs(Decimal(rated.cost_picos).scaleb(-12) - theirs.total_price) > Decimal("1e-11"):
                        different.add((provider.id, model.id))

    assert compared > 8_000
    assert different <= (REVIEWED.keys() if whole else set())
