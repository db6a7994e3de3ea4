"""Gemini: generateContent, its two kinds of stream, countTokens and embedContent."""

import json
from typing import Any

import pytest

from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness, leaves
from pertoken.wire import gemini_count_tokens, gemini_embed, gemini_generate, gemini_stream
from pertoken.wire.format import BadRequest, Format, RequestChange

FORMAT: Format = gemini_generate
COUNTING: Format = gemini_count_tokens
EMBEDDING: Format = gemini_embed
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
USAGE = {
    "promptTokenCount": 250_000,
    "cachedContentTokenCount": 50_000,
    "candidatesTokenCount": 1_000,
    "thoughtsTokenCount": 3_000,
    "totalTokenCount": 254_000,
}


def _body(**fields: object) -> bytes:
    return json.dumps({"contents": CONTENTS, **fields}).encode()


def _piece(
    text: str = "", usage: object = None, *, model: str = "gemini-2.5-pro", **candidate: object
) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    piece: dict[str, Any] = {
        "candidates": [{"content": content, **candidate}],
        "modelVersion": model,
        "responseId": "r",
    }
    return piece if usage is None else {**piece, "usageMetadata": usage}


def _sse(*pieces: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(piece).encode() + b"\r\n\r\n" for piece in pieces)


def _array(*pieces: dict[str, Any]) -> bytes:
    return b"[" + b"\n,\r\n".join(json.dumps(piece, indent=2).encode() for piece in pieces) + b"\n]\n"


def _so_far(count: int) -> dict[str, int]:
    return {"promptTokenCount": 10, "candidatesTokenCount": count, "totalTokenCount": 10 + count}


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, {}),
        ({"generationConfig": {"maxOutputTokens": 9, "candidateCount": 2}}, {"output_max": 9, "choices": 2}),
        ({"generation_config": {"max_output_tokens": 9, "candidate_count": 2}}, {"output_max": 9, "choices": 2}),
        ({"generationConfig": {"maxOutputTokens": 0, "candidateCount": 0}}, {}),
        ({"generationConfig": None}, {}),
        ({"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}, {"output_modalities": frozenset({"audio"})}),
        ({"generationConfig": {"responseModalities": 3}}, {}),
        ({"serviceTier": "FLEX"}, {"service_tier": "flex"}),
        ({"tools": [{"functionDeclarations": [{"name": "f"}]}]}, {"has_tools": True}),
        ({"contents": [{"parts": [{"inlineData": {}}]}]}, {"has_media": True}),
        ({"contents": [{"parts": [{"file_data": {}}]}]}, {"has_media": True}),
    ],
)
def test_facts(fields: dict[str, object], facts: dict[str, Any]) -> None:
    """The facts that bound the cost of a request are read in either spelling; the path names the model."""
    facts = {"output_max": None, **facts}

    assert gemini_generate.read_request(_body(**fields), "gemini-2.5-pro") == RequestFacts(
        model="gemini-2.5-pro"
    )._replace(**facts)


def test_models_that_draw() -> None:
    """A model that draws without being asked is bounded like one that was asked to draw."""
    assert gemini_generate.read_request(_body(), "gemini-2.5-flash-image").output_modalities == {"image"}


@pytest.mark.parametrize(
    ("fields", "model", "searches", "why"),
    [
        ({"tools": [{"googleSearch": {}}]}, "gemini-2.5-pro", 1, "googleSearch"),
        ({"tools": [{"google_search": {}}]}, "gemini-3-pro", 10, "google_search"),
        ({"tools": {"googleSearch": {}}}, "gemini-flash-latest", 10, "googleSearch"),
        ({"tools": [{"urlContext": {}}]}, "gemini-3-pro", 0, "urlContext"),
        ({"tools": [{"codeExecution": {}}]}, "gemini-3-pro", 0, "codeExecution"),
        ({"cachedContent": "cachedContents/1"}, "gemini-3-pro", 0, "cached content"),
        ({"cached_content": "cachedContents/1"}, "gemini-3-pro", 0, "cached content"),
    ],
)
def test_hidden_input(fields: dict[str, object], model: str, searches: int, why: str) -> None:
    """Input that the body does not show is reported; searches have a limit."""
    facts = gemini_generate.read_request(_body(**fields), model)

    assert facts.web_searches_max == searches
    assert why in str(facts.hidden_input)


@pytest.mark.parametrize(
    "fields",
    [
        {"generationConfig": []},
        {"generationConfig": {"maxOutputTokens": -1}},
        {"generationConfig": {"maxOutputTokens": "9"}},
        {"generationConfig": {"maxOutputTokens": 9, "max_output_tokens": 99}},
        {"generationConfig": {}, "generation_config": {}},
    ],
    ids=str,
)
def test_refused(fields: dict[str, object]) -> None:
    """An invalid cap is refused, and so is one given twice, because it is unknown which one counts."""
    with pytest.raises(BadRequest):
        gemini_generate.read_request(_body(**fields), "gemini-2.5-pro")
    with pytest.raises(BadRequest):
        gemini_generate.read_request(b"{}", "gemini-2.5-pro")


