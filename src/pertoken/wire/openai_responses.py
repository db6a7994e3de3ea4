"""OpenAI Responses. https://platform.openai.com/docs/api-reference/responses, as read on 2026-11-23."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from pertoken.core.errors import Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Completeness, Contradiction, Reading
from pertoken.wire import (
    content,
    openai_family,
    served_names,
    told_tools,
    usage_falls,
    usage_reading,
    usage_rules,
    usage_table,
)
from pertoken.wire.body import decode, decode_object, optional_text, positive_count, replace_fields, text_map
from pertoken.wire.choices import RESEARCH_CALLS_MAX, is_research
from pertoken.wire.content import as_dict, as_list, base64_bytes, collect_text, encoded, inline_sound, parse, picture
from pertoken.wire.format import BadRequest, Content, RequestChange
from pertoken.wire.stream import EventStream, Fate
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_table import UsageTable

name = "openai.responses"

USAGE = usage_rules.OPENAI_RESPONSES

error = openai_family.error

WEB_SEARCHES_MAX = 10  # if the request sets no max_tool_calls; more than any answer has been seen to make

# Tools that OpenAI defines and the client runs. OpenAI does not publish how many tokens explain one to the model. The
# hold is more than twice the most that Anthropic states for its own tools (computer use, 1,234).
DEFINED_TOOLS = ("local_shell", "apply_patch", "computer", "computer_use_preview")
DEFINED_TOOL_TOKENS = 3_000
CLIENT_TOOLS = ("function", "custom", "namespace", *DEFINED_TOOLS)
CONTAINER_TOOLS = ("code_interpreter", "shell")
# The memory of a container decides the price of a session; the smallest comes first (OpenAI, prices of tools,
# 2026-11-27). A container that the client names may have been charged with an earlier call; a session is still held.
MEMORIES = ("1g", "4g", "16g", "64g")

_MEDIA = re.compile(rb'"(?:input_image|input_audio|input_file|computer_screenshot|image_generation_call)"')
_ITEM = "response.output_item.done"
_TOLD = ("type", "status", "action", "container_id", "environment")  # the fields of an item that affect its price
ITEMS_MAX = 1_000  # items of one stream that are kept
_FIRST = frozenset({"response.created", "response.in_progress"})
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_SHOWN = ("content", "encrypted_content", "output", "arguments", "input", "action", "operation", "tools", "result")
_LABELS = frozenset({"type", "id", "status", "detail"})
_PAYLOADS = frozenset({"image_url", "input_audio", "file_data", "result"})


class _Tool(msgspec.Struct):
    type: Any = None
    container: Any = None
    environment: Any = None


class _Request(msgspec.Struct):
    model: str
    input: msgspec.Raw = msgspec.Raw(b"null")
    stream: bool | None = None
    background: bool | None = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    tools: list[_Tool] | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    service_tier: str | None = None
    user: Any = None
    safety_identifier: Any = None
    metadata: Any = None


class _Answer(msgspec.Struct):
    id: Any = None
    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    tool_usage: msgspec.Raw = msgspec.Raw(b"null")
    output: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    type: Any = None
    response: _Answer | None = None
    item: Any = None


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)
_event = msgspec.json.Decoder(_Event)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request.

    Raises BadRequest if the body is not a request of this API, or if the cost of the request could not be known.
    """
    request = decode(_request, body)
    if request.background and not request.stream:
        raise BadRequest(
            "background answers cannot be metered, because their usage comes later; set stream: true with it, "
            "or leave background out",
            "background",
        )
    kinds = [_kind(tool) for tool in request.tools or ()]
    calls = positive_count(request.max_tool_calls, "max_tool_calls")
    searches = any(kind.startswith("web_search") for kind in kinds)
    memories = _containers(request.tools or [])
    words = content.plain(body)
    told = told_tools.hidden_input(words, lambda: parse(bytes(request.input)), CLIENT_TOOLS.__contains__)
    return RequestFacts(
        model=request.model,
        stream=bool(request.stream),
        output_max=positive_count(request.max_output_tokens, "max_output_tokens"),
        has_media=_MEDIA.search(words) is not None,
        has_tools=bool(request.tools),
        server_tools=any(kind not in CLIENT_TOOLS for kind in kinds),
        input_more=DEFINED_TOOL_TOKENS * sum(kind in DEFINED_TOOLS for kind in kinds),
        hidden_input=_hidden(request, kinds) or told,
        web_searches_max=(_calls_unsaid(request.model) if calls is None else calls) if searches else 0,
        units_max=(("code_sessions", len(memories)),) if memories else (),
        attributes=_conditions(kinds, memories),
        service_tier=request.service_tier,
        user=optional_text(request.user) or optional_text(request.safety_identifier),
        metadata=text_map(request.metadata),
    )


