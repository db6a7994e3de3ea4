"""Chat completions: facts, content, rewriting, usage whole and streamed."""

import json
from typing import Any

import msgspec
import pytest

from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness, leaves
from pertoken.wire import openai_chat
from pertoken.wire.format import BadRequest, Format, RequestChange

FORMAT: Format = openai_chat
MESSAGES = [{"role": "user", "content": "hi"}]


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": MESSAGES, **fields}).encode()


def _answer(usage: object) -> bytes:
    return json.dumps({"id": "c-1", "model": "gpt-4o-1", "service_tier": "default", "usage": usage}).encode()


def _event(delta: object = None, usage: object = None, *, space: str = "", **fields: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta}]
    chunk = {"id": "c-1", "model": "gpt-4o-1", "choices": choices, "usage": usage, **fields}
    return b"data: " + json.dumps(chunk, separators=(",", ":" + space)).encode() + b"\n\n"


USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
QUANTITIES = {"input_tokens": 10, "output_tokens": 2}
DONE = b"data: [DONE]\n\n"
HELLO = _event({"role": "assistant", "content": "Hel"}) + _event({"content": "lo"})
ASKED = RequestFacts(model="m", stream=True)
NOT_ASKED = RequestFacts(model="m", stream=True, wants_usage=False)


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, {}),
        ({"stream": True}, {"stream": True}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "wants_usage": True}),
        ({"max_tokens": 5}, {"output_max": 5, "output_field": None}),
        ({"max_completion_tokens": 6}, {"output_max": 6, "output_field": "max_completion_tokens"}),
        ({"max_completion_tokens": 6, "max_tokens": 9}, {"output_max": 9}),
        ({"max_tokens": 0}, {"output_max": None}),
        ({"max_tokens": None, "n": None}, {}),
        ({"n": 3}, {"choices": 3}),
        ({"n": 0}, {"choices": 1}),
        ({"tools": [{"type": "function"}]}, {"has_tools": True}),
        ({"functions": [{"name": "f"}]}, {"has_tools": True}),
        ({"modalities": ["text", "audio"]}, {"output_modalities": frozenset({"audio"})}),
        ({"web_search_options": {}}, {"web_searches_max": 1}),
        ({"service_tier": "priority", "user": "u"}, {"service_tier": "priority", "user": "u"}),
        ({"metadata": {"a": "b", "n": 1, "x": []}}, {"metadata": {"a": "b", "n": "1"}}),
        ({"user": ["odd"], "metadata": 3}, {}),
    ],
)
def test_facts(fields: dict[str, object], facts: dict[str, object]) -> None:
    """The facts that bound the cost of a request are read from it."""
    expected = RequestFacts(model="gpt-4o", wants_usage=False)._replace(**facts)  # type: ignore[arg-type]

    assert openai_chat.read_request(_body(**fields)) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_tokens", -1), ("max_tokens", "5"), ("max_completion_tokens", 1.5), ("n", True), ("n", -3)],
)
def test_bad_counts(field: str, value: object) -> None:
    """An invalid cap is refused with the field's name, never ignored."""
    with pytest.raises(BadRequest) as caught:
        openai_chat.read_request(_body(**{field: value}))

    assert caught.value.param == field


def test_media_hides_nowhere() -> None:
    """A picture is found even if its field name is escaped; the same word in a text is not a picture."""
    picture = _body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}])

    assert openai_chat.read_request(picture).has_media
    assert openai_chat.read_request(picture.replace(b"image_url", b"image\\u005furl")).has_media
    assert not openai_chat.read_request(_body(user='say "image_url"')).has_media


def test_stored_audio_is_hidden_input() -> None:
    """The id of an earlier spoken answer adds input that the body does not show; a request for sound does not."""
    stored = [{"role": "assistant", "audio": {"id": "audio_1"}}]

    assert openai_chat.read_request(_body(messages=stored)).hidden_input
    assert openai_chat.read_request(_body(audio={"voice": "alloy", "format": "wav"})).hidden_input is None


