"""Messages: facts, content, usage whole and streamed."""

import json
from typing import Any

import pytest

from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness, leaves
from pertoken.wire import anthropic_count_tokens, anthropic_messages
from pertoken.wire.format import BadRequest, Format, RequestChange

FORMAT: Format = anthropic_messages
COUNTING: Format = anthropic_count_tokens
USAGE = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 1000,
    "cache_read_input_tokens": 5000,
    "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
    "output_tokens": 200,
    "server_tool_use": {"web_search_requests": 2},
    "service_tier": "standard",
}
QUANTITIES = {
    "input_tokens": 6100,
    "cache_read_tokens": 5000,
    "cache_write_tokens": 1000,
    "cache_write_1h_tokens": 400,
    "output_tokens": 200,
    "web_searches": 2,
}


def _body(**fields: object) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps({"model": "claude-opus-5-5", "max_tokens": 9, "messages": messages, **fields}).encode()


def _answer(usage: object) -> bytes:
    return json.dumps({"id": "msg_1", "type": "message", "model": "claude-opus-5-5-1", "usage": usage}).encode()


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _start(usage: object) -> bytes:
    return _event("message_start", message={"id": "msg_1", "model": "claude-opus-5-5-1", "usage": usage})


def _delta(usage: object, stop: str = "end_turn") -> bytes:
    return _event("message_delta", delta={"stop_reason": stop}, usage=usage)


PLACED = {**USAGE, "output_tokens": 1, "server_tool_use": None}
TEXT = (
    _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + _event("ping")
    + b"".join(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": w}) for w in ("Hel", "lo"))
    + _event("content_block_stop", index=0)
)
STOP = _event("message_stop")


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, {}),
        ({"stream": True, "max_tokens": 0}, {"stream": True, "output_max": 0}),
        ({"speed": "fast", "service_tier": "auto"}, {"speed": "fast", "service_tier": "auto"}),
        ({"metadata": {"user_id": "u"}}, {"user": "u", "metadata": {"user_id": "u"}}),
        ({"tools": [{"name": "f", "input_schema": {}}]}, {"has_tools": True}),
        ({"tools": [{"type": "custom", "name": "f"}, {"type": "bash_20250124", "name": "bash"}]},
         {"has_tools": True, "input_more": 1_000}),
        ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
         {"long_cache": True}),
        ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}, {}),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, {"has_media": True}),
    ],
)  # fmt: skip
def test_facts(fields: dict[str, object], facts: dict[str, Any]) -> None:
    """The facts that bound the cost of a request are read from it."""
    expected = RequestFacts(model="claude-opus-5-5", output_max=9)._replace(**facts)

    assert anthropic_messages.read_request(_body(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "searches", "why"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}, 3, "web_search"),
        ({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, 10, "web_search"),
        ({"tools": [{"type": "web_search_20260209", "name": "web_search", "max_uses": 2.0}]}, 2, "web_search"),
        ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, 0, "web_fetch"),
        ({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, 0, "code_execution"),
        ({"tools": [{"type": "computer_toolset_20260301", "name": "computer"}]}, 0, "computer"),
        ({"mcp_servers": [{"type": "url", "url": "x"}]}, 0, "mcp"),
        ({"container": "c"}, 0, "container"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}, 0, "container"),
    ],
)
def test_server_tools(fields: dict[str, object], searches: int, why: str) -> None:
    """Tools that run at the server add input that the body does not show; searches have a limit."""
    facts = anthropic_messages.read_request(_body(**fields))

    assert facts.web_searches_max == searches
    assert why in str(facts.hidden_input)


@pytest.mark.parametrize("fields", [{"max_tokens": -1}, {"max_tokens": "9"}, {"messages": None}, {"messages": 3}])
def test_refused(fields: dict[str, object]) -> None:
    """An invalid cap and invalid messages are refused."""
    with pytest.raises(BadRequest):
        anthropic_messages.read_request(_body(**fields))


