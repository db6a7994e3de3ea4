"""Anthropic Messages.

https://docs.anthropic.com/en/api/messages, as read on 2026-11-23. `input_tokens` of a usage object counts only uncached
tokens. All input is that number plus the tokens written to the cache and the tokens read from it.
"""

import re
from collections.abc import Mapping
from functools import partial, reduce
from typing import Any

import msgspec

from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Parts, Reading
from pertoken.wire import (
    anthropic_family,
    anthropic_searches,
    anthropic_usage,
    claude_code,
    content,
    told_tools,
    usage_falls,
    usage_reading,
    usage_rules,
)
from pertoken.wire.body import (
    decode,
    decode_object,
    optional_count,
    optional_text,
    positive_count,
    replace_fields,
    text_map,
)
from pertoken.wire.content import (
    as_dict,
    as_list,
    base64_bytes,
    collect_json,
    collect_text,
    encoded,
    inline_picture,
    parse,
)
from pertoken.wire.format import BadRequest, Content, RequestChange
from pertoken.wire.stream import EventStream, Fate
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_table import UsageTable

name = "anthropic.messages"

USAGE = usage_rules.ANTHROPIC_MESSAGES

error = anthropic_family.error
stream_error = anthropic_family.stream_error

EARLIER_MAX = 16  # usage objects of one stream that are kept because a later one reported less
WEB_SEARCHES_MAX = 10  # if the request sets no max_uses; more than any model has been seen to make in one turn

_MEDIA = re.compile(rb'"(?:image|document|file)"')
# Tools that run at the client, and how many tokens are held for the text that explains each to the model. Anthropic
# says 245 for bash, 700 for the text editor, 735 and 499 for the computer ("Tool use pricing"; "Computer use,
# pricing"). It does not say how many memory takes.
_CLIENT_TOOLS = {"bash_": 1_000, "text_editor_": 1_500, "memory_": 2_000, "computer_20": 3_000}
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")  # Anthropic's own name, and that of servers that use the names of chat
_LABELS = frozenset({"type", "id", "tool_use_id", "cache_control"})
_CONTAINERS = frozenset({"content", "source", "input"})


class _Tool(msgspec.Struct):
    type: Any = None
    max_uses: Any = None


class _Request(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    max_tokens: Any = None
    stream: bool | None = None
    tools: list[_Tool] | None = None
    mcp_servers: Any = None
    container: Any = None
    service_tier: str | None = None
    speed: str | None = None
    metadata: Any = None
    thinking: Any = None


class _Answer(msgspec.Struct):
    id: Any = None
    model: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    container: msgspec.Raw = msgspec.Raw(b"null")
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    type: Any = None
    message: _Answer | None = None
    delta: _Answer | None = None  # in a message_delta: the fields of the message that change
    usage: msgspec.Raw = msgspec.Raw(b"null")
    content_block: msgspec.Raw = msgspec.Raw(b"null")


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)
_event = msgspec.json.Decoder(_Event)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest if the body is not a request of this API."""
    request = decode(_request, body)
    words = content.plain(body)
    searches, hidden = _server_tools(request)
    told = told_tools.hidden_input(words, lambda: [parse(bytes(one)) for one in request.messages], _is_clients_own)
    hidden = hidden or told
    if hidden is None and b'"container_upload"' in words:
        hidden = "a container's files are input"
    metadata = text_map(request.metadata)
    user, conversation = claude_code.read_user_id(optional_text(metadata.get("user_id")))
    return RequestFacts(
        model=request.model,
        stream=bool(request.stream),
        output_max=optional_count(request.max_tokens, "max_tokens"),  # a cap of zero only fills the cache
        output_min=_output_min(request.thinking),
        has_media=_MEDIA.search(words) is not None,
        has_tools=bool(request.tools),
        server_tools=any(not _is_clients_own(tool.type) for tool in request.tools or ()),
        input_more=_explained(request),
        hidden_input=hidden,
        web_searches_max=searches,
        service_tier=request.service_tier,
        speed=request.speed,
        long_cache=b'"1h"' in words,
        user=user,
        conversation=conversation,
        metadata=metadata,
    )


def _output_min(thinking: object) -> int:
    """Return the lowest valid max_tokens: one more than the thinking budget (Anthropic, extended thinking)."""
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return budget + 1 if isinstance(budget, int) and budget > 0 else 0


def is_request(request: Mapping[str, Any], model: str) -> bool:
    """Tell whether an object is a request of this API rather than of OpenAI's chat, which looks alike."""
    if not content.is_conversation(request.get("messages")):
        return False
    return "claude" in model.lower() or "system" in request or any(map(_has_schema, as_list(request.get("tools"))))


