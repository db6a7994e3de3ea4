"""Usage of every API's answers, whole and streamed: what each case says is worked by hand."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertoken.core.usage import leaves
from pertoken.services.extract import APIS, CannotExtract, extract_usage
from pertoken.wire import providers


class Case(NamedTuple):
    """One answer: its API, who gave it, what it says, and what is read from it."""

    name: str
    api: str
    provider: str
    body: dict[str, Any]
    usage: dict[str, Any]
    more: Mapping[str, Any] = MappingProxyType({})


def extract(api: str, provider: str | None, *, body: Any = None, sse: str | None = None) -> dict[str, Any]:
    """Return what a caller of the command line gets."""
    found = extract_usage(api, provider, None if body is None else json.dumps(body).encode(), sse)
    return dict(json.loads(msgspec.json.encode(found)))


def chat(usage: object, **fields: Any) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": 'a "usage": {"prompt_tokens": 1} of words'}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "c-1", "model": "m-1", "choices": choices, "usage": usage, **fields}


CHAT = {
    "prompt_tokens": 2_006,
    "completion_tokens": 300,
    "total_tokens": 2_306,
    "prompt_tokens_details": {"cached_tokens": 1_920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 128,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 10,
        "rejected_prediction_tokens": 5,
    },
}
CHAT_FOUND = {
    "input_tokens": 2_006,
    "cache_read_tokens": 1_920,
    "input_audio_tokens": 0,
    "output_tokens": 300,
    "reasoning_tokens": 128,
    "output_audio_tokens": 0,
}
PLAIN = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
PLAIN_FOUND = {"input_tokens": 10, "output_tokens": 5}

CHATS = [
    Case(
        "openai", "openai.chat", "openai", chat(CHAT, service_tier="default"), CHAT_FOUND, {"service_tier": "default"}
    ),
    Case(
        "cache writes",
        "openai.chat",
        "openai",
        chat({**PLAIN, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}}),
        {**PLAIN_FOUND, "cache_read_tokens": 4, "cache_write_tokens": 3},
    ),
    Case(
        "sound both ways",
        "openai.chat",
        "openai",
        chat(
            {
                **PLAIN,
                "prompt_tokens_details": {"audio_tokens": 6, "text_tokens": 4},
                "completion_tokens_details": {"audio_tokens": 3, "text_tokens": 2},
            }
        ),
        {**PLAIN_FOUND, "input_audio_tokens": 6, "output_audio_tokens": 3},
    ),
    Case("azure", "openai.chat", "azure", chat(PLAIN, prompt_filter_results=[]), PLAIN_FOUND),
    Case(
        "xai, reasoning beside",
        "openai.chat",
        "xai",
        chat(
            {
                "prompt_tokens": 1_000,
                "completion_tokens": 10,
                "total_tokens": 1_100,
                "completion_tokens_details": {"reasoning_tokens": 90},
                "cost_in_usd_ticks": 12_345_678,
                "server_side_tool_usage_details": {"web_search_calls": 2, "file_search_calls": 0},
            }
        ),
        {
            "input_tokens": 1_000,
            "output_tokens": 100,
            "reasoning_tokens": 90,
            "web_searches": 2,
            "file_searches": 0,
            "reported_cost": "0.0012345678",
        },
    ),
    Case(
        "xai, reasoning inside",
        "openai.chat",
        "x-ai",
        chat(
            {
                "prompt_tokens": 1_000,
                "completion_tokens": 100,
                "total_tokens": 1_100,
                "completion_tokens_details": {"reasoning_tokens": 90},
            }
        ),
        {"input_tokens": 1_000, "output_tokens": 100, "reasoning_tokens": 90},
    ),
    Case(
        "xai, no total",
        "openai.chat",
        "xai",
        chat({"prompt_tokens": 1_000, "completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 90}}),
        {"input_tokens": 1_000, "output_tokens": 100, "reasoning_tokens": 90},
    ),
    Case(
        "deepseek",
        "openai.chat",
        "deepseek",
        chat(
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_cache_hit_tokens": 4,
                "prompt_cache_miss_tokens": 6,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            }
        ),
        {**PLAIN_FOUND, "cache_read_tokens": 4, "reasoning_tokens": 3},
    ),
    Case(
        "groq, both places",
        "openai.chat",
        "groq",
        chat({**PLAIN, "queue_time": 0.03, "total_time": 0.1}, x_groq={"id": "r", "usage": PLAIN}),
        PLAIN_FOUND,
    ),
    Case(
        "mistral",
        "openai.chat",
        "mistral",
        chat({**PLAIN, "prompt_audio_seconds": None, "prompt_tokens_details": {"cached_tokens": 8}}),
        {**PLAIN_FOUND, "cache_read_tokens": 8},
    ),
    Case(
        "mistral, sound",
        "openai.chat",
        "mistralai",
        chat({"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3_264, "completion_tokens": 635}),
        {"input_tokens": 4, "output_tokens": 635, "seconds": 203},
    ),
    Case(
        "mistral, pages",
        "openai.chat",
        "mistral",
        {"model": "mistral-ocr-1", "pages": [], "usage_info": {"pages_processed": 29, "doc_size_bytes": 3_002_783}},
        {"pages": 29},
    ),
    Case(
        "perplexity",
        "openai.chat",
        "perplexity",
        chat(
            {
                "prompt_tokens": 33,
                "completion_tokens": 7_163,
                "total_tokens": 7_196,
                "citation_tokens": 20_016,
                "num_search_queries": 18,
                "reasoning_tokens": 95_305,
                "cost": {"input_tokens_cost": 0.1, "total_cost": 1.234},
            }
        ),
        {
            "input_tokens": 33,
            "output_tokens": 7_163 + 20_016 + 95_305,
            "citation_tokens": 20_016,
            "reasoning_tokens": 95_305,
            "web_searches": 18,
            "reported_cost": "1.234",
        },
    ),
    Case(
        "openrouter",
        "openai.chat",
        "openrouter",
        chat(
            {
                **CHAT,
                "cost": 0.00014580,
                "is_byok": False,
                "cost_details": {"upstream_inference_cost": 0.9},
                "server_tool_use": {"web_search_requests": 1},
            }
        ),
        {**CHAT_FOUND, "web_searches": 1, "reported_cost": "0.0001458"},
    ),
    Case(
        "openrouter, own key",
        "openai.chat",
        "openrouter",
        chat({**PLAIN, "cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 1e-7}}),
        {**PLAIN_FOUND, "reported_cost": "0.0000001"},
    ),
    Case("ollama", "openai.chat", "ollama", chat(PLAIN, system_fingerprint="fp_ollama"), PLAIN_FOUND),
    Case("vllm", "openai.chat", "vllm", chat({**PLAIN, "prompt_tokens_details": None}), PLAIN_FOUND),
    Case(
        "moonshot",
        "openai.chat",
        "moonshot",
        chat({**PLAIN, "cached_tokens": 9}),
        {**PLAIN_FOUND, "cache_read_tokens": 9},
    ),
    Case(
        "databricks",
        "openai.chat",
        "databricks",
        chat({**PLAIN, "cache_read_input_tokens": 9, "reasoning_tokens": 2}),
        {**PLAIN_FOUND, "cache_read_tokens": 9, "reasoning_tokens": 2},
    ),
]

RESPONSE = {
    "input_tokens": 2_600,
    "input_tokens_details": {"cached_tokens": 2_000, "cache_write_tokens": 400},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 200},
    "total_tokens": 2_900,
}
RESPONSE_FOUND = {
    "input_tokens": 2_600,
    "cache_read_tokens": 2_000,
    "cache_write_tokens": 400,
    "output_tokens": 300,
    "reasoning_tokens": 200,
}


def response(usage: object = RESPONSE, *items: str, **fields: Any) -> dict[str, Any]:
    """Return a Responses answer with output items of these types."""
    output = [{"type": kind, "id": str(place), "status": "completed"} for place, kind in enumerate(items)]
    return {"id": "resp_1", "model": "gpt-5.6-sol", "status": "completed", "output": output, "usage": usage, **fields}


MESSAGE = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 1_000,
    "cache_read_input_tokens": 5_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
    "output_tokens": 200,
    "output_tokens_details": {"thinking_tokens": 50},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 7},
    "service_tier": "standard",
    "speed": "fast",
    "inference_geo": "us",
}
MESSAGE_FOUND = {
    "input_tokens": 6_100,
    "cache_read_tokens": 5_000,
    "cache_write_tokens": 1_000,
    "cache_write_1h_tokens": 400,
    "output_tokens": 200,
    "reasoning_tokens": 50,
    "web_searches": 2,
}


def message(usage: object = MESSAGE) -> dict[str, Any]:
    """Return an Anthropic message."""
    return {"id": "msg_1", "type": "message", "model": "claude-opus-5-5", "content": [], "usage": usage}


def step(kind: str, model: str | None, fresh: int, output: int, read: int = 0) -> dict[str, Any]:
    """Return one iteration of an Anthropic answer."""
    cache = {"cache_read_input_tokens": read, "cache_creation_input_tokens": 0}
    return {"type": kind, "model": model, "input_tokens": fresh, "output_tokens": output, **cache}


ADVISED = {
    "input_tokens": 23_000,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "output_tokens": 1_000,
    "iterations": [
        step("compaction", None, 180_000, 3_500),
        step("message", None, 23_000, 1_000),
        step("advisor_message", "claude-haiku-5", 700, 60, 40),
    ],
}

GEMINI = {
    "promptTokenCount": 250_000,
    "cachedContentTokenCount": 50_000,
    "candidatesTokenCount": 1_000,
    "thoughtsTokenCount": 3_000,
    "totalTokenCount": 254_000,
}
GEMINI_FOUND = {
    "input_tokens": 250_000,
    "cache_read_tokens": 50_000,
    "output_tokens": 4_000,
    "reasoning_tokens": 3_000,
}


def gemini(usage: object, model: str = "gemini-2.5-pro", queries: int = 0) -> dict[str, Any]:
    """Return a Gemini answer that searched so often."""
    candidate: dict[str, Any] = {"finishReason": "STOP", "content": {"parts": [{"text": "hi"}]}}
    if queries:
        candidate["groundingMetadata"] = {"webSearchQueries": ["q"] * queries}
    return {"candidates": [candidate], "modelVersion": model, "responseId": "r-1", "usageMetadata": usage}


def modal(modality: str, tokens: int) -> dict[str, Any]:
    """Return one entry of a list by modality."""
    return {"modality": modality, "tokenCount": tokens}


SEEN_AND_HEARD = {
    "promptTokenCount": 100,
    "toolUsePromptTokenCount": 20,
    "candidatesTokenCount": 30,
    "totalTokenCount": 150,
    "promptTokensDetails": [modal("TEXT", 10), modal("IMAGE", 40), modal("DOCUMENT", 20), modal("AUDIO", 30)],
    "toolUsePromptTokensDetails": [modal("VIDEO", 5)],
    "candidatesTokensDetails": [modal("TEXT", 10), modal("IMAGE", 20)],
}

BEDROCK = {"inputTokens": 100, "outputTokens": 50}
CACHED = {"cacheReadInputTokens": 70, "cacheWriteInputTokens": 30}


def converse(usage: object, **fields: Any) -> dict[str, Any]:
    """Return a Converse answer."""
    return {"output": {"message": {"role": "assistant"}}, "stopReason": "end_turn", "usage": usage, **fields}


def cohere(usage: object) -> dict[str, Any]:
    """Return a Cohere v2 chat answer."""
    return {"id": "co-1", "finish_reason": "COMPLETE", "message": {"role": "assistant"}, "usage": usage}


REALTIME = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 100,
        "audio_tokens": 32,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
REALTIME_FOUND = {
    "input_tokens": 132,
    "input_audio_tokens": 32,
    "input_image_tokens": 0,
    "cache_read_tokens": 64,
    "cache_read_audio_tokens": 4,
    "cache_read_image_tokens": 0,
    "output_tokens": 121,
    "output_audio_tokens": 91,
}

OTHERS = [
    Case(
        "responses",
        "openai.responses",
        "openai",
        response(service_tier="priority"),
        RESPONSE_FOUND,
        {"service_tier": "priority"},
    ),
    Case(
        "responses, tools",
        "openai.responses",
        "azure",
        response(
            RESPONSE, "web_search_call", "web_search_call", "file_search_call", "image_generation_call", "message"
        ),
        {**RESPONSE_FOUND, "web_searches": 2, "file_searches": 1, "images": 1},
    ),
    Case(
        "responses, what is billed beats counting",
        "openai.responses",
        "openai",
        response(
            RESPONSE,
            "web_search_call",
            "web_search_call",
            "file_search_call",
            tool_usage={"image_gen": {"input_tokens": 0}, "web_search": {"num_requests": 1}},
        ),
        {**RESPONSE_FOUND, "web_searches": 1, "file_searches": 1},
    ),
    Case(
        "responses, a page opened is no search",
        "openai.responses",
        "openai",
        {
            **response(),
            "output": [
                {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
                {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "u"}},
                {"type": "image_generation_call", "status": "failed"},
            ],
        },
        {**RESPONSE_FOUND, "web_searches": 1},
    ),
    Case(
        "responses, what usage tells beats counting",
        "openai.responses",
        "xai",
        response(
            {**RESPONSE, "server_side_tool_usage_details": {"web_search_calls": 1}, "cost_in_usd_ticks": 10},
            "web_search_call",
            "web_search_call",
        ),
        {**RESPONSE_FOUND, "web_searches": 1, "reported_cost": "0.000000001"},
    ),
    Case(
        "embeddings",
        "openai.embeddings",
        "openai",
        {"model": "e", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}},
        {"input_tokens": 8, "output_tokens": 0},
    ),
    Case(
        "images",
        "openai.images",
        "openai",
        {
            "data": [{"b64_json": "aaaa"}],
            "usage": {
                "input_tokens": 50,
                "output_tokens": 4_160,
                "total_tokens": 4_210,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens_details": {"text_tokens": 160, "image_tokens": 4_000},
            },
        },
        {"input_tokens": 50, "input_image_tokens": 40, "output_tokens": 4_160, "output_image_tokens": 4_000},
    ),
    Case(
        "images, output undivided",
        "openai.images",
        "openai",
        {"data": [{}], "usage": {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}},
        {"input_tokens": 5, "output_tokens": 9, "output_image_tokens": 9},
    ),
    Case("images, by the piece", "openai.images", "openai", {"data": [{"url": "u"}, {"url": "v"}]}, {"images": 2}),
    Case(
        "transcription by tokens",
        "openai.transcription",
        "openai",
        {
            "text": "hello",
            "usage": {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 2, "audio_tokens": 12},
                "output_tokens": 45,
                "total_tokens": 59,
            },
        },
        {"input_tokens": 14, "input_audio_tokens": 12, "output_tokens": 45},
    ),
    Case(
        "transcription by duration",
        "openai.transcription",
        "openai",
        {"text": "hello", "duration": 8.47, "usage": {"type": "duration", "seconds": 9}},
        {"seconds": 9},
    ),
    Case(
        "transcription, a fraction",
        "openai.transcription",
        "openai",
        {"text": "hello", "usage": {"type": "duration", "seconds": 12.345}},
        {"seconds": 12.345},
    ),
    Case("transcription, no usage", "openai.transcription", "groq", {"text": "hi", "duration": 0.5}, {"seconds": 0.5}),
    Case(
        "realtime event",
        "openai.realtime",
        "openai",
        {"type": "response.done", "response": {"id": "r", "usage": REALTIME}},
        REALTIME_FOUND,
    ),
    Case("realtime response", "openai.realtime", "azure", {"id": "r", "usage": REALTIME}, REALTIME_FOUND),
    Case(
        "messages",
        "anthropic.messages",
        "anthropic",
        message(),
        MESSAGE_FOUND,
        {"service_tier": "standard", "speed": "fast", "region": "us"},
    ),
    Case(
        "messages, nowhere special",
        "anthropic.messages",
        "vertex",
        message({"input_tokens": 3, "output_tokens": 4, "inference_geo": "not_available"}),
        {"input_tokens": 3, "output_tokens": 4},
    ),
    Case(
        "messages, several models",
        "anthropic.messages",
        "anthropic",
        message(ADVISED),
        {"input_tokens": 203_740, "cache_read_tokens": 40, "cache_write_tokens": 0, "output_tokens": 4_560},
        {
            "by_model": [
                {
                    "model": "claude-opus-5-5",
                    "usage": {
                        "input_tokens": 203_000,
                        "cache_read_tokens": 0,
                        "cache_write_tokens": 0,
                        "output_tokens": 4_500,
                    },
                },
                {
                    "model": "claude-haiku-5",
                    "usage": {
                        "input_tokens": 740,
                        "cache_read_tokens": 40,
                        "cache_write_tokens": 0,
                        "output_tokens": 60,
                    },
                },
            ]
        },
    ),
    Case("gemini", "gemini.generate", "google", gemini(GEMINI), GEMINI_FOUND),
    Case(
        "gemini, thoughts inside",
        "gemini.generate",
        "google",
        gemini({"promptTokenCount": 10, "candidatesTokenCount": 9, "thoughtsTokenCount": 7, "totalTokenCount": 19}),
        {"input_tokens": 10, "output_tokens": 9, "reasoning_tokens": 7},
    ),
    Case(
        "gemini, only thoughts",
        "gemini.generate",
        "google",
        gemini({"promptTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 17}),
        {"input_tokens": 10, "output_tokens": 7, "reasoning_tokens": 7},
    ),
    Case(
        "gemini, modalities and tools",
        "gemini.generate",
        "vertex_ai",
        gemini({**SEEN_AND_HEARD, "trafficType": "ON_DEMAND_PRIORITY"}),
        {
            "input_tokens": 120,
            "input_audio_tokens": 30,
            "input_image_tokens": 60,
            "input_video_tokens": 5,
            "output_tokens": 30,
            "output_image_tokens": 20,
        },
        {"service_tier": "priority"},
    ),
    Case(
        "gemini 2, grounded",
        "gemini.generate",
        "google",
        gemini({**GEMINI, "serviceTier": "flex"}, "gemini-2.5-flash", 3),
        {**GEMINI_FOUND, "web_searches": 1},
        {"service_tier": "flex"},
    ),
    Case(
        "gemini 3, grounded",
        "gemini.generate",
        "google",
        gemini(GEMINI, "gemini-3-pro", 3),
        {**GEMINI_FOUND, "web_searches": 3},
    ),
    Case(
        "gemini live",
        "gemini.generate",
        "google",
        {"usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 4, "totalTokenCount": 7}},
        {"input_tokens": 3, "output_tokens": 4},
    ),
    Case(
        "converse",
        "bedrock.converse",
        "aws",
        converse({**BEDROCK, "totalTokens": 150}, serviceTier={"type": "priority"}),
        {"input_tokens": 100, "output_tokens": 50},
        {"service_tier": "priority"},
    ),
    Case(
        "converse, cache beside",
        "bedrock.converse",
        "bedrock",
        converse({**BEDROCK, **CACHED, "totalTokens": 250, "cacheDetails": [{"ttl": "1h", "inputTokens": 10}]}),
        {
            "input_tokens": 200,
            "cache_read_tokens": 70,
            "cache_write_tokens": 30,
            "cache_write_1h_tokens": 10,
            "output_tokens": 50,
        },
    ),
    Case(
        "converse, cache inside",
        "bedrock.converse",
        "amazon-bedrock",
        converse({**BEDROCK, **CACHED, "totalTokens": 150}, performanceConfig={"latency": "optimized"}),
        {"input_tokens": 100, "cache_read_tokens": 70, "cache_write_tokens": 30, "output_tokens": 50},
        {"speed": "optimized"},
    ),
    Case(
        "converse, no total",
        "bedrock.converse",
        "aws",
        converse({**BEDROCK, **CACHED}),
        {"input_tokens": 200, "cache_read_tokens": 70, "cache_write_tokens": 30, "output_tokens": 50},
    ),
    Case(
        "cohere",
        "cohere.chat",
        "cohere",
        cohere(
            {
                "billed_units": {"input_tokens": 17, "output_tokens": 12},
                "tokens": {"input_tokens": 215, "output_tokens": 15},
                "cached_tokens": 16,
            }
        ),
        {"input_tokens": 17, "cache_read_tokens": 16, "output_tokens": 12},
    ),
    Case(
        "cohere, cached what is not billed",
        "cohere.chat",
        "cohere",
        cohere(
            {
                "billed_units": {"input_tokens": 17, "output_tokens": 12},
                "tokens": {"input_tokens": 215, "output_tokens": 15},
                "cached_tokens": 192,
            }
        ),
        {"input_tokens": 17, "output_tokens": 12},
    ),
    Case(
        "cohere v1",
        "cohere.chat",
        "cohere",
        {"generation_id": "g", "meta": {"billed_units": {"input_tokens": 5, "output_tokens": 6.0}}},
        {"input_tokens": 5, "output_tokens": 6},
    ),
    Case(
        "ollama native",
        "ollama.chat",
        "ollama",
        {"model": "llama", "done": True, "prompt_eval_count": 26, "eval_count": 290, "eval_duration": 4_709_213_000},
        {"input_tokens": 26, "output_tokens": 290},
    ),
]
CASES = [*CHATS, *OTHERS]
every_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.api}: {case.name}" for case in CASES])


@every_case
def test_whole_answers(case: Case) -> None:
    """Each provider's usage comes out inclusive, as it was served, and nothing else does."""
    found = extract(case.api, case.provider, body=case.body)

    assert found["usage"] == case.usage
    assert found["completeness"] == "final"
    assert {name: found.get(name) for name in ("service_tier", "speed", "region", "by_model")} == {
        name: case.more.get(name) for name in ("service_tier", "speed", "region", "by_model")
    }