def test_content() -> None:
    """Every text that the model reads is collected, and media are measured."""
    body = _body(
        messages=[
            {"role": "system", "content": "s-1"},
            {"role": "user", "name": "n-1", "content": [{"type": "text", "text": "t-1"}, "t-2"]},
            {"role": "user", "content": [{"type": "odd", "deep": {"er": ["t-3"]}}]},
            {"role": "assistant", "content": None, "refusal": "t-4", "tool_calls": [
                {"id": "i", "type": "function", "function": {"name": "f-1", "arguments": '{"a-1": 2}'}}]},
            {"role": "tool", "tool_call_id": "i", "content": "t-5"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": "http://x", "text": "t-6"},
                {"type": "input_audio", "input_audio": {"data": "AAAAAAAA", "format": "wav"}},
                {"type": "video_url", "video_url": {"url": "http://x"}},
                {"type": "file", "file": {"file_id": "f"}},
                {"type": "image_url"},
                {"type": "input_audio", "input_audio": 3}]},
        ],
        tools=[{"type": "function", "function": {"name": "tool-1"}}],
        functions=[{"name": "fun-1"}],
        response_format={"type": "json_schema", "json_schema": {"name": "schema-1"}},
    )  # fmt: skip

    content = openai_chat.read_content(body)

    assert {"s-1", "n-1", "t-1", "t-2", "t-3", "t-4", "f-1", '{"a-1": 2}', "t-5", "t-6"} <= set(content.texts)
    assert [(one.kind, one.data_bytes) for one in content.media] == [
        ("image", 3), ("image", None), ("audio", 6), ("video", None), ("file", None), ("image", None), ("audio", None),
    ]  # fmt: skip
    assert content.media[0].detail == "low"
    assert not any("base64" in text for text in content.texts)
    assert (content.messages, content.names) == (6, 1)
    assert [name in b"".join(content.tools_json) for name in (b"tool-1", b"fun-1", b"schema-1")] == [True] * 3


@pytest.mark.parametrize("messages", [None, 3, "x", [3], [None]])
def test_no_messages(messages: object) -> None:
    """Messages of the wrong shape are refused."""
    with pytest.raises(BadRequest):
        openai_chat.read_content(json.dumps({"model": "m", "messages": messages}).encode())


@pytest.mark.parametrize(
    ("fields", "change", "changed"),
    [
        ({}, RequestChange(model="m2"), {"model": "m2"}),
        ({}, RequestChange(output_max=7), {"max_completion_tokens": 7}),
        ({"max_tokens": 90}, RequestChange(output_max=7), {"max_tokens": 7}),
        ({"max_tokens": None}, RequestChange(output_max=7), {"max_tokens": None, "max_completion_tokens": 7}),
        ({}, RequestChange(output_max=7, output_field="max_tokens"), {"max_tokens": 7}),
        ({}, RequestChange(output_max=7, output_field="max_completion_tokens"), {"max_completion_tokens": 7}),
        (
            {"stream_options": {"x": 1}},
            RequestChange(include_usage=True),
            {"stream_options": {"x": 1, "include_usage": True}},
        ),
        ({"stream_options": None}, RequestChange(include_usage=True), {"stream_options": {"include_usage": True}}),
        ({"max_tokens": 3}, RequestChange(), {"max_tokens": 3}),
    ],
)
def test_rewrite(fields: dict[str, object], change: RequestChange, changed: dict[str, object]) -> None:
    """A rewrite changes only the fields that policy names; an unknown field keeps its bytes."""
    odd = b'{"new_thing" : {"z": [1.50,  1e3]},' + _body(**fields)[1:]

    rewritten = msgspec.json.decode(openai_chat.rewrite(odd, change), type=dict[str, msgspec.Raw])

    assert bytes(rewritten.pop("new_thing")) == b'{"z": [1.50,  1e3]}'
    expected = {"model": "gpt-4o", "messages": MESSAGES, **changed}
    assert {key: json.loads(bytes(raw)) for key, raw in rewritten.items()} == expected


