"""Responses: facts, content, usage whole and streamed."""

import json
from typing import Any

import pytest

from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness, leaves
from pertoken.wire import openai_responses
from pertoken.wire.format import BadRequest, Format, RequestChange

FORMAT: Format = openai_responses
USAGE = {
    "input_tokens": 2600,
    "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 200},
    "total_tokens": 2900,
}
QUANTITIES = {
    "input_tokens": 2600,
    "cache_read_tokens": 2000,
    "cache_write_tokens": 400,
    "output_tokens": 300,
    "reasoning_tokens": 200,
}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "gpt-5.6-sol", "input": "hi", **fields}).encode()


def _response(usage: object = None, output: object = (), status: str = "completed") -> dict[str, object]:
    return {
        "id": "resp_1", "object": "response", "model": "gpt-5.6-sol-1", "status": status, "service_tier": "priority",
        "output": list(output) if isinstance(output, list | tuple) else output, "usage": usage,
    }  # fmt: skip


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


CREATED = _event("response.created", response=_response(status="in_progress"))
DELTAS = b"".join(_event("response.output_text.delta", delta=word, item_id="msg_1") for word in ("Hel", "lo"))


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, {}),
        ({"stream": True, "max_output_tokens": 9}, {"stream": True, "output_max": 9}),
        ({"max_output_tokens": 0}, {"output_max": None}),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]}, {"has_tools": True}),
        ({"user": "u", "safety_identifier": "s"}, {"user": "u"}),
        ({"safety_identifier": "s", "metadata": {"a": "b"}}, {"user": "s", "metadata": {"a": "b"}}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"background": True, "stream": True}, {"stream": True}),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, {"has_media": True}),
        ({"input": [MESSAGE, {"role": "user", "content": "x"}]}, {}),
    ],
)
def test_facts(fields: dict[str, object], facts: dict[str, Any]) -> None:
    """The facts that bound the cost of a request are read from it."""
    assert openai_responses.read_request(_body(**fields)) == RequestFacts(model="gpt-5.6-sol")._replace(**facts)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"previous_response_id": "resp_0"}, "conversation"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "file_search"),
        ({"tools": [{"type": "function"}, {"type": "mcp", "server_url": "x"}]}, "mcp"),
        ({"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
        ({"tools": [{"type": "computer_use_preview"}, {"type": "tool_search"}]}, "tool_search"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "stored items"),
        ({"input": [{"id": "msg_1"}]}, "stored items"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "stored items"),
    ],
)
def test_hidden_input(fields: dict[str, object], why: str) -> None:
    """Input that the body does not show is reported, with the reason."""
    assert why in str(openai_responses.read_request(_body(**fields)).hidden_input)


def test_sealed_reasoning_is_shown() -> None:
    """Encrypted reasoning that the client sends is in the body and not hidden input."""
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}

    assert openai_responses.read_request(_body(input=[sealed])).hidden_input is None


@pytest.mark.parametrize(("calls", "most"), [({}, 10), ({"max_tool_calls": 3}, 3), ({"max_tool_calls": 0}, 10)])
@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_preview_2025_03_11"])
def test_web_searches(calls: dict[str, object], most: int, kind: str) -> None:
    """Web searches are bounded by the request's limit on tool calls, or else by a constant."""
    facts = openai_responses.read_request(_body(tools=[{"type": kind}], **calls))

    assert facts.web_searches_max == most


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"background": True}, "background"), ({"max_output_tokens": "9"}, "max_output_tokens"), ({"tools": 3}, "tools")],
)
def test_refused(fields: dict[str, object], param: str) -> None:
    """A request whose cost could not be known is refused; the error names the field."""
    with pytest.raises(BadRequest) as caught:
        openai_responses.read_request(_body(**fields))

    assert caught.value.param == param


def test_content() -> None:
    """Every text that the model reads is collected, and media are measured."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    body = _body(
        instructions="i-1",
        input=[
            {"role": "user", "content": "t-1"},
            {"role": "user", "content": [{"type": "input_text", "text": "t-2"}, image]},
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f-1", "arguments": '{"a-1":2}'},
            {"type": "function_call_output", "call_id": "c", "output": "t-3"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "t-4"}, image]},
            {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "http://x"}},
            {"type": "image_generation_call", "id": "ig", "result": "AAAA"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t-5"}], "encrypted_content": "t-6"},
            {"type": "odd", "deep": {"er": ["t-7"]}},
            {"role": "user", "content": [{"type": "input_file", "file_data": "AAAA", "filename": "t-8"}]},
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}]},
        ],
        tools=[{"type": "function", "name": "tool-1"}],
        text={"format": {"type": "json_schema", "name": "schema-1"}},
    )

    content = openai_responses.read_content(body)

    assert {"i-1", *(f"t-{n}" for n in range(1, 9)), "f-1", '{"a-1":2}'} <= set(content.texts)
    assert [(one.kind, one.data_bytes) for one in content.media] == [
        ("image", 3), ("image", 3), ("image", None), ("image", 3), ("file", None), ("audio", 3),
    ]  # fmt: skip
    assert "AAAA" not in "".join(content.texts)
    assert b"tool-1" in content.tools_json[0]
    assert b"schema-1" in content.tools_json[1]
    assert openai_responses.read_content(_body()).texts == ("hi",)


def test_rewrite() -> None:
    """A rewrite changes only the model and the cap."""
    body = b'{"model":"a", "input" : [1.50], "max_output_tokens": 9}'

    assert (
        openai_responses.rewrite(body, RequestChange("b", 7)) == b'{"model":"b","input":[1.50],"max_output_tokens":7}'
    )


@pytest.mark.parametrize(
    ("output", "more"),
    [
        ((), {}),
        ([MESSAGE], {}),
        ([{"type": "web_search_call"}] * 3 + [MESSAGE, {"type": "file_search_call"}],
         {"web_searches": 3, "file_searches": 1}),
        ("odd", {}),
        ([3, {"type": ["web_search_call"]}], {}),
    ],
)  # fmt: skip
def test_usage(output: object, more: dict[str, int]) -> None:
    """The documentation's example is read exactly; searches are counted from the output items."""
    reading = openai_responses.read_answer(json.dumps(_response(USAGE, output)).encode())

    assert reading.quantities == {**QUANTITIES, **more}
    assert reading[1:5] == (Completeness.FINAL, "gpt-5.6-sol-1", "priority", "resp_1")


