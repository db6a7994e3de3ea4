"""Cache writes that may be kept for an hour, where usage does not say how long: they cost what an hour costs."""

import json
from typing import Any

import pytest
from tests.factories import own
from tests.services.stand_in import price, settled, streamed, whole

from pertoken.core.price_book import PriceBook
from pertoken.core.usage import Completeness

PICOS = {"input_tokens": 1, "output_tokens": 1, "cache_write_tokens": 5, "cache_write_1h_tokens": 8}
BOOK = PriceBook([price(unit, many, provider="p") for unit, many in PICOS.items()])
HOUR = [
    {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}
]
FIVE = json.loads(json.dumps(HOUR).replace('"1h"', '"5m"'))  # as long as that
SHORT = [{"role": "user", "content": "hi"}]
WHY = "usage does not say for how long the cache keeps what was written"


def messages(**creation: Any) -> dict[str, Any]:
    """Return a usage object that tells 100 written tokens."""
    told = {"cache_creation": creation} if creation else {}
    return {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 100, **told}


def chat(**details: Any) -> dict[str, Any]:
    """Return the same in words of chat."""
    return {
        "prompt_tokens": 100,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cache_write_tokens": 100, **details},
    }


CASES: list[tuple[str, str, dict[str, Any], Any, int, str | None]] = [
    ("not divided", "anthropic.messages", messages(), HOUR, 800, WHY),
    ("zeros", "anthropic.messages", messages(ephemeral_5m_input_tokens=0, ephemeral_1h_input_tokens=0), HOUR, 800, WHY),
    (
        "all short",
        "anthropic.messages",
        messages(ephemeral_5m_input_tokens=100, ephemeral_1h_input_tokens=0),
        HOUR,
        500,
        None,
    ),
    (
        "some long",
        "anthropic.messages",
        messages(ephemeral_5m_input_tokens=60, ephemeral_1h_input_tokens=40),
        HOUR,
        620,
        None,
    ),
    ("not asked for", "anthropic.messages", messages(), SHORT, 500, None),
    ("chat", "openai.chat", chat(), HOUR, 800, WHY),
    ("chat, not asked for", "openai.chat", chat(), SHORT, 500, None),
]


@pytest.mark.parametrize(
    ("api", "usage", "asked", "cost", "why"), [one[1:] for one in CASES], ids=[one[0] for one in CASES]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_writes_that_may_be_kept_for_an_hour(
    api: str, usage: dict[str, Any], asked: Any, cost: int, why: str | None, stream: bool
) -> None:
    """Where an hour was asked for and usage does not divide the writes, all of them cost the hour's price, marked."""
    silent = {"choices": []} if api == "openai.chat" else {}
    answer = (
        streamed(api, {**usage, "output_tokens": 1, "completion_tokens": 1}) if stream else whole(api, usage, **silent)
    )
    event = settled(api, "p", answer, book=BOOK, stream=stream, messages=asked)

    assert event.cost_picos == cost + (1 if stream else 0)
    assert (event.reason, event.completeness) == (why, Completeness.ESTIMATED if why else Completeness.FINAL)


@pytest.mark.parametrize("api", ["openai.chat", "anthropic.messages"])
def test_an_hour_is_held_for(api: str) -> None:
    """Where an hour of cache is asked for, its price is held for."""
    usage = chat() if api == "openai.chat" else messages()
    hour = settled(api, "p", whole(api, usage), book=BOOK, messages=HOUR)
    short = settled(api, "p", whole(api, usage), book=BOOK, messages=FIVE)

    assert own(hour).held_picos > own(short).held_picos
