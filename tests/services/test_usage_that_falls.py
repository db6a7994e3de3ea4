"""What the gateway charges where a stream takes back usage that it told before: the dearest that holds."""

import json
from typing import Any

import pytest
from tests.services.stand_in import events, price, settled

from pertoken.core.events import Event, EventStatus
from pertoken.core.price_book import PriceBook, Sellers

PICOS = {
    "input_tokens": 10,
    "input_audio_tokens": 500,
    "cache_read_tokens": 1,
    "cache_write_tokens": 12,
    "cache_write_1h_tokens": 20,
    "output_tokens": 50,
    "web_searches": 9_000,
}


def gemini(*usages: object) -> list[object]:
    """Return a stream of pieces with these usages, of which the last ends it."""
    said: list[dict[str, Any]] = [{"modelVersion": "m-1", "usageMetadata": one} for one in usages]
    said[-1]["candidates"] = [{"finishReason": "STOP"}]
    return list(said)


def gemini_usage(prompt: int, output: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a usageMetadata."""
    told = {} if output is None else {"candidatesTokenCount": output}
    total = prompt + (output or 0) + more.get("thoughtsTokenCount", 0)
    return {"promptTokenCount": prompt, **told, "totalTokenCount": total, **more}


def anthropic(start: dict[str, Any], *deltas: dict[str, Any]) -> list[object]:
    """Return a stream of a start and these deltas."""
    begun = {"type": "message_start", "message": {"model": "m-1", "usage": {"output_tokens": 1, **start}}}
    return [begun, *({"type": "message_delta", "usage": one} for one in deltas), {"type": "message_stop"}]


def chat(*chunks: dict[str, Any]) -> list[object]:
    """Return a stream of chunks without choices, each with usage and whatever else it says."""
    return [{"model": "m-1", "choices": [], **one} for one in chunks]


def chat_usage(prompt: int, output: int, **more: Any) -> dict[str, Any]:
    """Return the usage of a chat completion."""
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": output, **more}}


def responses(*said: tuple[str, tuple[int, int] | None]) -> list[object]:
    """Return a stream of these events, each with its input and output."""
    return [
        {
            "type": f"response.{kind}",
            "response": {
                "model": "m-1",
                "usage": None if told is None else {"input_tokens": told[0], "output_tokens": told[1]},
            },
        }
        for kind, told in said
    ]


WRITES = {"input_tokens": 10, "cache_creation_input_tokens": 1000}
HOUR, FIVE = (
    {"cache_creation": {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": five}}
    for hour, five in ((1000, 0), (0, 1000))
)
FULL = 1000 * 10 + 500 * 50
GEMINI, ANTHROPIC, CHAT, RESPONSES = "gemini.generate", "anthropic.messages", "openai.chat", "openai.responses"
FALLS: list[tuple[str, str, list[object], int]] = [
    ("both sides", GEMINI, gemini(gemini_usage(1000, 500), gemini_usage(10, 5)), FULL),
    (
        "thoughts",
        GEMINI,
        gemini(gemini_usage(1000, 5, thoughtsTokenCount=5000), gemini_usage(1000, 10)),
        1000 * 10 + 5005 * 50,
    ),
    ("an end that is empty", GEMINI, gemini(gemini_usage(1000, 500), {}), FULL),
    ("an end without output", GEMINI, gemini(gemini_usage(1000, 500), gemini_usage(1000)), FULL),
    ("a rise, a fall, a rise", GEMINI, gemini(*(gemini_usage(1000, one) for one in (1, 500, 2, 3))), FULL),
    (
        "what was not cached is",
        GEMINI,
        gemini(
            gemini_usage(1000, 500, cachedContentTokenCount=0), gemini_usage(1000, 500, cachedContentTokenCount=1000)
        ),
        FULL,
    ),
    (
        "output",
        ANTHROPIC,
        anthropic({"input_tokens": 1000}, {"output_tokens": 500}, {"output_tokens": 2}),
        FULL,
    ),
    (
        "searches",
        ANTHROPIC,
        anthropic(
            {"input_tokens": 1000, "server_tool_use": {"web_search_requests": 3}},
            {"output_tokens": 500, "server_tool_use": {"web_search_requests": 0}},
        ),
        FULL + 3 * 9_000,
    ),
    (
        "writes for an hour",
        ANTHROPIC,
        anthropic({**WRITES, **HOUR}, {**WRITES, **FIVE, "output_tokens": 500}),
        10 * 10 + 1000 * 20 + 500 * 50,
    ),
    (
        "sound",
        CHAT,
        chat(
            chat_usage(1000, 500, prompt_tokens_details={"audio_tokens": 400}),
            chat_usage(1000, 500, prompt_tokens_details={"audio_tokens": 0}),
        ),
        FULL + 400 * 490,
    ),
    (
        "what was not cached is",
        CHAT,
        chat(*(chat_usage(1000, 500, prompt_tokens_details={"cached_tokens": many}) for many in (0, 1000))),
        FULL,
    ),
    (
        "what was not cached is, and the output grows",
        CHAT,
        chat(
            *(chat_usage(1000, out, prompt_tokens_details={"cached_tokens": many}) for many, out in ((0, 5), (9, 500)))
        ),
        FULL,
    ),
    ("each side once", CHAT, chat(chat_usage(1000, 5), chat_usage(10, 500)), FULL),
    ("failed without usage", RESPONSES, responses(("completed", (1000, 500)), ("failed", None)), FULL),
    ("two ends", RESPONSES, responses(("completed", (1000, 500)), ("completed", (1, 1))), FULL),
]


def book_of(provider: str) -> PriceBook:
    """Return a book of PICOS."""
    return PriceBook([price(unit, picos, provider=provider) for unit, picos in PICOS.items()])


def charged(api: str, said: list[object], provider: str = "", book: PriceBook | None = None) -> Event:
    """Return the event of a stream that said this, at PICOS."""
    provider = provider or {GEMINI: "google", ANTHROPIC: "anthropic"}.get(api, "openai")
    ends = b"data: [DONE]\n\n" if api == CHAT else b""
    return settled(api, provider, events(said) + ends, stream=True, book=book or book_of(provider))


def test_pieces_of_an_array_are_not_taken_back() -> None:
    """What holds for events holds for a stream that is one JSON array."""
    for _, api, said, cost in FALLS:
        if api == GEMINI:
            event = settled(api, "google", json.dumps(said).encode(), stream=True, book=book_of("google"))
            assert (event.cost_picos, event.status) == (cost, EventStatus.CONTRADICTORY)


@pytest.mark.parametrize(("api", "said", "cost"), [one[1:] for one in FALLS], ids=[f"{a[1]}-{a[0]}" for a in FALLS])
def test_what_was_told_is_not_taken_back(api: str, said: list[object], cost: int) -> None:
    """A stream that tells less than before is charged for the dearest that it may mean, and marked."""
    event = charged(api, said)

    assert (event.cost_picos, event.status) == (cost, EventStatus.CONTRADICTORY)
    assert str(event.reason).startswith("usage fell: the ")
    assert event.raw


GROWS: list[tuple[str, str, list[object], int]] = [
    ("output", GEMINI, gemini(gemini_usage(1000), gemini_usage(1000, 5), gemini_usage(1000, 500)), FULL),
    ("output", ANTHROPIC, anthropic({"input_tokens": 1000}, {"output_tokens": 5}, {"output_tokens": 500}), FULL),
    ("output", CHAT, chat(chat_usage(1000, 5), chat_usage(1000, 500), {"usage": None}), FULL),
    (
        "what is cached is told late",
        CHAT,
        chat(chat_usage(1000, 5), chat_usage(1000, 500, prompt_tokens_details={"cached_tokens": 1000})),
        1000 + 500 * 50,
    ),
    ("output", RESPONSES, responses(("in_progress", (1000, 5)), ("completed", (1000, 500))), FULL),
    ("a cancelled answer", RESPONSES, responses(("created", None), ("cancelled", (1000, 500))), FULL),
]


@pytest.mark.parametrize(("api", "said", "cost"), [one[1:] for one in GROWS], ids=[f"{a[1]}-{a[0]}" for a in GROWS])
def test_usage_that_grows_is_the_last_word(api: str, said: list[object], cost: int) -> None:
    """A stream whose usage grows is charged for the last of it, and nothing is marked."""
    event = charged(api, said)

    assert (event.cost_picos, event.status, event.reason) == (cost, EventStatus.PRICED, None)


def test_usage_before_the_end_is_charged_though_the_end_has_none() -> None:
    """Usage of an answer in progress counts at least, where its end tells nothing."""
    event = charged(RESPONSES, responses(("in_progress", (1000, 500)), ("completed", None)))

    assert event.cost_picos == FULL
    assert event.reason


def test_output_of_zero_where_something_was_written() -> None:
    """Output is counted where the last word is that there was none, and the first that there was some."""
    text = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "word " * 50}}
    start, *rest = anthropic({"input_tokens": 1000}, {"output_tokens": 0})
    event = charged(ANTHROPIC, [start, text, *rest])

    assert event.quantities["output_tokens"] >= 50


def test_a_stated_cost_is_not_taken_back() -> None:
    """Of two costs that a provider states the dearer is charged, and the fall is told."""
    rows = [price(unit, provider="openrouter") for unit in PICOS]
    book = PriceBook(rows, Sellers(charge_as_stated=frozenset({"openrouter"})))
    event = charged(CHAT, chat(chat_usage(10, 5, cost=0.77), chat_usage(10, 5, cost=0)), "openrouter", book)

    assert event.cost_picos == 770_000_000_000
    assert event.reason == "usage fell: the stated cost"


TIERS = [
    (GEMINI, gemini(gemini_usage(9, 5, trafficType="ON_DEMAND_PRIORITY"), gemini_usage(9, 5)), "priority"),
    (CHAT, chat({"service_tier": "priority"}, {"service_tier": "default", **chat_usage(9, 5)}), "priority"),
    (CHAT, chat({"service_tier": "default"}, {"service_tier": "flex", **chat_usage(9, 5)}), "flex"),
]


@pytest.mark.parametrize(("api", "said", "tier"), TIERS)
def test_a_tier_is_not_taken_back(api: str, said: list[object], tier: str) -> None:
    """A tier with a price of its own stays, whatever standard tier a later event names."""
    assert charged(api, said).service_tier == tier