@pytest.mark.parametrize(
    "usage",
    [
        {**USAGE, "input_tokens": 2399},
        {**USAGE, "total_tokens": 3000},
        {**USAGE, "output_tokens": 199, "total_tokens": 2799},
        {**USAGE, "output_tokens": "many"},
        {**USAGE, "output_tokens": -1},
        [],
    ],
    ids=str,
)
def test_contradictory_usage(usage: object) -> None:
    """Contradictory usage is kept and marked, and the quantities that are read from it add up, whole and streamed."""
    reader = openai_responses.stream_reader(RequestFacts("m"))
    reader.feed(CREATED + _event("response.completed", response=_response(usage)))

    for reading in (openai_responses.read_answer(json.dumps(_response(usage)).encode()), reader.reading()):
        assert reading.contradiction or reading.note
        assert leaves(reading.quantities or {}) is not None
        assert json.loads(reading.raw) == usage


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
def test_stream(stream: Any, kind: str) -> None:
    """The last event, the only one with usage, waits for the settlement."""
    last = _event(kind, response=_response(USAGE, [MESSAGE, {"type": "web_search_call"}]))
    seen = stream(FORMAT, CREATED + DELTAS + last, step=5)

    assert (seen.forwarded, seen.kept) == (CREATED + DELTAS, last)
    assert seen.reading.quantities == {**QUANTITIES, "web_searches": 1}
    assert (seen.text, seen.complete) == ("Hello", True)


def test_failed_without_usage(stream: Any) -> None:
    """A failure without usage ends the answer and reports no usage."""
    seen = stream(FORMAT, CREATED + DELTAS + _event("response.failed", response=_response()), step=5)

    assert (seen.complete, seen.reading.completeness) == (True, Completeness.MISSING)


def test_cut_stream(stream: Any) -> None:
    """A stream that is cut has its model and its text so far."""
    seen = stream(FORMAT, CREATED + DELTAS + b"event: response.comple", step=5)

    assert (seen.complete, seen.text, seen.reading.model) == (False, "Hello", "gpt-5.6-sol-1")
    assert seen.reading.completeness is Completeness.MISSING


def test_words_in_a_text_are_no_marks(stream: Any) -> None:
    """The name of the last event inside a text does not end the stream."""
    talk = _event("response.output_text.delta", delta='"type":"response.completed"')
    seen = stream(FORMAT, talk + DELTAS, step=5)

    assert (seen.forwarded, seen.complete) == (talk + DELTAS, False)


def test_usage_that_is_no_number_keeps_the_last_event() -> None:
    """A last event that is not valid JSON is held back too, and its usage is marked as doubtful."""
    last = b'data: {"type":"response.completed","response":{"usage":{"input_tokens":NaN}}}\n\n'
    reader = openai_responses.stream_reader(RequestFacts("m"))

    assert reader.feed(CREATED + last) == CREATED
    assert reader.reading().contradiction
    assert reader.reading().model == "gpt-5.6-sol-1"
    assert reader.end() == last


def test_text_of_a_whole_answer() -> None:
    """Texts, refusals, arguments and summaries count as output text; labels do not."""
    output = [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "x"},
        {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "b", "annotations": [{"type": "url_citation", "url": "x"}]},
            {"type": "refusal", "refusal": "c"}]},
        {"type": "function_call", "id": "f", "call_id": "c", "name": "d", "arguments": "{}"},
    ]  # fmt: skip

    assert openai_responses.answer_text(json.dumps(_response(None, output)).encode()) == "abcd{}"


def test_stream_error() -> None:
    """The event has the fields that the API documents, and the object from which the SDK raises."""
    event = openai_responses.stream_error(Refusal(Code.PROVIDER_FAILED, "broken", "p"))
    kind, data = event.decode().strip().split("\n")

    assert kind == "event: error"
    fields = json.loads(data.removeprefix("data: "))
    assert (fields["type"], fields["code"], fields["message"], fields["param"]) == (
        "error", "provider_failed", "broken", "p",
    )  # fmt: skip
    assert fields["error"]["message"] == "broken"