def test_every_api_has_a_case() -> None:
    """No API is without a worked answer."""
    assert {case.api for case in CASES} == set(APIS)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(value)}
    return [_shuffled(one) for one in value] if isinstance(value, list) else value


@every_case
def test_the_order_of_keys_says_nothing(case: Case) -> None:
    """Objects with the same keys in another order are the same objects."""
    assert extract(case.api, case.provider, body=_shuffled(case.body)) == extract(
        case.api, case.provider, body=case.body
    )


@every_case
def test_parts_never_exceed_their_totals(case: Case) -> None:
    """What comes out can be split into disjoint parts."""
    usage = {unit: quantity for unit, quantity in case.usage.items() if unit not in ("reported_cost", "seconds")}

    assert sum(leaves(usage).values()) >= 0


@pytest.mark.parametrize("provider", [None, *sorted(providers.PROVIDERS), *sorted(providers.ALSO_CALLED)])
def test_every_provider_is_read(provider: str | None) -> None:
    """Every provider's name is taken, its other names too, and so is none."""
    assert extract("openai.chat", provider, body=chat(PLAIN))["usage"] == PLAIN_FOUND


@pytest.mark.parametrize(
    ("api", "provider", "body", "code"),
    [
        ("openai.poems", "openai", {}, "unknown_api"),
        (None, "openai", {}, "unknown_api"),
        (7, "openai", {}, "unknown_api"),
        ("openai.chat", "nobody", {}, "unknown_provider"),
        ("openai.chat", "", {}, "unknown_provider"),
        ("openai.chat", 7, {}, "unknown_provider"),
        ("openai.chat", ["openai"], {}, "unknown_provider"),
        ("openai.chat", "openai", None, "invalid_line"),
    ],
)
def test_what_cannot_be_read(api: Any, provider: Any, body: Any, code: str) -> None:
    """A line that names an API or a provider that nobody knows, or has no answer, says so by its code."""
    with pytest.raises(CannotExtract) as caught:
        extract(api, provider, body=body)

    assert caught.value.code == code


