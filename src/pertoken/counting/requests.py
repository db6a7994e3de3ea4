"""Counts the tokens of a whole request: its texts, the frame around each message, its tools and its media.

For OpenAI's models the frame is that of the cookbook ("How to count tokens with tiktoken"): 3 tokens for each message,
1 for each name, 3 at the start of the answer. The cookbook covers GPT-3.5, GPT-4 and GPT-4o. Later models differ by
about one token, and how tools are rendered is not published (see tools.py), so these counts are approximate. Every
other family is counted as for a hold: by a factor, with the largest possible frame.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from pertoken.core import bounds
from pertoken.core.bounds import Family
from pertoken.counting import tools
from pertoken.counting.tokenizers import Tokenizers
from pertoken.wire import formats
from pertoken.wire.body import decode_object
from pertoken.wire.content import as_dict, as_list, encoded, parse
from pertoken.wire.format import BadRequest, Content, Format
from pertoken.wire.formats import CountedAs, Frame

MESSAGE_TOKENS = 3
NAME_TOKENS = 1
ANSWER_TOKENS = 3
TOOLS_TOKENS = 9  # around all definitions
TOOLS_IN_SYSTEM_TOKENS = -4  # a system message shares its frame with them
TOOL_CALL_TOKENS = 3
FUNCTION_RESULT_TOKENS = -2
ONE_TOOL_TOKENS = 4  # around the name of the only tool to be called
EXACT_FRAMES = ("gpt-3.5", "gpt-35", "gpt-4", "chatgpt-4o")


class Method(StrEnum):
    """How a count was made, the most certain first."""

    EXACT = "exact"
    APPROXIMATE = "approximate"  # the right encoding, but a frame that is not published
    FACTOR = "factor"  # the o200k count times the family's factor
    BOUND = "bound"  # the count is an upper bound


# By the value of `pertoken count --api`.
FORMATS: Mapping[str, tuple[Format, CountedAs]] = {
    row.counted.api: (row.format, row.counted) for row in formats.ROWS if row.counted is not None
}
TEXT = "text"


class RequestCount(NamedTuple):
    """The input tokens of a request: in all, by part, and what the count leaves out."""

    tokens: int
    method: Method
    parts: dict[str, int]  # text with its frame, tools, and media by unit
    not_counted: str | None  # input that the body does not show, or None


def detect(body: bytes, model: str | None) -> str:
    """Return the API of a request body, judged by its shape: a key of FORMATS, or "text" for anything else."""
    if not body.lstrip().startswith(b"{"):
        return TEXT
    request = as_dict(parse(body))
    asked = str(model or request.get("model"))
    return next((api for api, (_, counted) in FORMATS.items() if counted.is_request(request, asked)), TEXT)


def count_request(body: bytes, api: str, model: str, family: Family, tokenizers: Tokenizers) -> RequestCount:
    """Return the input tokens of a request body of one of the FORMATS. Raises BadRequest if it is not such a body."""
    wire, counted = FORMATS[api]
    content = wire.read_content(body)
    media = bounds.media_bound(content.media, family, bounds.CONTEXT_TOKENS_DEFAULT, model)
    if family.exact is None:
        method, parts = Method.FACTOR, _scaled(content, family, tokenizers)
    elif counted.frame is Frame.COOKBOOK:
        method, parts = _cookbook(wire, decode_object(body), model, family, tokenizers)
    elif counted.frame is Frame.NONE:
        method, parts = Method.EXACT, {"text": tokenizers.count_content(family, content)}
    else:
        method, parts = _framed(decode_object(body), content, family, tokenizers)
    if media:
        method = Method.BOUND
    parts.update(media)
    return RequestCount(sum(parts.values()), method, parts, _hidden(wire, body, model))


def _cookbook(
    wire: Format, request: dict[str, Any], model: str, family: Family, tokenizers: Tokenizers
) -> tuple[Method, dict[str, int]]:
    """Count an OpenAI chat request by the cookbook's rule."""
    sure = bounds.bare_name(model).startswith(EXACT_FRAMES)

    def count(text: str) -> int:
        return tokenizers.count_text(family, text).tokens

    definitions = tools.render(request.get("tools"), request.get("functions"))
    text = ANSWER_TOKENS
    system = False
    for message in _list(request, "messages"):
        text += MESSAGE_TOKENS
        for key, value in message.items():
            if isinstance(value, str):
                text += count(value) + (NAME_TOKENS if key == "name" else 0)
            elif value is not None:
                text += _odd_field(wire, key, value, family, tokenizers)
                sure = False
        if message.get("role") == "function":
            text += FUNCTION_RESULT_TOKENS
        if message.get("role") == "system" and definitions is not None and not system:
            system = True
            text += _joined(message.get("content"), count) + TOOLS_IN_SYSTEM_TOKENS
    parts = {"text": text}
    if definitions is not None:
        parts["tools"] = TOOLS_TOKENS + count(definitions) + _choice(request, count)
    for shape in encoded([request["response_format"]]) if request.get("response_format") is not None else ():
        parts["response_format"] = count(shape.decode())
    sure = sure and len(parts) == 1
    return Method.EXACT if sure else Method.APPROXIMATE, parts