def _has_schema(tool: object) -> bool:
    return "input_schema" in as_dict(tool)


def read_content(body: bytes) -> Content:
    """Return everything that the model will read. Raises BadRequest if the body has the wrong shape."""
    request = decode_object(body)
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages must be a list", "messages")
    texts: list[str] = []
    media: list[Media] = []
    _collect(request.get("system"), texts, media)
    for message in messages:
        if not isinstance(message, dict):
            raise BadRequest("each message must be an object", "messages")
        _collect(message.get("content"), texts, media)
    tools = encoded(request.get("tools"))
    for shape in (request.get("output_format"), request.get("output_config")):
        tools += encoded([shape]) if shape is not None else ()
    return Content(tuple(texts), len(messages), 0, tools, tuple(media))


def rewrite(body: bytes, change: RequestChange) -> bytes:
    """Return `body` with only the fields in `change` replaced. Raises BadRequest if the body is not a request."""
    replacements: dict[str, object] = {}
    if change.model is not None:
        replacements["model"] = change.model
    if change.output_max is not None:
        replacements["max_tokens"] = change.output_max
    return replace_fields(body, replacements)


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        read = partial(_read_usage, rows=rows, model=None, response_id=None)
        return usage_reading.unreadable(body, "usage", read)
    model, response_id, contained = optional_text(answer.model), optional_text(answer.id), _is_there(answer.container)
    read = partial(_read_usage, rows=rows, model=model, response_id=response_id, contained=contained)
    reading = usage_reading.doubt_if_twice(read(bytes(answer.usage)), body, "usage", read)
    if anthropic_searches.NAME not in body:
        return reading
    steps = map(anthropic_searches.step, as_list(parse(bytes(answer.content))))
    return usage_reading.with_shown(reading, anthropic_searches.billed(sum(steps)))


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    return content.answer_text(body, _written)


def stream_reader(facts: RequestFacts, rows: UsageTable = USAGE) -> EventStream:  # noqa: ARG001 - nothing to strip in this format
    """Return a reader for one streamed answer."""
    return EventStream(_Watch(rows), _written)