def _set(body: Any, path: tuple[Any, ...], value: object) -> Any:
    """Return a copy of `body` with one field set."""
    copy = json.loads(json.dumps(body))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


# One count of each API, and its own total where it has one.
COUNTS: list[tuple[str, dict[str, Any], tuple[str, ...], tuple[str, ...] | None]] = [
    ("openai.chat", chat(CHAT), ("usage", "prompt_tokens"), ("usage", "total_tokens")),
    ("openai.chat", chat(CHAT), ("usage", "prompt_tokens_details", "cached_tokens"), None),
    ("openai.responses", response(), ("usage", "output_tokens"), ("usage", "total_tokens")),
    (
        "openai.embeddings",
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
        ("usage", "prompt_tokens"),
        ("usage", "total_tokens"),
    ),
    (
        "openai.images",
        {"usage": {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}},
        ("usage", "output_tokens"),
        ("usage", "total_tokens"),
    ),
    (
        "openai.transcription",
        {"usage": {"type": "tokens", "input_tokens": 5, "output_tokens": 9, "total_tokens": 14}},
        ("usage", "input_tokens"),
        ("usage", "total_tokens"),
    ),
    ("openai.realtime", {"usage": REALTIME}, ("usage", "output_tokens"), ("usage", "total_tokens")),
    ("openai.realtime", {"usage": REALTIME}, ("usage", "input_token_details", "text_tokens"), None),
    ("anthropic.messages", message(), ("usage", "input_tokens"), None),
    ("anthropic.messages", message(), ("usage", "cache_creation", "ephemeral_5m_input_tokens"), None),
    (
        "gemini.generate",
        gemini(GEMINI),
        ("usageMetadata", "promptTokenCount"),
        ("usageMetadata", "totalTokenCount"),
    ),
    (
        "bedrock.converse",
        converse({**BEDROCK, **CACHED, "totalTokens": 250}),
        ("usage", "inputTokens"),
        ("usage", "totalTokens"),
    ),
    (
        "cohere.chat",
        cohere({"billed_units": {"input_tokens": 17, "output_tokens": 12}}),
        ("usage", "billed_units", "input_tokens"),
        None,
    ),
    ("ollama.chat", {"done": True, "prompt_eval_count": 26, "eval_count": 290}, ("eval_count",), None),
]
NO_COUNT = [-1, "5", True, False, 1.5, [], 10**13, 2**70]


