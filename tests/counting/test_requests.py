"""Requests are counted with their frames and tools; no exact count beats the bounds that holds are made of."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import examples

from pertoken.core.bounds import FAMILIES, byte_bound, counted_bound, family_of
from pertoken.counting.requests import FORMATS, Method, count_request, detect
from pertoken.counting.tokenizers import Tokenizers
from pertoken.counting.tools import render
from pertoken.wire import openai_chat

TOKENIZERS = Tokenizers()
HELLO = {"role": "user", "content": "hello"}
NOTHING = {"type": "object", "properties": {}}
DO_STUFF = {"name": "do_stuff", "parameters": NOTHING}
CALL = {"name": "do_stuff", "arguments": '{"foo": "bar", "baz": 1.5}'}
BING = {"name": "bing_bong", "description": "Do a bing bong"}
STEP = {"type": "object", "required": ["name", "unit", "amount"], "properties": {
    "name": {"type": "string"}, "unit": {"enum": ["grams", "ml", "cups", "pieces", "teaspoons"], "type": "string"},
    "amount": {"type": "number"}}}  # fmt: skip
RECIPE = {"type": "object", "required": ["ingredients", "instructions", "time_to_cook"], "properties": {
    "ingredients": {"type": "array", "items": STEP},
    "instructions": {"type": "array", "items": {"type": "string"},
                     "description": "Steps to prepare the recipe (no numbering)"},
    "time_to_cook": {"type": "number", "description": "Total time to prepare the recipe in minutes"}}}  # fmt: skip


def _count(model: str, api: str = "chat", **request: Any) -> tuple[int, Method]:
    body = json.dumps({"model": model, **request}).encode()
    counted = count_request(body, api, model, family_of(model), TOKENIZERS)
    return counted.tokens, counted.method


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ([HELLO], 8),
        ([{"role": "system", "content": "hello:"}], 9),
        ([{"role": "system", "content": "# Important: you're the best robot"},
          {"role": "user", "content": "hello robot"}, {"role": "assistant", "content": "hello world"}], 27),
        ([], 3),
    ],
)  # fmt: skip
def test_frames_are_exact(messages: list[dict[str, str]], tokens: int) -> None:
    """What GPT-3.5 reported for these messages, as the authors of openai-chat-tokens noted it."""
    assert _count("gpt-3.5-turbo", messages=messages) == (tokens, Method.EXACT)


def test_the_cookbook_example() -> None:
    """OpenAI's cookbook: 129 tokens for GPT-4 and GPT-3.5, 124 for GPT-4o, as the API reported them."""
    messages = [
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon "
         "into plain English."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase "
         "revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch "
         "base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to "
         "do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client "
         "deliverable."},
    ]  # fmt: skip

    assert _count("gpt-4-0613", messages=messages) == (129, Method.EXACT)
    assert _count("gpt-4o-mini", messages=messages) == (124, Method.EXACT)
    assert _count("gpt-5.6-sol", messages=messages) == (124, Method.APPROXIMATE)


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        ({"functions": [{"name": "foo", "parameters": NOTHING}]}, 31),
        ({"tools": [{"type": "function", "function": {"name": "foo", "parameters": NOTHING}}]}, 31),
        ({"functions": [{"name": "foo", "description": "Do a foo", "parameters": NOTHING}]}, 36),
        ({"functions": [{**BING, "parameters": {"properties": {"foo": {"type": "string"}}}}]}, 49),
        ({"functions": [{**BING, "parameters": {"properties": {
            "foo": {"type": "string"}, "bar": {"type": "number", "description": "A number"}}}}]}, 57),
        ({"functions": [{**BING, "parameters": {"properties": {"foo": {"type": "object", "properties": {
            "bar": {"type": "string", "enum": ["a", "b", "c"]}, "baz": {"type": "boolean"}}}}}}]}, 68),
        ({"functions": [{"name": "get_recipe", "parameters": RECIPE}]}, 106),
        ({"messages": [{"role": "system", "content": "Hello"}, {"role": "user", "content": "Hi there"}],
          "functions": [DO_STUFF]}, 35),
        ({"messages": [{"role": "system", "content": "Hello:"}, {"role": "system", "content": "Hello"},
          {"role": "user", "content": "Hi there"}], "functions": [DO_STUFF]}, 40),
        ({"messages": [{"role": "assistant", "content": "", "function_call": CALL}]}, 26),
    ],
)  # fmt: skip
def test_tools_are_counted_as_they_were_reported(request_: dict[str, Any], tokens: int) -> None:
    """What GPT-3.5 reported for these functions; it is called approximate, as nobody published the rendering."""
    assert _count("gpt-3.5-turbo", **{"messages": [HELLO], **request_}) == (tokens, Method.APPROXIMATE)


