"""Rules that hold for every format and for any bytes."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.conftest import examples
from tests.services.cases import CASES, Case

from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import leaves
from pertoken.wire import (
    anthropic_messages,
    formats,
    gemini_embed,
    gemini_generate,
    openai_chat,
    openai_responses,
)
from pertoken.wire.format import BadRequest, Format, RequestChange

FORMATS = [row.format for row in formats.ROWS]
every_format = pytest.mark.parametrize("wire_format", FORMATS, ids=lambda one: one.name)

_KEYS = (
    "model messages role content type text input tools max_tokens max_completion_tokens n stream stream_options id "
    "image_url input_image input_audio source metadata usage prompt_tokens completion_tokens total_tokens x_groq "
    "prompt_tokens_details cached_tokens choices delta message output response input_tokens output_tokens iterations "
    "cache_creation server_tool_use web_search_requests contents parts generationConfig maxOutputTokens candidateCount "
    "responseModalities usageMetadata promptTokenCount candidatesTokenCount totalTokenCount promptTokensDetails "
    "modality tokenCount candidates finishReason groundingMetadata webSearchQueries functionCall functionResponse args "
    "inlineData fileData mimeType promptFeedback blockReason requests title system conversation prompt audio"
)
KEYS = _KEYS.split()
WORDS = [
    "response.completed", "response.created", "message_start", "message_delta", "message_stop", "image", "document",
    "content_block_delta", "tool_result", "input_image", "item_reference", "reasoning", "web_search", "STOP", "AUDIO",
]  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(WORDS)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)
BODIES = (
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8).map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps(value).encode())
)
DEEP = [
    b'{"model":"m","messages":[{"content":' + b"[" * depth + b"]" * depth + b'}],"input":[[]],"contents":[]}'
    for depth in (150, 300, 930, 980, 990, 5_000)
]
CHANGES = [RequestChange(), RequestChange("m2", 7, include_usage=True)]


def _with_examples(test: Callable[..., None]) -> Callable[..., None]:
    for body in [*DEEP, b"", b"null", b'{"usage":' + b'{"a":' * 990 + b"1" + b"}" * 991, b"\xef\xbb\xbf{}"]:
        test = example(body)(test)
    return test


@every_format
@examples(150)
@given(BODIES)
@_with_examples
def test_requests_are_read_or_refused(wire_format: Format, body: bytes) -> None:
    """Any body from a client is a request or raises BadRequest, and nothing else is raised."""
    calls: list[Callable[[], Any]] = [
        lambda: wire_format.read_request(body, "gemini-3-pro"),
        lambda: wire_format.read_content(body),
        *(lambda change=change: wire_format.rewrite(body, change) for change in CHANGES),  # type: ignore[misc]
    ]
    for call in calls:
        with suppress(BadRequest):
            call()


@every_format
@examples(150)
@given(BODIES)
@_with_examples
def test_answers_never_raise(wire_format: Format, body: bytes) -> None:
    """Any answer of a provider gives a reading, and its quantities add up, even if usage contradicts itself."""
    reading = wire_format.read_answer(body)

    assert leaves(reading.quantities or {}) is not None
    assert all(leaves(one.quantities) is not None for one in reading.alternatives)
    assert isinstance(wire_format.answer_text(body), str)


@every_format
@examples(150)
@given(st.lists(BODIES, max_size=4), st.sampled_from([b"data: %s\n\n", b"data:%s\r\n\r\n", b"%s", b"[%s]", b",%s"]))
@example([b'{"usage":' + b'{"a":' * 990 + b"1" + b"}" * 991], b"data: %s\n\n")
@example([b'{"type":["response.created"],"response":{}}'], b"data: %s\n\n")
@example([b'{"candidates":' + b"[" * 980 + b"]" * 980 + b',"usageMetadata":{}}'], b"data: %s\n\n")
def test_streams_never_raise(wire_format: Format, bodies: list[bytes], frame: bytes) -> None:
    """Any stream of a provider gives a reading, and every byte that is not stripped comes out in order."""
    reader = wire_format.stream_reader(RequestFacts(model="m", stream=True))
    data = b"".join(frame % body for body in bodies)

    forwarded = b"".join(reader.feed(data[start : start + 7]) for start in range(0, len(data), 7))
    reading = reader.reading()
    text, complete = reader.text(), reader.complete

    assert forwarded + reader.end() == data
    assert leaves(reading.quantities or {}) is not None
    assert all(leaves(one.quantities) is not None for one in reading.alternatives)
    assert isinstance(text, str)
    assert isinstance(complete, bool)


@every_format
@pytest.mark.parametrize("code", Code)
def test_every_refusal_can_be_written(wire_format: Format, code: Code) -> None:
    """Every error code has an error body and an error event with its message."""
    refusal = Refusal(code, 'why "this"\n', "model")
    event = wire_format.stream_error(refusal)

    assert json.loads(wire_format.error(refusal))["error"]["message"] == refusal.message
    assert event.endswith((b"\n\n", b"\r\n\r\n"))
    assert refusal.message in event.decode().replace('\\"', '"').replace("\\n", "\n")


@every_format
def test_the_contract_is_whole(wire_format: Format) -> None:
    """Every format has every function of the protocol and a usage table."""
    for function in (name for name in vars(Format) if not name.startswith("_")):
        assert callable(getattr(wire_format, function))
    assert wire_format.name
    assert getattr(wire_format, "USAGE", None)


@pytest.mark.parametrize(
    ("wire_format", "body"),
    [
        (openai_chat, b'{"model":"m","messages":[{"content":[{"type":"im\\u0061ge_url"}]}]}'),
        (openai_responses, b'{"model":"m","input":[{"content":[{"type":"input\\u005ffile"}]}]}'),
        (anthropic_messages, b'{"model":"m","messages":[{"content":[{"type":"\\u0064ocument"}]}]}'),
        (gemini_generate, b'{"contents":[{"parts":[{"inline\\u0044ata":{}}]}]}'),
        (gemini_embed, b'{"content":{"parts":[{"fil\\u0065Data":{}}]}}'),
    ],
)
def test_media_cannot_hide_behind_escapes(wire_format: Format, body: bytes) -> None:
    """Media are found even if JSON escapes their name; otherwise a picture could pass for a few bytes of text."""
    assert wire_format.read_request(body, "gemini-3-pro").has_media


def test_the_long_cache_cannot_hide_behind_escapes() -> None:
    """The one-hour cache is found even if JSON escapes its name."""
    body = b'{"model":"m","messages":[],"system":[{"cache_control":{"ttl":"\\u0031h"}}]}'

    assert anthropic_messages.read_request(body).long_cache


STATED = ("seconds", "reported_cost")  # in usage, but not billed quantities
BY_API = {one.name: one for one in FORMATS}
ANSWERS = [
    case
    for case in CASES
    if case.given.api in BY_API and isinstance(case.given.body, dict) and not case.given.provider and case.out.usage
    if case.out.note is None and "usage_metadata" not in case.given.body  # only `extract` reads usage from content
    if case.out.batch is None  # only `extract` reads lines of batch results
]


def test_every_format_that_reads_tokens_has_cases() -> None:
    """Every format whose answers report tokens has cases without a provider."""
    assert {case.given.api for case in ANSWERS} == {
        "openai.chat", "openai.responses", "openai.embeddings", "anthropic.messages", "gemini.generate",
    }  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS, ids=str)
def test_usage(case: Case) -> None:
    """Usage is read exactly, with the model and the tier that served, and the raw object is kept."""
    body: Any = case.given.body
    reading = BY_API[case.given.api].read_answer(case.given.body_bytes or b"")
    told = {unit: quantity for unit, quantity in (case.out.usage or {}).items() if unit not in STATED}

    assert reading.quantities == told
    assert reading[1:4] == (case.out.completeness, case.out.model, case.out.service_tier)
    assert reading.response_id == body.get("id", body.get("responseId"))
    assert json.loads(reading.raw) == body.get("usage", body.get("usageMetadata"))