@pytest.mark.parametrize("value", NO_COUNT, ids=str)
@pytest.mark.parametrize(("api", "body", "path", "total"), COUNTS)
def test_no_counts(
    api: str, body: dict[str, Any], path: tuple[str, ...], total: tuple[str, ...] | None, value: object
) -> None:
    """What is no count, in a part or in a total, contradicts; it is never clamped or guessed at."""
    for place in (path, total) if total else (path,):
        with pytest.raises(CannotExtract) as caught:
            extract(api, None, body=_set(body, place, value))

        assert caught.value.code == "contradictory_usage"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400])
@pytest.mark.parametrize(("api", "body", "path", "total"), COUNTS)
def test_numbers_past_all_bounds(
    api: str, body: dict[str, Any], path: tuple[str, ...], total: tuple[str, ...] | None, number: str
) -> None:
    """A number that no machine holds contradicts like any other that is no count."""
    text = json.dumps(_set(body, path, "HERE")).replace('"HERE"', number)
    with pytest.raises(CannotExtract) as caught:
        extract_usage(api, None, text.encode(), None)

    assert caught.value.code == "contradictory_usage"


@pytest.mark.parametrize(
    ("api", "body", "path", "total"), [case for case in COUNTS if case[3]], ids=lambda one: str(one)[:30]
)
@pytest.mark.parametrize("added", [-1, 1])
def test_totals_that_do_not_add_up(
    api: str, body: dict[str, Any], path: tuple[str, ...], total: tuple[str, ...], added: int
) -> None:
    """One token more or less than the sum of the parts, and nothing is believed."""
    told = body
    for key in total:
        told = told[key]
    assert isinstance(told, int)
    with pytest.raises(CannotExtract, match="is not the sum of its parts"):
        extract(api, None, body=_set(body, total, told + added))