def _joined(content: object, count: Callable[[str], int]) -> int:
    """Return how many tokens the line break between the first system message and the definitions adds."""
    return count(content + "\n") - count(content) if isinstance(content, str) else 1


def _odd_field(wire: Format, key: str, value: object, family: Family, tokenizers: Tokenizers) -> int:
    """Count a field of a message that is not a text, such as content parts or tool calls."""
    calls = len(value) if key == "tool_calls" and isinstance(value, list) else int(key == "function_call")
    one = wire.read_content(encoded([{"messages": [{key: _without_ids(value)}]}])[0])
    return tokenizers.count_content(family, one) + calls * TOOL_CALL_TOKENS


def _without_ids(value: object) -> object:
    """Return tool calls without their ids, which no model reads. Return any other value unchanged."""
    if not isinstance(value, list):
        return value
    return [{key: one[key] for key in one if key != "id"} if isinstance(one, dict) else one for one in value]


def _choice(request: dict[str, Any], count: Callable[[str], int]) -> int:
    """Return the tokens that `tool_choice` adds: one for "none", or those of the name of a required tool."""
    choice = request.get("tool_choice", request.get("function_call"))
    if choice == "none":
        return 1
    name = as_dict(choice).get("name") or as_dict(as_dict(choice).get("function")).get("name")
    return count(name) + ONE_TOOL_TOKENS if isinstance(name, str) else 0


def _framed(
    request: dict[str, Any], content: Content, family: Family, tokenizers: Tokenizers
) -> tuple[Method, dict[str, int]]:
    """Count a request that is not a chat, for a model whose encoding is known."""
    definitions = tools.render(request.get("tools"), None)
    frame = ANSWER_TOKENS + MESSAGE_TOKENS * content.messages + NAME_TOKENS * content.names
    text = tokenizers.count_content(family, content._replace(tools_json=()))
    parts = {"text": frame + text}
    if definitions is not None:
        parts["tools"] = TOOLS_TOKENS + tokenizers.count_text(family, definitions).tokens
    return Method.APPROXIMATE, parts


def _scaled(content: Content, family: Family, tokenizers: Tokenizers) -> dict[str, int]:
    """Count as for a hold: the o200k count times the family's factor, plus the largest possible frame."""
    has_tools = bool(content.tools_json)
    raw = tokenizers.count_content(family, content)
    all_ = bounds.counted_bound(raw, family, messages=content.messages, names=content.names, tools=has_tools)
    text = bounds.counted_bound(
        tokenizers.count_content(family, content._replace(tools_json=())),
        family,
        messages=content.messages,
        names=content.names,
        tools=False,
    )
    return {"text": text, "tools": all_ - text} if has_tools else {"text": text}


def _hidden(wire: Format, body: bytes, model: str) -> str | None:
    try:
        return wire.read_request(body, model).hidden_input
    except BadRequest:
        return None  # no model in the body, or an invalid cap; the content was counted anyway


def _list(request: dict[str, Any], key: str) -> list[Any]:
    return as_list(request.get(key))
