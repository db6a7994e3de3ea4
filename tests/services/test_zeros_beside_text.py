"""Text that was written is paid for, whatever usage says of an output of zero tokens."""

import json
from typing import Any

import pytest
from tests.services.stand_in import events, price, settled, streamed, whole

from pertoken.core.events import EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.core.usage import Completeness
from pertoken.services.extract import extract_usage

BOOK = PriceBook(
    [
        price("input_tokens", 1, provider="p"),
        price("cache_read_tokens", 1, provider="p"),
        price("output_tokens", 10**6, provider="p"),
    ]
)
WHY = "usage says that no token was written, beside text"
CACHED = {"cached_tokens": 1000}
# A contradiction of input beside an output of zero: each reading of it has a zero.
ODD: list[tuple[str, str, dict[str, Any]]] = [
    (
        "more cached than read",
        "openai.chat",
        {"prompt_tokens": 7, "completion_tokens": 0, "prompt_tokens_details": CACHED},
    ),
    ("a total below its parts", "openai.chat", {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 3}),
    ("no count", "openai.chat", {"prompt_tokens": "7", "completion_tokens": 0}),
    (
        "more cached than read, messages",
        "anthropic.messages",
        {
            "input_tokens": 7,
            "output_tokens": 0,
            "cache_creation_input_tokens": 1,
            "cache_creation": {"ephemeral_1h_input_tokens": 9},
        },
    ),
    (
        "more cached than read, gemini",
        "gemini.generate",
        {"promptTokenCount": 7, "cachedContentTokenCount": 1000, "candidatesTokenCount": 0},
    ),
]
SAID: dict[str, dict[str, Any]] = {
    "openai.chat": {},
    "anthropic.messages": {"content": [{"type": "text", "text": "word " * 50}]},
    "gemini.generate": {
        "candidates": [{"content": {"parts": [{"text": "word " * 50}]}, "finishReason": "STOP"}],
    },
}


@pytest.mark.parametrize(("api", "usage"), [one[1:] for one in ODD], ids=[one[0] for one in ODD])
def test_text_beside_a_contradiction_is_counted(api: str, usage: dict[str, Any]) -> None:
    """Where usage contradicts itself and tells no output beside text, the text is charged on top of the input."""
    event = settled(api, "p", whole(api, usage, **SAID[api]), book=BOOK)

    assert event.cost_picos >= 10**6
    assert event.quantities["output_tokens"] >= 1
    assert event.quantities["input_tokens"] >= 7
    assert event.status is EventStatus.CONTRADICTORY
    assert event.completeness is Completeness.ESTIMATED
    assert str(event.reason).endswith(WHY)


def test_text_beside_a_contradiction_in_a_stream() -> None:
    """The same holds for a stream."""
    event = settled("openai.chat", "p", streamed("openai.chat", ODD[0][2]), book=BOOK, stream=True)

    assert event.cost_picos >= 10**6
    assert str(event.reason).endswith(WHY)


def test_of_two_usages_the_one_with_a_zero_is_never_cheaper_than_the_text() -> None:
    """Where one of two usages tells no output and much input, the text is charged on top of that input."""
    rest = b'"choices":[{"message":{"content":"%s"}}]' % (b"word " * 50)
    dear = b'"usage":{"prompt_tokens":90000000,"completion_tokens":0},"usage":{"prompt_tokens":7,"completion_tokens":3}'
    event = settled("openai.chat", "p", b'{"model":"m-1",%s,%s}' % (dear, rest), book=BOOK)

    assert event.quantities["input_tokens"] == 90_000_000
    assert event.cost_picos >= 90_000_000 + 50 * 10**6


def test_zero_of_the_shorter_usage() -> None:
    """Where the usage with the fewer tokens is the dearer one, and tells no output, the text is charged with it."""
    book = PriceBook(
        [
            price("input_tokens", 10**3, provider="p"),
            price("cache_read_tokens", 0, provider="p"),
            price("output_tokens", 1, provider="p"),
        ]
    )
    cached = b'"prompt_tokens":900,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":900}'
    said = b'"usage":{%s},"usage":{"prompt_tokens":7,"completion_tokens":0}' % cached
    rest = b'"choices":[{"message":{"content":"%s"}}]' % (b"word " * 50)
    event = settled("openai.chat", "p", b'{"model":"m-1",%s,%s}' % (said, rest), book=book)

    assert event.quantities["input_tokens"] == 7
    assert event.cost_picos >= 7_000 + 50


def test_a_total_alone_holds_the_text() -> None:
    """Where nothing but a total is told, the text is inside it and not charged again."""
    event = settled("openai.chat", "p", whole("openai.chat", {"total_tokens": 100}), book=BOOK)

    assert (event.quantities, event.cost_picos) == ({"input_tokens": 0, "output_tokens": 100}, 100 * 10**6)