class _Watch:
    """Looks for usage. The usage in message_delta replaces the usage in message_start, field by field."""

    __slots__ = (
        "_contained", "_doubt", "_earlier", "_id", "_model", "_models", "_output_known", "_rows", "_searches", "_usage",
        "complete",
    )  # fmt: skip

    def __init__(self, rows: UsageTable) -> None:
        self._rows = rows
        self._earlier: tuple[dict[str, msgspec.Raw], ...] = ()  # usage objects after which a later one reported less
        self._usage: dict[str, msgspec.Raw] = {}
        self._output_known = False
        self._doubt: Reading | None = None
        self._contained = False
        self._model: str | None = None
        self._models: tuple[str, ...] = ()
        self._id: str | None = None
        self._searches = 0
        self.complete = False

    def may_matter(self, events: bytes) -> bool:
        return (
            b"message_" in events
            and (b"message_start" in events or b"message_delta" in events or b"message_stop" in events)
        ) or anthropic_searches.NAME in events

    def look(self, data: bytes) -> Fate:
        try:
            event = _event.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            broken = usage_reading.unreadable(data, "usage", self._read)
            self._doubt = broken if broken.contradiction else self._doubt
            return Fate.PASS
        if event.type == "message_stop":
            self.complete = True
            return Fate.KEEP
        if event.type == "message_start" and event.message is not None:
            self._model, self._id = optional_text(event.message.model), optional_text(event.message.id)
            self._models = usage_reading.also_named(self._models, self._model)
            self._contained |= _is_there(event.message.container)
            self._take(bytes(event.message.usage))
        elif event.type == "content_block_start":
            self._searches += anthropic_searches.step(parse(bytes(event.content_block)))
        elif event.type == "message_delta":
            self._contained |= event.delta is not None and _is_there(event.delta.container)
            told = self._take(bytes(event.usage))
            self._output_known |= any(name in told for name in _OUTPUT)
        return Fate.PASS

    def skim(self, events: bytes) -> None:
        """Do nothing: only message_start names a model, and `look` sees every message_start."""

    def reading(self) -> Reading:
        """Return the usage so far. Until a message_delta reports output, it is PARTIAL and has no output.

        The output in message_start is a placeholder.
        """
        reading = self._read_merged(self._usage)
        if self._earlier:
            said = [self._read_merged(one) for one in self._earlier]
            reading = reduce(usage_falls.follow, [*said, reading])
        if self._doubt is not None:
            reading = usage_reading.torn(str(self._doubt.contradiction), [self._doubt, reading])
        reading = usage_reading.with_shown(reading, anthropic_searches.billed(self._searches))
        return usage_reading.with_models(reading, self._models)

    def _read(self, raw: bytes) -> Reading:
        partial = not self._output_known
        return _read_usage(raw, self._rows, self._model, self._id, contained=self._contained, partial=partial)

    def _read_merged(self, usage: dict[str, msgspec.Raw]) -> Reading:
        if not self._output_known:
            usage = _without_output(usage)
        return self._read(msgspec.json.encode(usage) if usage else b"null")

    def _take(self, raw: bytes) -> dict[str, msgspec.Raw]:
        """Merge a usage object into the usage so far; return its fields that are not null."""
        raw = usage_reading.unlisted(raw)
        try:
            told = {} if raw == b"null" else _fields.decode(raw)
        except msgspec.DecodeError:
            self._doubt = usage_reading.doubt("usage is no object", raw)
            return {}
        if told and usage_reading.repeats_a_key(raw, as_dict(parse(raw))):
            self._doubt = self._read(raw)
        told = {key: value for key, value in told.items() if bytes(value) != b"null"}
        before = self._usage
        if bytes(told.get("output_tokens", b"")) == b"0" and bytes(before.get("output_tokens", b"0")) != b"0":
            del told["output_tokens"]  # an earlier event reported output, so this zero is not believed
        merged = {key: _merged(before.get(key), value) for key, value in told.items()}
        if before and any([merged.get(key, value) != value for key, value in before.items() if key in _INPUT]):  # noqa: C419
            fell = _input(before) - _input({**before, **merged})
            if fell > 0:
                zeros = [key for key in _INPUT if bytes(merged.get(key, b"")) == b"0"]
                merged = {key: value for key, value in merged.items() if key not in zeros}
        self._usage = {**before, **merged}
        if before:
            self._keep_if_less(before)
        return told

    def _keep_if_less(self, before: dict[str, msgspec.Raw]) -> None:
        """Keep the earlier usage if the new one reports less. The placeholder output of a message_start is ignored."""
        if not self._output_known:
            before = _without_output(before)
        if all([_grew(value, self._usage[key]) for key, value in before.items()]):  # noqa: C419 - twice as fast
            return
        self._earlier = (*self._earlier, before)[-EARLIER_MAX:]