@pytest.mark.parametrize(
    ("choice", "more"), [("none", 1), ("auto", 0), ({"type": "function", "function": {"name": "foo"}}, 5)]
)
def test_a_choice_of_tools(choice: object, more: int) -> None:
    """A choice adds a token, or the name of the only tool."""
    tools = [{"type": "function", "function": {"name": "foo"}}]

    assert _count("gpt-4", messages=[HELLO], tools=tools, tool_choice=choice)[0] == 31 + more


def test_odd_shapes() -> None:
    """Parts, calls, schemas and fields of any shape are counted, approximately; nothing breaks."""
    parts = [{"type": "text", "text": "hello"}]
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

    assert _count("gpt-4o", messages=[{"role": "user", "content": parts}]) == (8, Method.APPROXIMATE)
    assert _count("gpt-4o", messages=[{"role": "assistant", "content": None, "tool_calls": calls}])[0] == 3 + 4 + 2 + 3
    assert _count("gpt-4o", messages=[HELLO], response_format={"type": "text"})[1] is Method.APPROXIMATE
    fields = {"a": 3, "b": {"type": "array"}, "c": {"type": ["x"]}, "d": {"enum": [1, None]}, "e": {"type": "null"}}
    odd = {"name": "f", "parameters": {"properties": fields}}
    for tools in ([3], [{"type": "custom", "name": "x"}], [{"function": 3}], [odd]):
        assert _count("gpt-4o", messages=[HELLO], tools=tools)[0] >= 8


def test_rendering() -> None:
    """Functions are rendered as type definitions."""
    assert render([{"type": "function", "function": {**BING, "parameters": RECIPE}}, {"type": "web_search"}], None) == (
        """namespace functions {

// Do a bing bong
type bing_bong = (_: {
ingredients: {
  name: string,
  unit: "grams" | "ml" | "cups" | "pieces" | "teaspoons",
  amount: number,
}[],
// Steps to prepare the recipe (no numbering)
instructions: string[],
// Total time to prepare the recipe in minutes
time_to_cook: number,
}) => any;

} // namespace functions"""
    )
    assert render(None, []) is None


def test_other_apis() -> None:
    """Each API's request is counted; a closed tokenizer by its factor, media as a bound."""
    picture = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}

    assert _count("gpt-4o", "responses", input="hello", tools=[{"type": "function", "name": "f"}])[1] == "approximate"
    assert _count("gpt-4o", "responses", input=[HELLO]) == (8, Method.APPROXIMATE)
    assert _count("text-embedding-3-small", "embeddings", input=["hello", "world"]) == (2, Method.EXACT)
    assert _count("claude-opus-5", "messages", messages=[HELLO], max_tokens=1) == (2 + 64 + 16, Method.FACTOR)
    assert _count("claude-opus-5", "messages", messages=[HELLO], tools=[{"name": "a"}])[0] > 1_000
    assert _count("gemini-3-pro", "generate", contents=[{"parts": [{"text": "hello"}]}]) == (82, Method.FACTOR)
    assert _count("gpt-4o", messages=[{"role": "user", "content": [picture]}]) == (7 + 85, Method.BOUND)


def test_what_a_body_does_not_show_is_said() -> None:
    """A stored conversation is input that no body holds."""
    body = b'{"model": "gpt-4o", "input": "hi", "previous_response_id": "r"}'

    assert count_request(body, "responses", "gpt-4o", FAMILIES["o200k"], TOKENIZERS).not_counted is not None


@pytest.mark.parametrize(
    ("request_", "model", "api"),
    [
        ({"messages": [HELLO]}, "gpt-4o", "chat"),
        ({"messages": [HELLO]}, "claude-opus-5", "messages"),
        ({"model": "anthropic/claude-opus-5", "messages": [HELLO]}, None, "messages"),
        ({"messages": [HELLO], "system": "s"}, "m", "messages"),
        ({"messages": [HELLO], "tools": [{"name": "t", "input_schema": {}}]}, "m", "messages"),
        ({"contents": []}, "m", "generate"),
        ({"model": "gpt-5", "input": "hi"}, None, "responses"),
        ({"model": "text-embedding-3-small", "input": "hi"}, None, "embeddings"),
        ({"messages": ["hello"]}, "gpt-4o", "text"),
        ({"messages": [{"hello": "world"}]}, "gpt-4o", "text"),
        ({"input": "hi"}, "gpt-4o", "text"),
        ([HELLO], "gpt-4o", "text"),
        ("hello", "gpt-4o", "text"),
    ],
)
def test_an_api_is_told_by_its_shape(request_: object, model: str | None, api: str) -> None:
    """The body's own fields say which API it is for."""
    assert detect(json.dumps(request_).encode(), model) == api
    assert api == "text" or api in FORMATS