CONTRADICTORY = [
    {**USAGE, "prompt_tokens_details": {"cached_tokens": 11}},
    {**USAGE, "total_tokens": 13},
    {**USAGE, "prompt_tokens": -10},
    {**USAGE, "prompt_tokens": "10"},
    {**USAGE, "prompt_tokens": True},
    {**USAGE, "prompt_tokens": 10**15},
    {**USAGE, "completion_tokens": 1.5},
    {**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}},
    {"prompt_tokens": 10, "completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 11}},
    "many",
    [1],
]


@pytest.mark.parametrize("usage", CONTRADICTORY, ids=str)
def test_contradictory_usage(usage: object) -> None:
    """Contradictory usage is kept and marked, and the quantities that are read from it add up, whole and streamed."""
    whole = openai_chat.read_answer(_answer(usage))
    reader = openai_chat.stream_reader(ASKED)
    reader.feed(HELLO + _event(None, usage) + DONE)

    for reading in (whole, reader.reading()):
        assert reading.contradiction or reading.note
        assert leaves(reading.quantities or {}) is not None
        assert json.loads(reading.raw) == usage
        assert reading.model == "gpt-4o-1"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e400", b"9" * 5000])
def test_numbers_that_are_none(number: bytes) -> None:
    """Invalid and too large numbers are contradictions, whole and streamed, and stripped usage still stays out."""
    usage = b'{"prompt_tokens":%s,"completion_tokens":1}' % number
    whole = openai_chat.read_answer(b'{"model":"m","usage":' + usage + b"}")
    reader = openai_chat.stream_reader(NOT_ASKED)
    forwarded = reader.feed(HELLO + b'data: {"choices":[],"usage":' + usage + b"}\n\n" + DONE)

    for reading in (whole, reader.reading()):
        assert reading.contradiction
        assert reading.raw == usage
    assert forwarded == HELLO
    assert reader.end() == DONE


@pytest.mark.parametrize(
    ("usage", "completeness", "quantities"),
    [
        (None, Completeness.MISSING, None),
        ({}, Completeness.MISSING, None),
        ({"prompt_tokens": 10}, Completeness.PARTIAL, {"input_tokens": 10}),
        ({"completion_tokens": 2}, Completeness.PARTIAL, {"output_tokens": 2}),
    ],
)
def test_usage_that_is_not_all(usage: object, completeness: Completeness, quantities: dict[str, int] | None) -> None:
    """Usage without output or without input is never final: the missing side is counted and not free."""
    reading = openai_chat.read_answer(_answer(usage))

    assert (reading.completeness, reading.quantities) == (completeness, quantities)


def test_stream_where_usage_was_asked_for(stream: Any) -> None:
    """The usage event and the end marker wait for the settlement; then the client gets every byte."""
    seen = stream(FORMAT, HELLO + _event(None, USAGE) + DONE, ASKED)

    assert (seen.forwarded, seen.kept) == (HELLO, _event(None, USAGE) + DONE)
    assert (seen.reading.quantities, seen.reading.completeness) == (QUANTITIES, Completeness.FINAL)
    assert (seen.text, seen.complete) == ("Hello", True)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("space", ["", " "])
def test_stream_where_usage_was_not_asked_for(stream: Any, copies: int, space: str) -> None:
    """The usage event that we requested never reaches the client, even if the provider sends it twice."""
    usage = _event(None, USAGE, space=space) * copies
    seen = stream(FORMAT, HELLO + usage + DONE, NOT_ASKED)

    assert (seen.forwarded, seen.kept) == (HELLO, DONE)
    assert seen.reading.quantities == QUANTITIES


