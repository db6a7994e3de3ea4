"""What is billed by the call, the search or the session is read from answers, or charged by a written rule."""

import json
from typing import Any

import msgspec
import pytest
from tests.services.stand_in import events, price, settled, streamed, whole

from pertoken.core.events import Event, EventStatus
from pertoken.core.money import format_amount
from pertoken.core.price_book import PriceBook
from pertoken.core.units import TOKEN_UNITS
from pertoken.services.extract import extract_usage
from pertoken.settings import Settings
from pertoken.wire import usage_rules
from pertoken.wire.usage_table import UsageTable
from pertoken.wiring.prices import shipped_price_book

CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TOKENS = {"input_tokens": 10, "output_tokens": 5}
GEMINI = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def _code(*containers: str | None) -> dict[str, Any]:
    return {"output": [{"type": "code_interpreter_call", "container_id": one} for one in containers]}


def _tools(**calls: int) -> dict[str, Any]:
    return {**CHAT, "server_side_tool_usage_details": {"web_search_calls": 0, **calls}}


def _grounded(**grounding: Any) -> dict[str, Any]:
    return {"candidates": [{"finishReason": "STOP", "groundingMetadata": grounding}]}


TOLD: list[tuple[str, str, str, dict[str, Any], dict[str, Any], dict[str, int]]] = [
    ("one container", "openai.responses", "openai", TOKENS, _code("a", "a"), {"code_sessions": 1}),
    ("two containers", "openai.responses", "openai", TOKENS, _code("a", "b", "a"), {"code_sessions": 2}),
    ("containers without a name", "openai.responses", "openai", TOKENS, _code(None, None), {"code_sessions": 2}),
    ("searches of X", "openai.chat", "xai", _tools(web_search_calls=2, x_search_calls=3), {}, {"web_searches": 5}),
    ("xAI's code", "openai.chat", "x-ai", _tools(code_interpreter_calls=2), {}, {"code_sessions": 2}),
    ("maps", "gemini.generate", "google", GEMINI, _grounded(groundingChunks=[{"maps": {}}] * 3), {"map_queries": 1}),
    ("a widget", "gemini.generate", "google", GEMINI, _grounded(googleMapsWidgetContextToken="t"), {"map_queries": 1}),
    ("no maps", "gemini.generate", "google", GEMINI, _grounded(groundingChunks=[{"web": {}}]), {"web_searches": 1}),
]


@pytest.mark.parametrize(("kind", "unit"), [("search", "web_searches"), ("python", "code_sessions")])
@pytest.mark.parametrize("priced", [False, True], ids=["without a price", "priced"])
def test_what_groq_ran_is_charged_or_unpriced(kind: str, unit: str, priced: bool) -> None:
    """A run that Groq bills costs what its row says; where none does, the call is unpriced, and not free of it."""
    rows = [price(one, 1, provider="groq") for one in ("input_tokens", "output_tokens")]
    book = PriceBook([*rows, price(unit, 5_000, provider="groq")] if priced else rows)
    choices = [{"message": {"content": "hi", "executed_tools": [{"index": 0, "type": kind}]}, "finish_reason": "stop"}]
    event = settled("openai.chat", "groq", whole("openai.chat", CHAT, choices=choices), book=book)

    assert event.quantities[unit] == 1
    assert event.status is (EventStatus.PRICED if priced else EventStatus.UNPRICED)
    assert event.cost_picos == 5_015 if priced else event.cost_picos > 15


def read_both(api: str, provider: str, answer: bytes, *, stream: bool) -> tuple[Event, dict[str, Any]]:
    """Return what the gateway settles, and what `extract` answers."""
    body, sse = (None, answer.decode()) if stream else (answer, None)
    found = json.loads(msgspec.json.encode(extract_usage(api, provider, body, sse)))
    return settled(api, provider, answer, stream=stream), found