def test_a_contradiction_without_text_is_no_more_than_that() -> None:
    """An answer that says nothing has no text to charge."""
    event = settled("openai.chat", "p", whole("openai.chat", ODD[0][2], choices=[]), book=BOOK)

    assert (event.quantities["output_tokens"], event.completeness) == (0, Completeness.FINAL)


TOLD_ZERO: list[tuple[str, dict[str, Any]]] = [
    (
        "openai.chat",
        {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 0}},
    ),
    (
        "openai.responses",
        {
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
            "usage": {"input_tokens": 7, "output_tokens": 0},
        },
    ),
    (
        "anthropic.messages",
        {"content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 7, "output_tokens": 0}},
    ),
    (
        "gemini.generate",
        {
            "candidates": [{"content": {"parts": [{"text": "hi"}]}}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 0, "totalTokenCount": 7},
        },
    ),
    (
        "bedrock.converse",
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
            "usage": {"inputTokens": 7, "outputTokens": 0, "totalTokens": 7},
        },
    ),
    (
        "cohere.chat",
        {
            "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
            "usage": {"billed_units": {"input_tokens": 7, "output_tokens": 0}},
        },
    ),
    (
        "ollama.chat",
        {"message": {"role": "assistant", "content": "hi"}, "done": True, "prompt_eval_count": 7, "eval_count": 0},
    ),
    ("ollama.chat", {"response": "hi", "done": True, "prompt_eval_count": 7, "eval_count": 0}),
    ("openai.transcription", {"text": "hi", "usage": {"type": "tokens", "input_tokens": 7, "output_tokens": 0}}),
    (
        "openai.images",
        {"data": [{"b64_json": "aGk="}], "usage": {"input_tokens": 7, "output_tokens": 0, "total_tokens": 7}},
    ),
]
STREAMS: list[tuple[str, list[dict[str, Any]]]] = [
    (
        "openai.chat",
        [{"choices": [{"delta": {"content": "hi"}}]}, {"choices": [], "usage": TOLD_ZERO[0][1]["usage"]}],
    ),
    (
        "cohere.chat",
        [
            {"type": "content-delta", "delta": {"message": {"content": {"text": "hi"}}}},
            {"type": "message-end", "delta": {"usage": TOLD_ZERO[5][1]["usage"]}},
        ],
    ),
    (
        "bedrock.converse",
        [{"contentBlockDelta": {"delta": {"text": "hi"}}}, {"metadata": {"usage": TOLD_ZERO[4][1]["usage"]}}],
    ),
    ("ollama.chat", [{"message": {"content": "hi"}}, {"done": True, "prompt_eval_count": 7, "eval_count": 0}]),
    (
        "openai.realtime",
        [
            {
                "type": "response.done",
                "response": {
                    "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
                    "usage": {"input_tokens": 7, "output_tokens": 0},
                },
            }
        ],
    ),
]


@pytest.mark.parametrize(("api", "body"), TOLD_ZERO, ids=[f"{at}-{api}" for at, (api, _) in enumerate(TOLD_ZERO)])
def test_extract_does_not_believe_a_zero_beside_text(api: str, body: dict[str, Any]) -> None:
    """Every API's answer with text and an output of zero is `partial`: its input is told, its output is not."""
    found = extract_usage(api, None, json.dumps(body).encode(), None)

    assert (found["usage"], found["completeness"]) == ({"input_tokens": 7}, "partial")
    assert found["note"] == WHY


@pytest.mark.parametrize(("api", "said"), STREAMS, ids=[api for api, _ in STREAMS])
def test_nor_in_a_stream(api: str, said: list[dict[str, Any]]) -> None:
    """The same holds for streams."""
    found = extract_usage(api, None, None, events(said).decode())

    assert (found["usage"], found["completeness"], found["note"]) == ({"input_tokens": 7}, "partial", WHY)


SILENT: list[tuple[str, dict[str, Any]]] = [
    ("openai.chat", {"choices": [], "usage": TOLD_ZERO[0][1]["usage"]}),
    ("cohere.chat", {"message": {"role": "assistant", "content": []}, "usage": TOLD_ZERO[5][1]["usage"]}),
    ("ollama.chat", {"message": {"role": "assistant", "content": ""}, "prompt_eval_count": 7, "eval_count": 0}),
]


@pytest.mark.parametrize(("api", "body"), SILENT, ids=[api for api, _ in SILENT])
def test_extract_believes_a_zero_of_nothing(api: str, body: dict[str, Any]) -> None:
    """An answer that says nothing may have cost nothing."""
    found = extract_usage(api, None, json.dumps(body).encode(), None)

    assert (found["usage"], found["completeness"]) == ({"input_tokens": 7, "output_tokens": 0}, "final")