CONTRADICTORY: list[tuple[str, str, str]] = [
    ("openai.chat", "openai", '{"usage":{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens":2}}'),
    ("openai.chat", "openai", '{"usage":{"prompt_tokens":1,"completion_tokens":1,"a":{"b":1,"b" :1}}}'),
    ("openai.chat", "openai", '{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":1}}'),
    ("openai.chat", "groq", '{"usage":{"prompt_tokens":1},"x_groq":{"usage":{"prompt_tokens":2}}}'),
    (
        "openai.chat",
        "deepseek",
        '{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":1,"prompt_cache_miss_tokens":9}}',
    ),
    ("openai.chat", "deepseek", '{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":1,"cached_tokens":2}}'),
    ("openai.chat", "openai", '{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}}'),
    ("openai.chat", "openrouter", '{"usage":{"prompt_tokens":1,"cost":-0.1}}'),
    ("openai.chat", "openrouter", '{"usage":{"prompt_tokens":1,"cost":"0.1"}}'),
    ("openai.chat", "openrouter", '{"usage":{"prompt_tokens":1,"cost":true}}'),
    ("openai.responses", "openai", '{"usage":{"input_tokens":1},"usage":null}'),
    ("openai.responses", "openai", '{"usage":{"input_tokens":1},"tool_usage":{"web_search":{"num_requests":-1}}}'),
    ("openai.transcription", "openai", '{"usage":{"type":"duration","seconds":-1}}'),
    ("openai.transcription", "openai", '{"usage":{"type":"duration","seconds":"9"}}'),
    ("anthropic.messages", "anthropic", '{"usage":{"input_tokens":1,"output_tokens":1,"input_tokens":1}}'),
    ("anthropic.messages", "anthropic", '{"usage":[]}'),
    ("gemini.generate", "google", '{"usageMetadata":{"promptTokenCount":1,"promptTokenCount":1}}'),
    ("gemini.generate", "google", '{"usageMetadata":{"promptTokenCount":1},"usageMetadata":{}}'),
    ("bedrock.converse", "aws", '{"usage":{"inputTokens":1,"outputTokens":1},"usage":{"inputTokens":1}}'),
    ("bedrock.converse", "aws", '{"usage":"many"}'),
    (
        "cohere.chat",
        "cohere",
        '{"usage":{"billed_units":{"input_tokens":1},"tokens":{"input_tokens":5},"cached_tokens":6}}',
    ),
    ("ollama.chat", "ollama", '{"done":true,"eval_count":1,"eval_count":2}'),
]