def is_request(request: Mapping[str, Any], model: str) -> bool:  # noqa: ARG001 - any model may be called so
    """Tell whether an object may be a request of this API. A request for embeddings matches too: test that first."""
    return "input" in request and "model" in request


def read_content(body: bytes) -> Content:
    """Return everything that the model will read. Raises BadRequest if the body has the wrong shape."""
    request = decode_object(body)
    texts: list[str] = []
    media: list[Media] = []
    collect_text(request.get("instructions"), texts)
    items = request.get("input")
    _collect(items, texts, media)
    tools = encoded(request.get("tools")) + (encoded([request["text"]]) if request.get("text") is not None else ())
    return Content(tuple(texts), len(items) if isinstance(items, list) else 1, 0, tools, tuple(media))


def rewrite(body: bytes, change: RequestChange) -> bytes:
    """Return `body` with only the fields in `change` replaced. Raises BadRequest if the body is not a request."""
    replacements: dict[str, object] = {}
    if change.model is not None:
        replacements["model"] = change.model
    if change.output_max is not None:
        replacements["max_output_tokens"] = change.output_max
    return replace_fields(body, replacements)


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return usage_reading.unreadable(body, "usage", partial(_read_usage, _Answer(), rows))
    return _read_response(answer, rows, body)


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    return content.answer_text(body, _written)


def stream_error(refusal: Refusal) -> bytes:
    """Return the error event that the SDKs raise as an exception while they read a stream.

    The SDKs read `error`. The other fields are there because the API sends them.
    """
    fields = openai_family.fields(refusal)
    event = {"type": "error", "code": fields["code"], "message": fields["message"], "param": fields["param"]}
    return b"event: error\ndata: " + msgspec.json.encode({**event, "error": fields}) + b"\n\n"


def stream_reader(facts: RequestFacts, rows: UsageTable = USAGE) -> EventStream:  # noqa: ARG001 - nothing to strip in this format
    """Return a reader for one streamed answer."""
    return EventStream(_Watch(rows), _written)