@pytest.mark.parametrize("facts", [ASKED, NOT_ASKED])
def test_nothing_behind_the_end_gets_out(stream: Any, facts: RequestFacts) -> None:
    """Bytes after the end marker are held back with it, in order."""
    late = _event({"content": "late"}) + b": ping\n\n"
    seen = stream(FORMAT, HELLO + DONE + late, facts)

    assert (seen.forwarded, seen.kept) == (HELLO, DONE + late)


def test_held_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that keeps sending after the end marker cannot fill the memory."""
    monkeypatch.setattr("pertoken.wire.stream.HELD_BYTES_MAX", 1000)
    reader = openai_chat.stream_reader(ASKED)
    reader.feed(DONE)
    for _ in range(100):
        assert reader.feed(HELLO) == b""

    assert len(reader.end()) <= 1000


def test_usage_beside_choices(stream: Any) -> None:
    """An event with usage and text goes to the client; the last usage counts."""
    first, last = (_event({"content": "x"}, {**USAGE, "completion_tokens": n, "total_tokens": 10 + n}) for n in (1, 2))
    seen = stream(FORMAT, first + last + DONE, NOT_ASKED)

    assert (seen.forwarded, seen.kept) == (first + last, DONE)
    assert seen.reading.quantities == QUANTITIES


def test_empty_usage_does_not_undo(stream: Any) -> None:
    """An empty usage object after a full one changes nothing."""
    seen = stream(FORMAT, HELLO + _event(None, USAGE) + _event(None, {}) + DONE, NOT_ASKED)

    assert seen.reading.quantities == QUANTITIES
    assert seen.forwarded + seen.kept == HELLO + DONE


def test_groq(stream: Any) -> None:
    """Groq's usage is read from x_groq, in an event that goes to the client."""
    groq = _event({}, None, x_groq={"id": "r", "usage": USAGE})
    seen = stream(FORMAT, HELLO + groq + DONE, NOT_ASKED)

    assert seen.forwarded == HELLO + groq
    assert seen.reading.quantities == QUANTITIES


@pytest.mark.parametrize("end", [b"data: [DONE]\n", b"data: [DONE]", b"data: [DONE]\r\n"])
def test_last_blank_line_left_out(stream: Any, end: bytes) -> None:
    """An answer is complete even if the server leaves out the last blank line."""
    seen = stream(FORMAT, HELLO + _event(None, USAGE) + end, NOT_ASKED)

    assert seen.complete
    assert seen.reading.quantities == QUANTITIES
    assert seen.forwarded + seen.kept == HELLO + end


def test_usage_without_blank_line_is_stripped(stream: Any) -> None:
    """Usage that the client did not request is read and stripped, even in a last event without a blank line."""
    seen = stream(FORMAT, HELLO + _event(None, USAGE).rstrip(), NOT_ASKED)

    assert seen.forwarded + seen.kept == HELLO
    assert seen.reading.quantities == QUANTITIES


def test_cut_stream(stream: Any) -> None:
    """A stream that is cut inside an event has its model and text so far, no usage and no end."""
    seen = stream(FORMAT, HELLO + b'data: {"choices":[{"del', ASKED)

    assert seen.forwarded + seen.kept == HELLO + b'data: {"choices":[{"del'
    assert (seen.reading.completeness, seen.reading.model) == (Completeness.MISSING, "gpt-4o-1")
    assert (seen.text, seen.complete) == ("Hello", False)


def test_words_in_a_text_are_no_marks(stream: Any) -> None:
    """The words [DONE] and "usage" inside a text are not taken for the end or for usage."""
    talk = _event({"content": 'data: [DONE] "usage":{"prompt_tokens":1} {"choices":[],"usage":{}}'})
    seen = stream(FORMAT, talk + DONE, NOT_ASKED)

    assert (seen.forwarded, seen.kept) == (talk, DONE)
    assert seen.reading.quantities is None