@pytest.mark.parametrize(("api", "provider", "body"), CONTRADICTORY)
def test_contradictions(api: str, provider: str, body: str) -> None:
    """Repeated keys, two places that differ, parts above their total, amounts that are none: an error, no number."""
    with pytest.raises(CannotExtract) as caught:
        extract_usage(api, provider, body.encode(), None)

    assert caught.value.code == "contradictory_usage"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("body", [{}, {"usage": None, "usageMetadata": None}, {"error": {"message": "overloaded"}}])
def test_no_usage_is_missing(api: str, body: dict[str, Any]) -> None:
    """An answer without usage has none: no zeros are made up."""
    found = extract(api, None, body=body)

    assert (found["completeness"], found["usage"]) == ("missing", {})


def test_zero_is_zero_and_absent_is_absent() -> None:
    """An explicit zero comes out; a field that is null or not there does not."""
    usage = {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None},
    }

    assert extract("openai.chat", None, body=chat(usage))["usage"] == {
        "input_tokens": 0,
        "cache_read_tokens": 0,
        "output_tokens": 0,
    }


def event(**fields: Any) -> str:
    """Return one event of a stream."""
    return f"data: {json.dumps(fields)}\n\n"


def chunk(usage: object = None, text: str | None = None, end: str | None = None, **fields: Any) -> str:
    """Return one chunk of a chat stream; without a text it has no choices."""
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}, "finish_reason": end}]
    return event(id="c-1", model="m-1", choices=choices, usage=usage, **fields)


DONE = "data: [DONE]\n\n"
START = {**MESSAGE, "output_tokens": 1, "server_tool_use": None, "output_tokens_details": None}
DELTA = {
    "output_tokens": 200,
    "output_tokens_details": {"thinking_tokens": 50},
    "server_tool_use": {"web_search_requests": 2},
    "input_tokens": None,
}


class Flow(NamedTuple):
    """One stream: its API, its text, and what is read from it."""

    name: str
    api: str
    sse: str
    usage: dict[str, Any]
    model: str | None = None
    completeness: str = "final"