class _Watch:
    """Looks for the first event, which names the model, and the last, which carries usage and is held back."""

    __slots__ = ("_items", "_models", "_reading", "_rows", "complete")

    def __init__(self, rows: UsageTable) -> None:
        self._rows = rows
        self._reading = usage_reading.missing()
        self._models: tuple[str, ...] = ()
        self._items: tuple[dict[str, Any], ...] = ()  # output items, only with the fields in _TOLD
        self.complete = False

    def may_matter(self, events: bytes) -> bool:
        return (
            b"response.completed" in events
            or b"response.incomplete" in events
            or b"response.failed" in events
            or b"response.cancelled" in events
            or b"response.created" in events
            or b"response.in_progress" in events
            or (b"response.output_item.done" in events and b"_call" in events)
        )

    def look(self, data: bytes) -> Fate:
        try:
            event = _event.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._look_at_unreadable(data)
        if not isinstance(event.type, str):
            return Fate.PASS
        if event.response is not None:
            self._models = usage_reading.also_named(self._models, event.response.model)
        if event.type == _ITEM:
            item = as_dict(event.item)
            self._items = (*self._items, {name: item.get(name) for name in _TOLD})[:ITEMS_MAX]
        if event.type in _LAST:
            self.complete = True
            if event.response is not None:
                self._reading = usage_falls.follow(self._reading, _read_response(event.response, self._rows, data))
            return Fate.KEEP
        if event.type in _FIRST and event.response is not None and not self.complete:
            self._reading = self._begun(event.response, data)
        return Fate.PASS

    def skim(self, events: bytes) -> None:
        self._models = served_names.skimmed(self._models, events, b'"model"', _model_of)

    def reading(self) -> Reading:
        reading = usage_reading.with_shown(self._reading, _ran(self._items)) if self._items else self._reading
        return usage_reading.with_models(reading, self._models)

    def _begun(self, answer: _Answer, data: bytes) -> Reading:
        """Return the reading of an answer that has not ended.

        Without usage, its tier is left out: it may be the tier that the client requested, not the one that serves.
        """
        if bytes(answer.usage) == b"null":
            origin = Provenance(optional_text(answer.model), None, optional_text(answer.id))
            return self._reading if self._reading.raw else usage_reading.missing(origin)
        reading = _read_response(answer, self._rows, data)
        return usage_falls.follow(self._reading, reading._replace(completeness=Completeness.PARTIAL))

    def _look_at_unreadable(self, data: bytes) -> Fate:
        reading = usage_reading.unreadable(data, "usage", partial(_read_usage, _Answer(), self._rows))
        if reading.contradiction:
            known = self._reading
            self._reading = reading._replace(model=known.model, response_id=known.response_id)
            self.complete = True  # no other event carries usage
        return Fate.KEEP if self.complete else Fate.PASS


def _model_of(data: bytes) -> object:
    """Return the model that the response in an event names."""
    try:
        response = _event.decode(data).response
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if response is None else response.model


def _read_response(answer: _Answer, rows: UsageTable, data: bytes) -> Reading:
    """Return the reading of one response object, decoded from `data`."""
    reading = _read_usage(answer, rows, bytes(answer.usage))
    if reading.quantities is None:
        reading = usage_reading.with_shown(reading, _items(answer))
    if data.count(b'"usage"') < 2:
        return reading
    return usage_reading.doubt_if_twice(reading, data, "usage", partial(_read_usage, answer, rows))