@pytest.mark.parametrize("text", [b"", b"{", b"{\xff}", b"[" * 10_000, b'{"a":' * 10_000])
def test_what_is_no_json_is_text(text: bytes) -> None:
    """A text that only looks like a request is a text."""
    assert detect(text, "gpt-4o") == "text"


# Where one character costs many tokens: controls, private use, rare scripts, marks, joined emoji, long runs.
HOSTILE = st.sampled_from(
    ["", "\u0000", "\u0001\u0002", "\ue000", "\U000f0000", "\ufdfa", "\u0301" * 9, "\u202e", "\U000124ab", "9" * 50,
     "\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e6", "a" * 400,
     " " * 99, "\r\n\t ", "<|im_start|>", "\\u0000"]
)  # fmt: skip
TEXTS = st.lists(HOSTILE | st.text(max_size=8), max_size=6).map("".join)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool", "function", ""]), "content": TEXTS | st.none()},
    optional={
        "name": TEXTS,
        "refusal": TEXTS,
        "function_call": st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS}),
    },
)
SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "number", "boolean", "null", "array", "odd"])},
        optional={"enum": st.lists(TEXTS | st.integers(), max_size=3), "description": TEXTS},
    ),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(TEXTS, inner, max_size=3)},
            optional={"required": st.lists(TEXTS, max_size=2), "description": TEXTS},
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
    ),
    max_leaves=6,
)
FUNCTIONS = st.fixed_dictionaries({"name": TEXTS}, optional={"description": TEXTS, "parameters": SCHEMAS})


def _within_bounds(request: dict[str, Any], model: str, *, escape: bool) -> None:
    """Insist that the exact count, frames and tools included, is within the byte bound and the counted bound."""
    body = json.dumps(request, ensure_ascii=escape, separators=(",", ":")).encode()
    family, has_tools = family_of(model), bool(request.get("functions") or request.get("tools"))
    exact = count_request(body, "chat", model, family, TOKENIZERS).tokens
    content = openai_chat.read_content(body)
    counted = TOKENIZERS.count_content(family, content)

    assert exact <= byte_bound(len(body), family, tools=has_tools)
    assert exact <= counted_bound(counted, family, messages=content.messages, names=content.names, tools=has_tools)


@examples(200)
@given(
    st.lists(MESSAGES, max_size=6), st.lists(FUNCTIONS, max_size=3), st.sampled_from(["gpt-4o", "gpt-4"]), st.booleans()
)
def test_no_request_beats_its_bounds(
    messages: list[dict[str, Any]], functions: list[dict[str, Any]], model: str, escape: bool
) -> None:
    """Hostile texts in messages, calls and tools, escaped or not."""
    _within_bounds({"messages": messages, "functions": functions}, model, escape=escape)
    tools = [{"type": "function", "function": function} for function in functions]
    _within_bounds({"messages": messages, "tools": tools}, model, escape=escape)


@pytest.mark.parametrize("message", [{"role": "user", "content": ""}, {"role": "", "name": ""}, {}])
def test_many_empty_messages(message: dict[str, str]) -> None:
    """Ten thousand frames around nothing stay within the bytes that spell them."""
    for family in ("gpt-4o", "gpt-4"):
        body = json.dumps({"messages": [message] * 10_000}, separators=(",", ":")).encode()
        exact = count_request(body, "chat", family, family_of(family), TOKENIZERS).tokens

        assert exact <= byte_bound(len(body), family_of(family), tools=False)


@pytest.mark.parametrize("escaped", [b"\\ud800", b"\\udfff\\ud800", b"\\ud83d x"])
def test_lone_surrogates(escaped: bytes) -> None:
    """Half a character, escaped, is refused or counted within the bound; never an accident."""
    body = b'{"messages":[{"role":"user","content":"' + escaped * 50 + b'"}]}'
    try:
        content = openai_chat.read_content(body)
    except openai_chat.BadRequest:
        return
    assert TOKENIZERS.count_content(FAMILIES["o200k"], content) <= byte_bound(len(body), FAMILIES["o200k"], tools=False)
