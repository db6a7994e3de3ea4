"""The worked examples of docs/concepts/when-knowledge-ends.md, made anew."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.services.stand_in import settled

from pertoken.catalogs import covers, genai, history, providers, rules
from pertoken.core.money import format_amount
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook, Sellers

PAGE = (Path(__file__).parents[2] / "docs/concepts/when-knowledge-ends.md").read_text()
AT_US = parse_time("2026-11-27T12:00:00Z")
USAGE = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
PICTURE = {"choices": [{"message": {"images": [{"type": "image_url"}]}, "finish_reason": "stop"}]}
SOUND = {"completion_tokens_details": {"audio_tokens": 40, "text_tokens": 10}}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the shipped price book."""
    registry = providers.registry()
    lists = {name: row.prices_from for name, row in registry.items() if row.prices_from}
    as_stated = frozenset(name for name, row in registry.items() if row.charges_as_stated)
    rows = [*genai.read(AT_US), *history.read(AT_US), *rules.read(AT_US)]
    return PriceBook(rows, Sellers(providers.names(), lists, as_stated, covers.read()))


def answer(named: str, usage: object, **fields: Any) -> bytes:
    """Return a chat completion."""
    message = {"role": "assistant", "content": "hello there, how are you"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    said = {"id": "x", "object": "chat.completion", "model": named, "choices": [choice], **fields}
    return json.dumps(said if usage is None else {**said, "usage": usage}).encode()


@pytest.mark.parametrize(
    ("provider", "model", "usage", "fields", "status", "cost"),
    [
        ("openai", "gpt-4o-mini", USAGE, {"service_tier": "scale"}, "unpriced", "0.0000858"),
        ("openai", "gpt-4o-mini", USAGE, {"model": "totally-other"}, "unpriced", "0.058"),
        ("openai", "gpt-4o-mini", None, {}, "priced", "0.0000048"),
        ("google", "gemini-2.5-flash", {**USAGE, "completion_tokens": 5, "total_tokens": 95}, {}, "priced",
         "0.0001935"),
        ("openai", "gpt-4o-mini", {**USAGE, "prompt_tokens_details": {"cached_tokens": 40}}, {}, "contradictory",
         "0.000033"),
        ("openrouter", "openai/gpt-4o-mini", {**USAGE, "cost": 0.0160614}, {}, "priced", "0.0160614"),
        ("openai", "gpt-4o-audio-preview", {**USAGE, **SOUND}, {}, "priced", "0.00335"),
        ("google", "gemini-2.5-flash-image", {"prompt_tokens": 20, "completion_tokens": 1_290}, PICTURE, "priced",
         "0.038706"),
    ],
)  # fmt: skip
def test_the_page_says_what_is_charged(
    book: PriceBook, provider: str, model: str, usage: object, fields: dict[str, Any], status: str, cost: str
) -> None:
    """Each example costs what the page says, and is marked as it says."""
    event = settled("openai.chat", provider, answer(model, usage, **fields), book=book, model=model)

    assert (event.status, format_amount(event.cost_picos)) == (status, cost)
    assert cost in PAGE