def test_content() -> None:
    """Every text that the model reads is collected, with names and numbers of calls; media are measured by kind."""
    body = _body(
        systemInstruction={"parts": [{"text": "s-1"}]},
        contents=[
            {"role": "user", "parts": [{"text": "t-1"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f-1", "args": {"key-1": 7}}}]},
            {"role": "user", "parts": [{"functionResponse": {
                "name": "f-2", "response": {"key-2": 8},
                "parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AAAAAAAA"}}]}}]},
            {"parts": [{"file_data": {"mime_type": "video/mp4", "file_uri": "http://x"}}, {"text": "t-2"}]},
            {"parts": [{"fileData": {"mimeType": "application/pdf", "fileUri": "http://x"}}]},
            {"parts": {"text": "t-3"}},
            "t-4",
            {"parts": [{"odd": {"er": ["t-5"]}}, {"executableCode": {"code": "t-6"}}]},
        ],
        tools=[{"functionDeclarations": [{"name": "tool-1"}]}],
        generationConfig={"responseSchema": {"title": "schema-1"}},
    )  # fmt: skip

    content = gemini_generate.read_content(body)

    texts = "\n".join(content.texts)
    for text in ("s-1", "f-1", '"key-1":7', "f-2", '"key-2":8', *(f"t-{n}" for n in range(1, 7))):
        assert text in texts
    assert [(one.kind, one.data_bytes) for one in content.media] == [
        ("image", 3), ("audio", 6), ("video", None), ("file", None),
    ]  # fmt: skip
    assert "AAAA" not in texts
    assert b"tool-1" in content.tools_json[0]
    assert b"schema-1" in content.tools_json[1]
    assert gemini_generate.read_content(_body(system_instruction="s-2")).texts == ("s-2", "hi")


@pytest.mark.parametrize(
    ("body", "rewritten"),
    [
        (b'{"contents" : [1.50]}', b'{"contents":[1.50],"generationConfig":{"maxOutputTokens":7}}'),
        (
            b'{"generationConfig": {"maxOutputTokens" :9, "x" : [ 1e3 ]}, "contents": [ ]}',
            b'{"generationConfig":{"maxOutputTokens":7,"x":[ 1e3 ]},"contents":[ ]}',
        ),
        (
            b'{"generation_config": {"max_output_tokens" :9}, "contents": []}',
            b'{"generation_config":{"max_output_tokens":7},"contents":[]}',
        ),
        (b'{"generationConfig": null}', b'{"generationConfig":{"maxOutputTokens":7}}'),
    ],
)
def test_rewrite(body: bytes, rewritten: bytes) -> None:
    """The cap is replaced where the request has it; all other values keep their bytes on both levels."""
    assert gemini_generate.rewrite(body, RequestChange(output_max=7)) == rewritten
    assert gemini_generate.rewrite(body, RequestChange(model="other")) is body


def _details(*pairs: tuple[str, int]) -> list[dict[str, object]]:
    return [{"modality": modality, "tokenCount": count} for modality, count in pairs]