def test_content() -> None:
    """Every text that the model reads is collected, with names and numbers of tool inputs; media are measured."""
    shown = [{"type": "text", "text": "t-14"}]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    body = _body(
        system=[{"type": "text", "text": "s-1"}],
        messages=[
            {"role": "user", "content": "t-1"},
            {"role": "user", "content": [{"type": "text", "text": "t-2"}, image, "t-3"]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "t-4", "signature": "t-5"},
                {"type": "tool_use", "id": "tu", "name": "f-1", "input": {"key-1": 7}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "tu", "content": [{"type": "text", "text": "t-6"}, image]},
                {"type": "tool_result", "tool_use_id": "tu", "content": "t-7"},
                {"type": "document", "title": "t-8", "source": {"type": "text", "data": "t-9"}},
                {"type": "document", "source": {"type": "content", "content": ["t-10", image]}},
                {"type": "document", "context": "t-11", "source": {"type": "base64", "data": "AAAA"}},
                {"type": "document", "source": {"type": "file", "file_id": "f"}},
                {"type": "search_result", "source": "t-12", "title": "t-13", "content": shown},
                {"type": "odd", "deep": {"er": ["t-15"]}}]},
        ],
        tools=[{"name": "tool-1", "input_schema": {}}],
        output_format={"type": "json_schema", "schema": {"title": "schema-1"}},
    )  # fmt: skip

    content = anthropic_messages.read_content(body)

    assert {"s-1", "f-1", '{"key-1":7}', *(f"t-{n}" for n in range(1, 16))} <= set(content.texts)
    assert [(one.kind, one.data_bytes) for one in content.media] == [
        ("image", 3), ("image", 3), ("image", 3), ("file", 3), ("file", None),
    ]  # fmt: skip
    assert "AAAA" not in "".join(content.texts)
    assert b"tool-1" in content.tools_json[0]
    assert b"schema-1" in content.tools_json[1]
    assert content.messages == 4


def test_rewrite() -> None:
    """A rewrite changes only the model and the cap."""
    body = b'{"model":"a", "messages" : [1.50], "max_tokens": 9}'

    assert anthropic_messages.rewrite(body, RequestChange("b", 7)) == b'{"model":"b","messages":[1.50],"max_tokens":7}'


COMPACTED = {
    "input_tokens": 23_000,
    "output_tokens": 1_000,
    "iterations": [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 0,
         "cache_creation_input_tokens": 0},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000, "cache_read_input_tokens": 0,
         "cache_creation_input_tokens": 0},
    ],
}  # fmt: skip


CONTRADICTORY = [
    {**USAGE, "cache_creation": {"ephemeral_1h_input_tokens": 1001}},
    {**USAGE, "input_tokens": -1},
    {**USAGE, "output_tokens": "200"},
    {**USAGE, "output_tokens": True},
    {**USAGE, "output_tokens": 10**14},
    {**USAGE, "output_tokens_details": {"thinking_tokens": 201}},
    {**COMPACTED, "iterations": [{"type": "message", "input_tokens": 5, "output_tokens": 1000}]},
    {**COMPACTED, "iterations": ["odd"]},
    [],
    "many",
]


@pytest.mark.parametrize("usage", CONTRADICTORY, ids=str)
def test_contradictory_usage(usage: object) -> None:
    """Contradictory usage is kept and marked, and the quantities that are read from it add up, whole and streamed."""
    reader = anthropic_messages.stream_reader(RequestFacts("m"))
    reader.feed(_start({"input_tokens": 1, "output_tokens": 1}) + TEXT + _delta(usage) + STOP)

    for reading in (anthropic_messages.read_answer(_answer(usage)), reader.reading()):
        assert reading.contradiction or reading.note
        assert leaves(reading.quantities or {}) is not None
        assert reading.raw
        assert reading.model == "claude-opus-5-5-1"


@pytest.mark.parametrize("number", [b"NaN", b"1e400"])
def test_numbers_that_are_none(number: bytes) -> None:
    """Invalid and too large numbers are contradictions, and the last event is still held back."""
    usage = b'{"input_tokens":1,"output_tokens":%s}' % number
    reader = anthropic_messages.stream_reader(RequestFacts("m"))
    reader.feed(_start(PLACED))
    reader.feed(b'event: message_delta\ndata: {"type":"message_delta","usage":' + usage + b"}\n\n" + STOP)

    assert reader.reading().contradiction
    assert anthropic_messages.read_answer(b'{"usage":' + usage + b"}").contradiction
    assert reader.end() == STOP


def test_stream(stream: Any) -> None:
    """message_delta replaces field by field, nulls are ignored, the split of writes stays; only the end waits."""
    data = _start(PLACED) + TEXT
    delta = _delta({"output_tokens": 200, "input_tokens": None, "server_tool_use": {"web_search_requests": 2}})
    seen = stream(FORMAT, data + delta + STOP, step=5)

    assert (seen.forwarded, seen.kept) == (data + delta, STOP)
    assert (seen.reading.quantities, seen.reading.completeness) == (QUANTITIES, Completeness.FINAL)
    assert (seen.reading.service_tier, seen.reading.response_id) == ("standard", "msg_1")
    assert (seen.text, seen.complete) == ("Hello", True)


def test_deltas_are_cumulative(stream: Any) -> None:
    """Usage of several message_delta events is never added; later input replaces the first."""
    deltas = [
        _delta({"output_tokens": 50}),
        _delta({"output_tokens": 200, "input_tokens": 300, "cache_read_input_tokens": 7000}),
    ]
    seen = stream(FORMAT, _start(PLACED) + b"".join(deltas) + STOP, step=5)

    assert seen.reading.quantities == {
        "input_tokens": 8300, "cache_read_tokens": 7000, "cache_write_tokens": 1000, "cache_write_1h_tokens": 400,
        "output_tokens": 200,
    }  # fmt: skip