@pytest.mark.parametrize(
    ("api", "provider", "usage", "fields", "units"), [one[1:] for one in TOLD], ids=[one[0] for one in TOLD]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_answers_tell_is_counted(
    api: str, provider: str, usage: dict[str, Any], fields: dict[str, Any], units: dict[str, int], stream: bool
) -> None:
    """Sessions, searches and maps come out of the answer, in the gateway as in `extract`, and are charged."""
    event, found = read_both(api, provider, (streamed if stream else whole)(api, usage, **fields), stream=stream)
    beside = {unit: many for unit, many in event.quantities.items() if unit not in TOKEN_UNITS and many}

    assert beside == units
    assert {unit: many for unit, many in found["usage"].items() if unit not in TOKEN_UNITS and many} == units
    assert {unit for unit, *_ in event.lines} >= units.keys()


@pytest.mark.parametrize("where", ["whole", "start", "delta", "nowhere"])
def test_a_container_of_anthropic_is_one_session(where: str) -> None:
    """A message that names its container ran code in it: one session, wherever in the answer it is named."""
    container = {"id": "c", "expires_at": "2026-11-27T00:00:00Z"}
    usage = {"input_tokens": 10, "output_tokens": 5}
    if where == "whole":
        answer = whole("anthropic.messages", usage, container=container)
    else:
        start = {"model": "m-1", "usage": usage, "container": container if where == "start" else None}
        delta = {"container": container if where == "delta" else None}
        answer = events(
            [
                {"type": "message_start", "message": start},
                {"type": "message_delta", "delta": delta, "usage": usage},
                {"type": "message_stop"},
            ]
        )
    event, found = read_both("anthropic.messages", "anthropic", answer, stream=where != "whole")

    assert event.quantities.get("code_sessions") == (None if where == "nowhere" else 1)
    assert found["usage"] == event.quantities


def test_grounding_in_an_earlier_piece_is_counted() -> None:
    """Searches that a piece tells before the last one are billed all the same."""
    early = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}], "modelVersion": "gemini-3-pro"}
    last = {"modelVersion": "gemini-3-pro", "candidates": [{"finishReason": "STOP"}], "usageMetadata": GEMINI}
    event, found = read_both("gemini.generate", "google", events([early, last]), stream=True)

    assert event.quantities["web_searches"] == found["usage"]["web_searches"] == 2


@pytest.mark.parametrize(("size", "cost"), [("low", 5), ("HIGH", 14), (None, 14), ("unheard of", 14)])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_price_of_a_request_depends_on_what_was_served(size: str | None, cost: int, stream: bool) -> None:
    """Perplexity's usage says how much of the web was read, and the price of the request is the one for that."""
    rows = [price("requests", 14, provider="perplexity"), price("input_tokens", 0, provider="perplexity")]
    rows.append(price("output_tokens", 0, provider="perplexity"))
    rows += [
        price("requests", amount, provider="perplexity", price_id=at, conditions=(("search_context_size", at),))
        for at, amount in (("low", 5), ("high", 14))
    ]
    usage = {**CHAT, "search_context_size": size}
    answer = (streamed if stream else whole)("openai.chat", usage)
    event = settled("openai.chat", "perplexity", answer, stream=stream, book=PriceBook(rows))

    if size == "unheard of":
        assert event.status is EventStatus.UNPRICED
    else:
        assert (event.cost_picos, event.quantities["requests"]) == (cost, 1)


@pytest.mark.parametrize(
    ("model", "cost"), [("gpt-4o-search-preview", "0.025075"), ("gpt-4o-mini-search-preview", "0.0250045")]
)
def test_search_models_cost_a_request_a_call(model: str, cost: str) -> None:
    """OpenAI's search models search in every call and do not say so: 25 a thousand calls, shown among what was used."""
    answer = whole("openai.chat", CHAT, model=model)
    book = shipped_price_book(Settings(), 1_795_780_800_000_000)
    event = settled("openai.chat", "openai", answer, book=book, model=model)

    assert (format_amount(event.cost_picos), event.quantities["requests"]) == (cost, 1)


def test_every_unit_with_a_price_is_told_or_has_a_rule() -> None:
    """Whatever the shipped prices charge for beside tokens, some answer tells it, or it is written down what holds."""
    book = shipped_price_book(Settings(), 1_795_780_800_000_000)
    priced = {row.unit for row in book.rows if not row.is_factor} - TOKEN_UNITS
    tables = [one for one in vars(usage_rules).values() if isinstance(one, UsageTable)]
    told = {row.unit for one in tables for row in one.rules} | {row.name for one in tables for row in one.stated}
    told |= {unit for unit, _ in usage_rules.RESPONSES_ITEMS.values()} | {"map_queries"}  # of Gemini's candidates

    assert priced - told <= usage_rules.UNTOLD.keys()
    assert not told & usage_rules.UNTOLD.keys()