def _without_output(told: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return a usage object without its output, under any of the names in `_OUTPUT`."""
    return {key: value for key, value in told.items() if not key.startswith(_OUTPUT)}


def _grew(old: msgspec.Raw, new: msgspec.Raw) -> bool:
    """Tell whether a value is unchanged or a larger number. If not, `usage_falls` compares the whole readings."""
    if old == new:
        return True
    before, now = bytes(old), bytes(new)
    return before.isdigit() and now.isdigit() and (len(before), before) <= (len(now), now)


def _input(told: dict[str, msgspec.Raw]) -> int:
    """Return all input of a usage object. A value that is not a whole number counts as zero here."""
    counts = (parse(bytes(told.get(key, b"0"))) for key in _INPUT)
    return sum(value for value in counts if type(value) is int)


def _read_usage(
    raw: bytes,
    rows: UsageTable,
    model: str | None,
    response_id: str | None,
    *,
    contained: bool = False,
    partial: bool = False,
) -> Reading:
    origin = Provenance(model, None, response_id)
    counted = anthropic_usage.count_contained if contained else anthropic_usage.count
    if b'"iterations"' not in raw:
        return read_raw(raw, rows, origin, counted, partial=partial)

    def parts(usage: dict[str, Any]) -> Parts:
        found = anthropic_usage.by_model(rows, usage, model, counted)
        return tuple(found.items()) if len(found) > 1 else ()

    return read_raw(raw, rows, origin, counted, parts, partial=partial)


def _is_there(raw: msgspec.Raw) -> bool:
    return bytes(raw) != b"null"


def _merged(old: msgspec.Raw | None, new: msgspec.Raw) -> msgspec.Raw:
    """Return the newer value. Two objects are merged field by field."""
    if old is None or not (bytes(old).startswith(b"{") and bytes(new).startswith(b"{")):
        return new
    told = {key: value for key, value in _fields.decode(new).items() if bytes(value) != b"null"}
    return msgspec.Raw(msgspec.json.encode({**_fields.decode(old), **told}))


def _is_clients_own(kind: object) -> bool:
    return kind is None or kind == "custom" or (isinstance(kind, str) and kind.startswith(tuple(_CLIENT_TOOLS)))


def _explained(request: _Request) -> int:
    """Return the most tokens that may explain Anthropic's own client-side tools to the model."""
    kinds = [tool.type for tool in request.tools or () if isinstance(tool.type, str)]
    return sum(most for kind in kinds for prefix, most in _CLIENT_TOOLS.items() if kind.startswith(prefix))


def _server_tools(request: _Request) -> tuple[int, str | None]:
    """Return how many searches the server may run, and why input may exceed the body."""
    searches = 0
    hidden = None
    for tool in request.tools or ():
        kind = tool.type
        if not isinstance(kind, str) or _is_clients_own(kind):
            continue
        hidden = f"the server tool {kind} adds input that the body does not show"
        if kind.startswith("web_search"):
            searches += positive_count(tool.max_uses, "max_uses") or WEB_SEARCHES_MAX
    if request.mcp_servers:
        hidden = "tools of mcp servers read their results as input"
    if request.container:
        hidden = "a container's files are input"
    return searches, hidden


def _collect(value: object, texts: list[str], media: list[Media]) -> None:
    """Add the texts and media of a `content` field: a text, or a list of blocks, which may hold such fields again."""
    if isinstance(value, list):
        for block in value:
            _collect(block, texts, media)
        return
    if not isinstance(value, dict):
        collect_text(value, texts)
        return
    kind, source = value.get("type"), as_dict(value.get("source"))
    collect_text(value, texts, _LABELS | _CONTAINERS)
    _collect(value.get("content"), texts, media)
    collect_json(value.get("input"), texts)
    if kind in ("image", "document") and source.get("type") not in ("text", "content"):
        data = source.get("data") if source.get("type") == "base64" else None
        media.append(inline_picture(data) if kind == "image" else Media("file", base64_bytes(data)))
    elif kind in ("image", "document"):
        _collect(source.get("content"), texts, media)
        collect_text(source.get("data"), texts)
    else:
        collect_text(value.get("source"), texts)


def _written(answer: dict[str, Any], texts: list[str]) -> None:
    """Add the text of all blocks of a whole answer, or the text that one event of a stream adds to a block."""
    match answer.get("type"):
        case "content_block_delta":
            blocks = [answer.get("delta")]
        case "content_block_start":
            blocks = [answer.get("content_block")]
        case _:
            blocks = as_list(answer.get("content"))
    for block in blocks:
        collect_text(block, texts, content.UNWRITTEN | {"input"})
        if isinstance(block, dict) and block.get("input"):
            collect_json(block["input"], texts)