def test_nulls_inside_tell_nothing(stream: Any) -> None:
    """A null inside an object does not remove an earlier value."""
    first = _delta({"output_tokens": 200, "server_tool_use": {"web_search_requests": 2}})
    second = _delta({"output_tokens": 200, "server_tool_use": {"web_search_requests": None}})
    seen = stream(FORMAT, _start(PLACED) + first + second + STOP, step=5)

    assert seen.reading.quantities == QUANTITIES


def test_iterations_of_the_last_delta(stream: Any) -> None:
    """Compaction in a stream is counted like in a whole answer."""
    seen = stream(FORMAT, _start(PLACED) + _delta(COMPACTED) + STOP, step=9)

    assert seen.reading.quantities["input_tokens"] == 203_000
    assert seen.reading.quantities["output_tokens"] == 4_500


@pytest.mark.parametrize(
    "rest", [b"", TEXT, TEXT + _delta(None), TEXT + _delta(None) + STOP, TEXT + _delta({"output_tokens": None}) + STOP]
)
def test_placeholder_is_no_output(stream: Any, rest: bytes) -> None:
    """Until a message_delta reports output, the reading is partial and has only input."""
    seen = stream(FORMAT, _start(PLACED) + rest, step=5)

    assert seen.reading.completeness is Completeness.PARTIAL
    assert seen.reading.quantities == {
        key: quantity for key, quantity in QUANTITIES.items() if key not in ("output_tokens", "web_searches")
    }


def test_provider_error_in_the_stream(stream: Any) -> None:
    """An error event goes to the client and does not end the answer."""
    error = _event("error", error={"type": "overloaded_error", "message": "busy"})
    seen = stream(FORMAT, _start(PLACED) + TEXT + error, step=5)

    assert seen.forwarded == _start(PLACED) + TEXT + error
    assert (seen.complete, seen.text) == (False, "Hello")


def test_words_in_a_text_are_no_marks(stream: Any) -> None:
    """The word message_stop inside a text does not end the stream."""
    talk = _event("content_block_delta", index=0, delta={"type": "text_delta", "text": '{"type":"message_stop"}'})
    seen = stream(FORMAT, talk + TEXT, step=5)

    assert (seen.forwarded, seen.complete) == (talk + TEXT, False)


def test_text_is_what_the_model_wrote(stream: Any) -> None:
    """Thinking, text and tool inputs count; signatures and ids do not."""
    deltas = [{"thinking": "a"}, {"signature": "zz"}, {"text": "b"}, {"partial_json": '{"c"'}, {"partial_json": ":1}"}]
    streamed = b"".join(_event("content_block_delta", delta={"type": "x", **delta}) for delta in deltas)
    tool = {"type": "tool_use", "id": "tu", "name": "f", "input": {}}
    seen = stream(FORMAT, _event("content_block_start", content_block=tool) + streamed, step=5)
    blocks = [{**tool, "input": {"c": 1}}, {"type": "thinking", "thinking": "a", "signature": "zz"}]

    assert seen.text == 'fab{"c":1}'
    assert anthropic_messages.answer_text(json.dumps({"content": blocks}).encode()) == 'f{"c":1}a'


def test_counting_is_free() -> None:
    """Counting tokens is free, and its answer has no usage."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()

    assert anthropic_count_tokens.read_request(body) == RequestFacts(model="m", bills=False)
    assert anthropic_count_tokens.read_answer(b'{"input_tokens":5}').completeness is Completeness.MISSING
    assert anthropic_count_tokens.read_content(body).texts == ("x",)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.INVALID_REQUEST, "invalid_request_error"),
        (Code.UNKNOWN_KEY, "authentication_error"),
        (Code.BUDGET_EXCEEDED, "billing_error"),
        (Code.UNKNOWN_MODEL, "not_found_error"),
        (Code.TOO_LARGE, "request_too_large"),
        (Code.RATE_LIMITED, "rate_limit_error"),
        (Code.INTERNAL, "api_error"),
        (Code.STORE_UNAVAILABLE, "overloaded_error"),
        (Code.PROVIDER_TIMEOUT, "timeout_error"),
    ],
)
def test_errors(code: Code, kind: str) -> None:
    """Errors have the API's own types, in a body and in a stream."""
    body = json.loads(anthropic_messages.error(Refusal(code, "why")))
    head, data = anthropic_messages.stream_error(Refusal(code, "why")).decode().strip().split("\n")

    assert body["type"] == "error"
    assert (body["error"]["type"], body["error"]["message"]) == (kind, "why")
    assert head == "event: error"
    assert json.loads(data.removeprefix("data: ")) == body