def _read_usage(answer: _Answer, rows: UsageTable, raw: bytes) -> Reading:
    """Return the reading of a response's usage. Units that usage does not report are counted from the output items."""
    origin = Provenance(optional_text(answer.model), optional_text(answer.service_tier), optional_text(answer.id))

    def count(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
        quantities = usage_table.count(rows, usage)
        if not quantities:
            return {}
        told = usage.get("tool_usage", parse(bytes(answer.tool_usage)))
        try:
            tools = usage_table.count(usage_rules.RESPONSES_TOOLS, told) if isinstance(told, dict) else {}
        except Contradiction as contradiction:
            raise Contradiction(str(contradiction), (((("tool_usage",), None),),)) from None
        return {**_items(answer), **tools, **quantities}

    return read_raw(raw, rows, origin, count)


def _items(answer: _Answer) -> dict[str, int]:
    """Return the quantities of the output items that are billed one by one, without those that failed."""
    output = bytes(answer.output)
    return _ran(map(as_dict, as_list(parse(output)))) if b"_call" in output else {}


def _ran(items: Iterable[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    shared: set[tuple[str, str]] = set()
    for fields in items:
        kind = str(fields.get("type"))
        unit, _ = usage_rules.RESPONSES_ITEMS.get(kind, (None, None))
        share = optional_text(fields.get(usage_rules.RESPONSES_SHARED.get(kind, "")))
        if kind == "shell_call":
            where = as_dict(fields.get("environment"))
            unit = None if where.get("type") == "local" else unit
            share = optional_text(where.get("container_id")) or "the one container"
        if unit is None or (share is None and fields.get("status") == "failed") or (kind, share) in shared:
            continue
        if share is not None:
            shared.add((kind, share))
        if as_dict(fields.get("action")).get("type") not in usage_rules.RESPONSES_UNBILLED:
            found[unit] = found.get(unit, 0) + 1
    return found


def _hidden(request: _Request, kinds: list[str]) -> str | None:
    """Return why input may exceed the body."""
    if request.previous_response_id or request.conversation:
        return "the stored conversation is input"
    if request.prompt is not None:
        return "the stored prompt is input"
    server_side = [kind for kind in kinds if kind not in CLIENT_TOOLS]
    if server_side:
        return f"the server tool {server_side[0]} reads its results as input"
    items = parse(bytes(request.input)) if b'"id"' in content.plain(bytes(request.input)) else None
    if any(_is_stored(as_dict(item)) for item in as_list(items)):
        return "stored items are input"
    return None


def _kind(tool: _Tool) -> str:
    """Return the type of a tool; "local_shell" for a shell that runs in the client's environment."""
    if tool.type == "shell" and as_dict(tool.environment).get("type") == "local":
        return "local_shell"
    return str(tool.type)


def _calls_unsaid(model: str) -> int:
    """Return how many searches to hold for if the request sets no max_tool_calls."""
    return RESEARCH_CALLS_MAX if is_research(model) else WEB_SEARCHES_MAX


def _containers(tools: list[_Tool]) -> list[str]:
    """Return the memory of each container that the tools may start; "" if the request does not say it."""
    memories = []
    for tool in tools:
        if tool.type in CONTAINER_TOOLS:
            where = as_dict(tool.container if tool.type == "code_interpreter" else tool.environment)
            if _kind(tool) != "local_shell":
                memories.append(optional_text(where.get("memory_limit")) or "")
    return memories


def _conditions(kinds: list[str], memories: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the conditions on which the prices of the tools depend. Of several containers, the dearest counts."""
    found = {}
    searches = {"web_search_preview" if "preview" in kind else "web_search" for kind in kinds if "web_search" in kind}
    if len(searches) == 1:
        found["web_search_tool"] = searches.pop()
    known = [memory for memory in MEMORIES if memory in memories]
    unknown = [memory for memory in memories if memory and memory not in MEMORIES]
    if known or unknown:
        found["container_memory"] = (known + unknown)[-1]
    return tuple(sorted(found.items()))


def _is_stored(item: dict[str, Any]) -> bool:
    """Tell whether an input item has only its id, because its content is stored at the provider."""
    shown = _SHOWN if item.get("type") != "reasoning" else ("encrypted_content", "content")
    return "id" in item and not any(item.get(field) for field in shown)


def _collect(value: object, texts: list[str], media: list[Media]) -> None:
    if isinstance(value, list):
        for entry in value:
            _collect(entry, texts, media)
        return
    if not isinstance(value, dict):
        collect_text(value, texts)
        return
    found = _medium(value)
    if found is not None:
        media.append(found)
    for key, entry in value.items():
        if key in ("content", "output"):
            _collect(entry, texts, media)
        elif key not in _LABELS and (found is None or key not in _PAYLOADS):
            collect_text(entry, texts)


def _medium(item: dict[str, Any]) -> Media | None:
    match item.get("type"):
        case "input_image" | "computer_screenshot":
            url = None if item.get("file_id") else item.get("image_url")
            return picture(url, optional_text(item.get("detail")))
        case "image_generation_call":
            return Media("image", base64_bytes(item.get("result")))  # the id may refer to another stored image
        case "input_audio":
            return inline_sound(as_dict(item.get("input_audio")).get("data"))
        case "input_file":
            return Media("file")
        case _:
            return None


def _written(answer: dict[str, Any], texts: list[str]) -> None:
    """Add the text of all items of a whole answer, or the text that one event of a stream adds."""
    if str(answer.get("type", "")).endswith(".delta"):
        collect_text(answer.get("delta"), texts)
    elif "response" not in answer:
        collect_text(answer.get("output"), texts, content.UNWRITTEN)