def test_crlf(stream: Any) -> None:
    """Streams with CRLF are read like streams with LF."""
    data = (HELLO + _event(None, USAGE) + DONE).replace(b"\n", b"\r\n")
    seen = stream(FORMAT, data, NOT_ASKED)

    assert seen.forwarded == HELLO.replace(b"\n", b"\r\n")
    assert seen.reading.quantities == QUANTITIES


def test_text_is_what_the_model_wrote(stream: Any) -> None:
    """Tool calls, refusals, reasoning and transcripts count; ids, roles and sound do not."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    parts = [
        {"role": "assistant", "content": "a"}, {"reasoning_content": "b"}, {"refusal": "c"}, {"tool_calls": [call]},
        {"audio": {"id": "x", "data": "UklGRg==", "transcript": "d", "expires_at": 1}},
        {"reasoning": "e", "reasoning_details": [{"type": "reasoning.text", "text": "e"}]},
    ]  # fmt: skip
    seen = stream(FORMAT, b"".join(_event(part) for part in parts), ASKED, step=7)
    whole = json.dumps({"choices": [{"message": part} for part in parts]}).encode()

    assert seen.text == 'abcf{"a":1}de'
    assert openai_chat.answer_text(whole) == seen.text
    assert openai_chat.answer_text(b"<html>") == "<html>"


class Counting:
    """A decoder that counts what it reads."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.calls = 0

    def decode(self, data: bytes) -> Any:
        """Read a text, and count it."""
        self.calls += 1
        return self._decoder.decode(data)


def test_a_plain_chunk_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feeding a chunk that cannot matter decodes nothing and collects no text; a chunk with usage is decoded once."""
    decoder, texts = Counting(openai_chat._answer), 0

    def written(*arguments: Any) -> None:
        nonlocal texts
        texts += 1
        collect(*arguments)

    collect = openai_chat._written
    monkeypatch.setattr(openai_chat, "_answer", decoder)
    monkeypatch.setattr(openai_chat, "_written", written)
    reader = openai_chat.stream_reader(ASKED)
    reader.feed(_event({"content": "first"}))
    assert (decoder.calls, texts) == (1, 0)
    for _ in range(20):
        reader.feed(_event({"content": "word"}))

    assert (decoder.calls, texts) == (1, 0)
    reader.feed(_event(usage=USAGE))
    assert decoder.calls == 2
    assert reader.text() == "first" + 20 * "word"
    assert texts == 22


def test_asking_changes_nothing() -> None:
    """Calling `reading` in the middle of an event does not change the stream."""
    reader = openai_chat.stream_reader(ASKED)
    reader.feed(b"data: [DONE]")

    assert reader.complete
    reader.feed(b" is not the end\n\n")
    assert not reader.complete


def test_usage_event_without_model() -> None:
    """Model and id of earlier events stay known if the usage event leaves them out."""
    reader = openai_chat.stream_reader(ASKED)
    reader.feed(HELLO + b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n")

    assert reader.reading()[:5] == (QUANTITIES, Completeness.FINAL, "gpt-4o-1", None, "c-1")


def test_an_event_over_several_lines(stream: Any) -> None:
    """Data in several lines is one event; an event that cannot be read counts as text, next to those that can."""
    lines = b'data: {"choices": [{"delta":\ndata: {"content": "lo"}}]}\n\n'
    seen = stream(FORMAT, _event({"content": "Hel"}) + lines + b"data: {broken\n\n", ASKED, step=5)

    assert seen.text == "Hello{broken"


@pytest.mark.parametrize(
    ("given", "field"), [("max_completion_tokens", "max_tokens"), ("max_tokens", "max_completion_tokens")]
)
def test_a_cap_moves_to_the_field_that_the_provider_knows(given: str, field: str) -> None:
    """The cap is in one field only, because servers refuse both fields and a field that they do not know."""
    rewritten = openai_chat.rewrite(_body(**{given: 9}), RequestChange(output_max=9, output_field=field))

    assert {key: value for key, value in json.loads(rewritten).items() if key.startswith("max")} == {field: 9}
