"""What a provider says a call cost is carried exactly: by the gateway's reading, by `extract` and by ingestion."""

import json
from decimal import Decimal
from typing import Any

import pytest
from tests.services.stand_in import streamed, whole

from pertoken.core.events import reported_hash
from pertoken.core.facts import RequestFacts
from pertoken.core.price_book import PriceBook
from pertoken.core.usage import Reading
from pertoken.services.extract import extract_usage
from pertoken.services.ingest import NotAnEvent, read_event, to_event
from pertoken.wire import formats, providers

CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TOKENS = {"input_tokens": 10, "output_tokens": 5}
STATED: list[tuple[str, str, str, dict[str, Any], str | None]] = [
    ("openrouter", "openai.chat", "openrouter", {**CHAT, "cost": 0.0160614}, "0.0160614"),
    ("as written", "openai.chat", "openrouter", {**CHAT, "cost": 0.1}, "0.1"),
    ("nothing", "openai.chat", "openrouter", {**CHAT, "cost": 0}, "0"),
    (
        "one's own key",
        "openai.chat",
        "openrouter",
        {**CHAT, "cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}},
        "0.021",
    ),
    (
        "another's key",
        "openai.chat",
        "openrouter",
        {**CHAT, "cost": 0.001, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.02}},
        "0.001",
    ),
    ("ticks", "openai.chat", "xai", {**CHAT, "cost_in_usd_ticks": 12_345_678}, "0.0012345678"),
    ("ticks, responses", "openai.responses", "xai", {**TOKENS, "cost_in_usd_ticks": 10**10}, "1"),
    (
        "perplexity",
        "openai.chat",
        "perplexity",
        {**CHAT, "cost": {"request_cost": 0.006, "total_cost": 0.0061}},
        "0.0061",
    ),
    ("messages", "anthropic.messages", "openrouter", {**TOKENS, "cost": 0.25}, "0.25"),
    ("contradictory tokens", "openai.chat", "openrouter", {**CHAT, "total_tokens": 3, "cost": 0.5}, "0.5"),
    ("the total decides", "openai.chat", "openrouter", {**CHAT, "total_tokens": 30, "cost": 0.5}, "0.5"),
    ("no tokens", "openai.chat", "openrouter", {"cost": 0.5}, "0.5"),
    ("no amount", "openai.chat", "openrouter", {**CHAT, "cost": "much"}, None),
    ("less than nothing", "openai.chat", "openrouter", {**CHAT, "cost": -1}, None),
    ("one's own key, nothing of upstream", "openai.chat", "openrouter", {**CHAT, "cost": 0, "is_byok": True}, None),
    ("not told", "openai.chat", "openrouter", CHAT, None),
]


def read(api: str, provider: str, answer: bytes, *, stream: bool) -> Reading:
    """Return the gateway's reading of an answer."""
    served = formats.SERVED[api]
    rows = formats.dialect_served(served, provider, ())
    if not stream:
        return served.read_answer(answer, rows)
    reader = served.stream_reader(RequestFacts(model="m-1", stream=True), rows)
    reader.feed(answer)
    return reader.reading()


@pytest.mark.parametrize(
    ("api", "provider", "usage", "cost"), [one[1:] for one in STATED], ids=[one[0] for one in STATED]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_stated_cost_is_carried(
    api: str, provider: str, usage: dict[str, Any], cost: str | None, stream: bool
) -> None:
    """Each provider's cost comes out to the last digit, whole and streamed; the tokens come out beside it."""
    reading = read(api, provider, (streamed if stream else whole)(api, usage), stream=stream)

    assert reading.reported_cost == (None if cost is None else Decimal(cost))
    assert reading.quantities is not None or usage == {"cost": 0.5}


def test_an_amount_that_is_none_leaves_the_tokens() -> None:
    """Where the cost is no amount, that is said, and the tokens are read as they are."""
    reading = read("openai.chat", "openrouter", whole("openai.chat", {**CHAT, "cost": "much"}), stream=False)

    assert reading.quantities == {"input_tokens": 10, "output_tokens": 5}
    assert reading.contradiction == "cost is no amount: much"


def test_of_two_costs_the_larger_is_carried() -> None:
    """An answer with two usage objects carries the larger cost."""
    answer = b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.2},"usage":{"prompt_tokens":1,"cost":0.1}}'

    assert read("openai.chat", "openrouter", answer, stream=False).reported_cost == Decimal("0.2")


@pytest.mark.parametrize("name", ["openrouter", "OpenRouter"])
def test_extract_tells_what_ingestion_takes(name: str) -> None:
    """What `extract` writes of a cost, ingestion reads as the same number."""
    assert providers.known(name) == "openrouter"
    body = whole("openai.chat", {**CHAT, "cost": 0.0160614})
    found = extract_usage("openai.chat", name, body, None)
    line = {"id": "a", "at": "2026-11-27T00:00:00Z", "provider": name, **json.loads(json.dumps(found))}

    assert read_event(1, line, {}).stated == Decimal("0.0160614")


@pytest.mark.parametrize("stated", ["much", True, [], -1, "NaN", "1e99", {"total": 1}])
def test_a_reported_cost_that_is_none(stated: object) -> None:
    """A reported event whose cost is no amount is refused: what it cost is not guessed."""
    line = {"id": "a", "at": "2026-11-27T00:00:00Z", "provider": "p", "model": "m"}
    with pytest.raises(NotAnEvent, match="reported_cost must be an amount"):
        read_event(1, {**line, "usage": {"input_tokens": 1, "reported_cost": stated}}, {})


def test_another_cost_is_another_report() -> None:
    """The cost is part of what was reported: the same event with another cost conflicts."""
    line = {"id": "a", "at": "2026-11-27T00:00:00Z", "provider": "p", "model": "m"}
    hashes = {
        reported_hash(to_event(read_event(1, {**line, "usage": {"input_tokens": 1, **more}}, {}), PriceBook(()), 0))
        for more in ({}, {"reported_cost": "0.1"}, {"reported_cost": "0.2"}, {"reported_cost": None})
    }

    assert len(hashes) == 3