@pytest.mark.parametrize(
    "usage",
    [
        {**USAGE, "totalTokenCount": 254_001},
        {**USAGE, "cachedContentTokenCount": 250_001},
        {**USAGE, "promptTokenCount": -1},
        {**USAGE, "thoughtsTokenCount": "3000"},
        {**USAGE, "promptTokensDetails": _details(("AUDIO", 250_001))},
        {**USAGE, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": True}]},
        [],
        "many",
    ],
    ids=str,
)
def test_contradictory_usage(usage: object) -> None:
    """Contradictory usage is kept and marked, and the quantities that are read from it add up, whole and streamed."""
    reader = gemini_generate.stream_reader(RequestFacts("m"))
    reader.feed(_sse(_piece("x", USAGE), _piece("", usage, finishReason="STOP")))

    for reading in (gemini_generate.read_answer(json.dumps(_piece("x", usage)).encode()), reader.reading()):
        assert reading.contradiction or reading.note
        assert leaves(reading.quantities or {}) is not None
        assert json.loads(reading.raw) == usage


@pytest.mark.parametrize("number", [b"NaN", b"1e400"])
def test_numbers_that_are_none(number: bytes) -> None:
    """Invalid and too large numbers are contradictions, in an answer and in both kinds of stream."""
    piece = b'{"usageMetadata":{"promptTokenCount":%s,"totalTokenCount":3}}' % number
    readings = [gemini_generate.read_answer(piece)]
    for data in (b"data: " + piece + b"\n\n", b"[" + piece + b"]"):
        reader = gemini_generate.stream_reader(RequestFacts("m"))
        reader.feed(data)
        readings.append(reader.reading())

    assert all(reading.contradiction for reading in readings)


@pytest.mark.parametrize(
    ("usage", "completeness"),
    [(None, Completeness.MISSING), ({}, Completeness.MISSING), ({"promptTokenCount": 5}, Completeness.PARTIAL)],
)
def test_usage_that_is_not_all(usage: object, completeness: Completeness) -> None:
    """Usage without its output is never final."""
    assert gemini_generate.read_answer(json.dumps(_piece("x", usage)).encode()).completeness == completeness


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"serviceTier": "priority"}, "priority"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": "ON_DEMAND"}, "on_demand"),
        ({"trafficType": "TRAFFIC_TYPE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_tier(fields: dict[str, str], tier: str | None) -> None:
    """The tier that served is read under either of its names."""
    reading = gemini_generate.read_answer(json.dumps(_piece("x", {**USAGE, **fields})).encode())

    assert reading.service_tier == tier


GROUNDED = {"groundingMetadata": {"webSearchQueries": ["a", "b", "c"]}}


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-pro", 1), ("gemini-3-pro", 3), ("gemini-3.1-flash", 3)])
def test_searches(model: str, searches: int) -> None:
    """Gemini 3 and later bill each query, earlier models each grounded prompt; whole and in both kinds of stream."""
    last = _piece("x", USAGE, model=model, finishReason="STOP", **GROUNDED)
    readings = [gemini_generate.read_answer(json.dumps(last).encode())]
    for data in (_sse(last), _array(last)):
        reader = gemini_generate.stream_reader(RequestFacts(model))
        reader.feed(data)
        readings.append(reader.reading())

    assert [(reading.quantities or {}).get("web_searches") for reading in readings] == [searches] * 3


FIRST = (_piece("Hel", _so_far(1)), _piece("lo", _so_far(2)))
LAST = _piece("!", _so_far(3), finishReason="STOP")


def test_stream_of_events(stream: Any) -> None:
    """Usage is cumulative, so the last one counts; the piece with the reason for the end waits for the settlement."""
    seen = stream(FORMAT, _sse(*FIRST, LAST), step=5)

    assert (seen.forwarded, seen.kept) == (_sse(*FIRST), _sse(LAST))
    assert seen.reading.quantities == {"input_tokens": 10, "output_tokens": 3}
    assert (seen.reading.completeness, seen.text, seen.complete) == (Completeness.FINAL, "Hello!", True)


def test_stream_of_an_array(stream: Any) -> None:
    """The pieces of a JSON array are read like events; its closing bracket never goes out before the end."""
    data = _array(*FIRST, LAST)
    seen = stream(FORMAT, data, step=7)

    assert seen.forwarded + seen.kept == data
    assert b"finishReason" not in seen.forwarded
    assert seen.kept.rstrip().endswith(b"]")
    assert seen.reading.quantities == {"input_tokens": 10, "output_tokens": 3}
    assert (seen.reading.completeness, seen.reading.model) == (Completeness.FINAL, "gemini-2.5-pro")
    assert (seen.text, seen.complete) == ("Hello!", True)


@pytest.mark.parametrize("framed", [_sse, _array])
def test_cut_stream(stream: Any, framed: Any) -> None:
    """A stream that is cut inside a piece is partial, with the last complete usage."""
    data = framed(*FIRST)
    data = data[: data.rindex(b"modelVersion")] + b"model"
    seen = stream(FORMAT, data, step=7)

    assert seen.forwarded + seen.kept == data
    assert (seen.reading.completeness, seen.complete) == (Completeness.PARTIAL, False)
    assert seen.reading.quantities["input_tokens"] == 10


def test_blocked_prompt(stream: Any) -> None:
    """A blocked prompt ends the answer: its input is used, and there is no output."""
    usage = {"promptTokenCount": 10, "totalTokenCount": 10}
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage, "modelVersion": "gemini-2.5-pro"}
    seen = stream(FORMAT, _sse(blocked))

    assert seen.complete
    assert seen.reading.quantities == {"input_tokens": 10, "output_tokens": 0}


@pytest.mark.parametrize("framed", [_sse, _array])
def test_words_in_a_text_are_no_marks(stream: Any, framed: Any) -> None:
    """The words usageMetadata and finishReason inside a text are not taken for usage or the end."""
    talk = _piece('"finishReason": "STOP", "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}')
    seen = stream(FORMAT, framed(*FIRST, talk), step=9)

    assert not seen.complete
    assert seen.reading.quantities == {"input_tokens": 10, "output_tokens": 2}


def test_a_call_cannot_lower_the_bill(stream: Any) -> None:
    """Arguments of a call that look like usage or like the end are not taken for them."""
    lie = {"usageMetadata": {"promptTokenCount": 0, "totalTokenCount": 0}, "finishReason": "STOP"}
    call = _piece("x", _so_far(2))
    call["candidates"][0]["content"]["parts"] = [{"functionCall": {"name": "f", "args": lie}}]
    seen = stream(FORMAT, _sse(*FIRST, call), step=9)

    assert not seen.complete
    assert seen.reading.quantities == {"input_tokens": 10, "output_tokens": 2}


def test_tail_of_an_array_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last bytes of a long array are kept, and usage is read from them."""
    monkeypatch.setattr(gemini_stream, "ARRAY_BYTES_MAX", 1000)
    reader = gemini_stream.ArrayPieces("m", gemini_generate.USAGE)
    for count in range(3000):
        reader.feed((b"[" if count == 0 else b",") + json.dumps(_piece("word", _so_far(count))).encode())

    assert (reader.reading().quantities or {})["output_tokens"] == 2999
    assert sum(map(len, reader._tail)) < 2 * gemini_stream.TAIL_BYTES
    assert sum(map(len, reader._all)) < 2000


def test_text_is_what_the_model_wrote() -> None:
    """Texts, thoughts and calls count; roles, signatures and pictures do not. "model" is a word like any other."""
    parts = [
        {"text": "a", "thought": True}, {"text": "model"}, {"functionCall": {"name": "f", "args": {"b": 1}}},
        {"text": "c", "thoughtSignature": "zz"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]  # fmt: skip
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}

    assert gemini_generate.answer_text(json.dumps(answer).encode()) == 'amodelf{"b":1}c'


def test_counting_is_free() -> None:
    """Counting tokens is free."""
    assert gemini_count_tokens.read_request(_body(), "m") == RequestFacts(model="m", bills=False)
    assert gemini_count_tokens.read_answer(b'{"totalTokens":5}').completeness is Completeness.MISSING
    assert gemini_count_tokens.rewrite(_body(), RequestChange("x", 1)) == _body()


@pytest.mark.parametrize(
    ("request_", "texts"),
    [
        ({"content": {"parts": [{"text": "a"}]}, "title": "b"}, ("b", "a")),
        ({"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]}, ("a", "b")),
    ],
)
def test_embedding(request_: dict[str, object], texts: tuple[str, ...]) -> None:
    """One content or several are collected; there is no output."""
    body = json.dumps(request_).encode()

    assert gemini_embed.read_request(body, "gemini-embedding-001") == RequestFacts("gemini-embedding-001", output_max=0)
    assert gemini_embed.read_content(body).texts == texts
    assert gemini_embed.rewrite(body, RequestChange("x", 1)) is body


def test_embedding_of_nothing() -> None:
    """A request without content is refused."""
    with pytest.raises(BadRequest):
        gemini_embed.read_request(b"{}", "m")


@pytest.mark.parametrize(
    ("usage", "quantities", "completeness"),
    [
        (None, None, Completeness.MISSING),
        ({"promptTokenCount": 7}, {"input_tokens": 7, "output_tokens": 0}, Completeness.FINAL),
        ({"promptTokenCount": 7, "totalTokenCount": 7}, {"input_tokens": 7, "output_tokens": 0}, Completeness.FINAL),
        ({"promptTokenCount": -7}, None, Completeness.FINAL),
    ],
)
def test_embedding_usage(usage: object, quantities: dict[str, int] | None, completeness: Completeness) -> None:
    """Usage is read if the answer has it."""
    answer = {"embedding": {"values": [0.1]}, **({} if usage is None else {"usageMetadata": usage})}
    reading = gemini_embed.read_answer(json.dumps(answer).encode())

    assert (reading.quantities, reading.completeness) == (quantities, completeness)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID_REQUEST, "INVALID_ARGUMENT"),
        (Code.UNKNOWN_KEY, "UNAUTHENTICATED"),
        (Code.BUDGET_EXCEEDED, "RESOURCE_EXHAUSTED"),
        (Code.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (Code.UNKNOWN_MODEL, "NOT_FOUND"),
        (Code.STORE_UNAVAILABLE, "UNAVAILABLE"),
        (Code.PROVIDER_TIMEOUT, "DEADLINE_EXCEEDED"),
    ],
)
def test_errors(code: Code, status: str) -> None:
    """Errors have Google's own form, in a body and in a stream, where the SDK expects them at the start."""
    refusal = Refusal(code, "why")
    fields = json.loads(gemini_generate.error(refusal))["error"]

    assert (fields["code"], fields["status"], fields["message"]) == (refusal.status, status, "why")
    assert fields["details"][0]["reason"] == str(code)
    assert fields["details"][0]["domain"] == "pertoken"
    assert gemini_generate.stream_error(refusal).startswith(b'data: {"error":')