FLOWS = [
    Flow("its own chunk", "openai.chat", chunk(text="hi") + chunk(CHAT) + DONE, CHAT_FOUND, "m-1"),
    Flow(
        "azure, filter first",
        "openai.chat",
        event(choices=[], model="", prompt_filter_results=[]) + chunk(text="hi") + chunk(PLAIN) + DONE,
        PLAIN_FOUND,
        "m-1",
    ),
    Flow("second to last", "openai.chat", chunk(PLAIN, "hi") + chunk(text="", end="stop") + DONE, PLAIN_FOUND, "m-1"),
    Flow(
        "cumulative",
        "openai.chat",
        chunk({**PLAIN, "completion_tokens": 1, "total_tokens": 11}, "a") + chunk(PLAIN, "b", "stop") + DONE,
        PLAIN_FOUND,
        "m-1",
    ),
    Flow(
        "cumulative, cut",
        "openai.chat",
        chunk({**PLAIN, "completion_tokens": 1, "total_tokens": 11}, "a"),
        {"input_tokens": 10, "output_tokens": 1},
        "m-1",
        "partial",
    ),
    Flow("groq", "openai.chat", chunk(text="", end="stop", x_groq={"usage": PLAIN}) + DONE, PLAIN_FOUND, "m-1"),
    Flow("cut before usage", "openai.chat", chunk(text="hi"), {}, "m-1", "missing"),
    Flow(
        "windows line ends, comments, several lines of data",
        "openai.chat",
        ": ping\r\n\r\n"
        + chunk(text="hi").replace("\n", "\r\n")
        + 'id: 7\r\nevent: x\r\ndata: {"choices": [],\r\ndata: "usage": {"prompt_tokens": 10,\r\n'
        + 'data: "completion_tokens": 5}}\r\n\r\ndata: [DONE]\r\n\r\n',
        PLAIN_FOUND,
        "m-1",
    ),
    Flow(
        "responses",
        "openai.responses",
        event(type="response.created", response={"id": "r", "model": "gpt-5.6-sol", "usage": None})
        + event(type="response.output_text.delta", delta="hi")
        + event(type="response.completed", response=response(RESPONSE, "web_search_call")),
        {**RESPONSE_FOUND, "web_searches": 1},
        "gpt-5.6-sol",
    ),
    Flow(
        "responses, cut",
        "openai.responses",
        event(type="response.created", response={"id": "r", "model": "gpt-5.6-sol", "usage": None}),
        {},
        "gpt-5.6-sol",
        "missing",
    ),
    Flow(
        "messages",
        "anthropic.messages",
        event(type="message_start", message=message(START))
        + event(type="ping")
        + event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"})
        + event(type="message_delta", delta={"stop_reason": "end_turn"}, usage=DELTA)
        + event(type="message_stop"),
        MESSAGE_FOUND,
        "claude-opus-5-5",
    ),
    Flow(
        "messages, cut",
        "anthropic.messages",
        event(type="message_start", message=message(START)),
        {unit: MESSAGE_FOUND[unit] for unit in MESSAGE_FOUND if "cache" in unit or unit == "input_tokens"},
        "claude-opus-5-5",
        "partial",
    ),
    Flow(
        "gemini",
        "gemini.generate",
        event(**{**gemini({**GEMINI, "candidatesTokenCount": 1, "totalTokenCount": 253_001}), "candidates": []})
        + event(**gemini(GEMINI, queries=1)),
        {**GEMINI_FOUND, "web_searches": 1},
        "gemini-2.5-pro",
    ),
    Flow(
        "gemini, cut",
        "gemini.generate",
        event(**{**gemini(GEMINI), "candidates": []}),
        GEMINI_FOUND,
        "gemini-2.5-pro",
        "partial",
    ),
    Flow(
        "gemini, an array",
        "gemini.generate",
        json.dumps([{**gemini(GEMINI), "candidates": []}, gemini(GEMINI)]),
        GEMINI_FOUND,
        "gemini-2.5-pro",
    ),
    Flow(
        "converse, lines",
        "bedrock.converse",
        '{"messageStart":{"role":"assistant"}}\n{"messageStop":{"stopReason":"end_turn"}}\n'
        + json.dumps({"metadata": {"usage": {**BEDROCK, "totalTokens": 150}, "metrics": {"latencyMs": 9}}})
        + "\n",
        {"input_tokens": 100, "output_tokens": 50},
    ),
    Flow(
        "converse, events",
        "bedrock.converse",
        event(contentBlockDelta={"delta": {"text": "hi"}})
        + "event: metadata\n"
        + event(usage={**BEDROCK, "totalTokens": 150}),
        {"input_tokens": 100, "output_tokens": 50},
    ),
    Flow(
        "cohere",
        "cohere.chat",
        event(type="message-start", id="co-1")
        + event(type="content-delta", delta={"message": {"content": {"text": "hi"}}})
        + event(
            type="message-end",
            delta={"finish_reason": "COMPLETE", "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}},
        ),
        {"input_tokens": 3, "output_tokens": 4},
    ),
    Flow(
        "cohere v1, lines",
        "cohere.chat",
        '{"event_type":"stream-start"}\n'
        '{"event_type":"stream-end","response":{"meta":{"billed_units":{"input_tokens":3,"output_tokens":4}}}}',
        {"input_tokens": 3, "output_tokens": 4},
    ),
    Flow(
        "ollama",
        "ollama.chat",
        '{"model":"llama","message":{"content":"hi"},"done":false}\r\n'
        '{"model":"llama","done":true,"prompt_eval_count":26,"eval_count":290}\r\n',
        {"input_tokens": 26, "output_tokens": 290},
        "llama",
    ),
    Flow("ollama, cut", "ollama.chat", '{"model":"llama","done":false}\n', {}, "llama", "missing"),
    Flow(
        "ollama, cached prompt",
        "ollama.chat",
        '{"model":"llama","done":true,"eval_count":290}\n',
        {"output_tokens": 290},
        "llama",
        "partial",
    ),
    Flow(
        "images",
        "openai.images",
        event(type="image_generation.partial_image", b64_json="aa")
        + event(
            type="image_generation.completed",
            b64_json="aa",
            usage={
                "input_tokens": 5,
                "output_tokens": 9,
                "total_tokens": 14,
                "input_tokens_details": {"text_tokens": 5, "image_tokens": 0},
            },
        ),
        {"input_tokens": 5, "input_image_tokens": 0, "output_tokens": 9, "output_image_tokens": 9},
    ),
    Flow(
        "transcription",
        "openai.transcription",
        event(type="transcript.text.delta", delta="hi")
        + event(
            type="transcript.text.done", text="hi", usage={"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}
        ),
        {"input_tokens": 5, "output_tokens": 9},
    ),
    Flow(
        "realtime, two answers",
        "openai.realtime",
        event(type="session.created", session={"model": "gpt-realtime"})
        + event(type="response.created", response={"id": "r1"})
        + event(type="response.done", response={"id": "r1", "usage": REALTIME})
        + event(type="response.done", response={"id": "r1", "usage": REALTIME})
        + event(type="response.created", response={"id": "r2"})
        + event(type="response.done", response={"id": "r2", "usage": REALTIME}),
        {unit: 2 * quantity for unit, quantity in REALTIME_FOUND.items()},
        "gpt-realtime",
    ),
    Flow(
        "realtime, cut",
        "openai.realtime",
        event(type="response.done", response={"id": "r1", "usage": REALTIME})
        + event(type="response.created", response={"id": "r2"}),
        REALTIME_FOUND,
        None,
        "partial",
    ),
    Flow("nothing", "openai.chat", "", {}, None, "missing"),
]
every_flow = pytest.mark.parametrize("flow", FLOWS, ids=[f"{flow.api}: {flow.name}" for flow in FLOWS])


@every_flow
def test_streams(flow: Flow) -> None:
    """Usage is read where each API's stream puts it; what was cut short is partial, with what is known."""
    found = extract(flow.api, None, sse=flow.sse)

    assert (found["model"], found["completeness"], found["usage"]) == (flow.model, flow.completeness, flow.usage)


@every_flow
def test_a_cut_never_raises_and_never_adds(flow: Flow) -> None:
    """Wherever a stream is cut, it is read, and no quantity is more than that of the whole."""
    step = 1 if len(flow.sse) < 1_000 else 3
    for place in range(0, len(flow.sse), step):
        found = extract(flow.api, None, sse=flow.sse[:place])

        assert all(quantity <= flow.usage.get(unit, 0) for unit, quantity in found["usage"].items()), place
        if flow.api != "openai.realtime":  # a session has no end of its own
            assert found["completeness"] != "final" or found["usage"] == flow.usage


@pytest.mark.parametrize(
    ("api", "sse"),
    [
        ("openai.chat", 'data: {"choices":[],"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":1}}\n\n'),
        (
            "openai.responses",
            'data: {"type":"response.completed","response":{"usage":{},"usage":{"input_tokens":1}}}\n\n',
        ),
        ("anthropic.messages", 'data: {"type":"message_delta","usage":{"output_tokens":1,"output_tokens":1}}\n\n'),
        ("cohere.chat", 'data: {"type":"message-end","usage":{"a":1},"usage":{"a":1}}\n\n'),
    ],
)
def test_repeated_keys_in_streams(api: str, sse: str) -> None:
    """A key that an event has twice makes it a contradiction, as in a whole answer."""
    with pytest.raises(CannotExtract, match="twice"):
        extract(api, None, sse=sse)


def test_usage_that_falls_in_a_stream() -> None:
    """A chunk that takes back tokens which an earlier one told contradicts it; one that adds does not."""
    more = {**PLAIN, "completion_tokens": 6, "total_tokens": 16}

    assert extract("openai.chat", None, sse=chunk(PLAIN) + chunk(more) + DONE)["usage"]["output_tokens"] == 6
    with pytest.raises(CannotExtract, match="usage fell"):
        extract("openai.chat", None, sse=chunk(more) + chunk(PLAIN) + DONE)


def test_a_broken_event_is_not_believed() -> None:
    """Usage in an event that is no JSON, and not the last of a cut stream, contradicts."""
    with pytest.raises(CannotExtract, match="not valid json"):
        extract("cohere.chat", None, sse='data: {"usage":{"tokens":{}},"x":NaN}\n\n' + event(type="message-end"))


COUNT = st.none() | st.integers(0, 50)
_FIELDS = (
    "prompt_tokens completion_tokens total_tokens input_tokens output_tokens reasoning_tokens citation_tokens seconds "
    "cached_tokens cache_creation_input_tokens cache_read_input_tokens promptTokenCount candidatesTokenCount "
    "thoughtsTokenCount toolUsePromptTokenCount totalTokenCount cachedContentTokenCount inputTokens outputTokens "
    "totalTokens cacheReadInputTokens cacheWriteInputTokens prompt_eval_count eval_count audio_tokens image_tokens "
    "text_tokens thinking_tokens"
)
FIELDS = _FIELDS.split()
INNER = [
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
    "input_token_details", "billed_units", "tokens", "cache_creation",
]  # fmt: skip
FLAT = st.dictionaries(st.sampled_from(FIELDS), COUNT, max_size=8)
USAGES = st.tuples(FLAT, st.dictionaries(st.sampled_from(INNER), FLAT, max_size=3)).map(
    lambda two: {**two[0], **two[1]}
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(APIS)), st.sampled_from([None, "xai", "perplexity", "mistral", "deepseek"]), USAGES)
def test_whatever_is_told_adds_up(api: str, provider: str | None, usage: dict[str, Any]) -> None:
    """Any usage is a contradiction, or its parts are within their totals; the order of its keys says nothing."""
    body = {**usage, "usage": usage, "usageMetadata": usage}
    try:
        found = extract(api, provider, body=body)
    except CannotExtract as error:
        assert error.code == "contradictory_usage"
        with pytest.raises(CannotExtract):
            extract(api, provider, body=_shuffled(body))
        return

    assert extract(api, provider, body=_shuffled(body)) == found
    units = {unit: quantity for unit, quantity in found["usage"].items() if unit != "seconds"}
    assert all(quantity >= 0 for quantity in leaves(units).values())
