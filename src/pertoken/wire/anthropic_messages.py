"""Anthropic Messages.

https://docs.anthropic.com/en/api/messages, as read on 2026-11-23. `input_tokens` of a usage object is the uncached
rest: all input is that plus what was written to and read from the cache.
"""

import re
from typing import Any

import msgspec

from pertoken.core.usage import Completeness, Contradiction, Reading
from pertoken.wire import anthropic_errors, sse, usage_table
from pertoken.wire.body import decode, decode_object, optional_count, optional_text, replace_fields, text_map
from pertoken.wire.content import base64_bytes, collect_text, encoded, parse, parse_events
from pertoken.wire.format import BadRequest, Change, Content, Media, RequestFacts

name = "anthropic.messages"

USAGE = usage_table.table(
    {
        "input_tokens": ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"],
        "cache_read_tokens": ["cache_read_input_tokens"],
        "cache_write_tokens": ["cache_creation_input_tokens"],
        "cache_write_1h_tokens": ["cache_creation.ephemeral_1h_input_tokens"],
        "output_tokens": ["output_tokens"],
        "reasoning_tokens": ["output_tokens_details.thinking_tokens"],
        "web_searches": ["server_tool_use.web_search_requests"],
    }
)

error = anthropic_errors.error
stream_error = anthropic_errors.stream_error

WEB_SEARCHES_MAX = 10  # where the request sets no max_uses: more than the model has been seen to make in one turn

_MEDIA = re.compile(rb'"(?:image|document|file)"')
_LOOKS = (b"message_start", b"message_delta", b"message_stop", b'"error"')


class _Request(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    max_tokens: Any = None
    stream: bool | None = None
    tools: list[Any] | None = None
    mcp_servers: Any = None
    container: Any = None
    service_tier: str | None = None
    speed: str | None = None
    metadata: Any = None


_request = msgspec.json.Decoder(_Request)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest when it is none."""
    request = decode(_request, body)
    output_max = optional_count(request.max_tokens, "max_tokens")
    searches, hidden = _server_tools(request)
    metadata = text_map(request.metadata)
    return RequestFacts(
        model=request.model,
        stream=bool(request.stream),
        output_max=output_max,
        has_media=_MEDIA.search(body) is not None,
        has_tools=bool(request.tools),
        hidden_input=hidden,
        web_searches_max=searches,
        service_tier=request.service_tier,
        speed=request.speed,
        long_cache=b'"1h"' in body,
        user=optional_text(metadata.get("user_id")),
        metadata=metadata,
    )


def read_content(body: bytes) -> Content:
    """Return everything the model will read. Raises BadRequest when its shape is wrong."""
    request = decode_object(body)
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages must be a list", "messages")
    texts: list[str] = []
    media: list[Media] = []
    collect_text(request.get("system"), texts)
    for message in messages:
        if not isinstance(message, dict):
            raise BadRequest("each message must be an object", "messages")
        _collect(message.get("content"), texts, media)
    return Content(tuple(texts), len(messages), 0, encoded(request.get("tools")), tuple(media))


def rewrite(body: bytes, change: Change) -> bytes:
    """Return `body` with only the fields of `change` written anew."""
    replacements: dict[str, object] = {}
    if change.model is not None:
        replacements["model"] = change.model
    if change.output_max is not None:
        replacements["max_tokens"] = change.output_max
    return replace_fields(body, replacements)


def read_answer(body: bytes) -> Reading:
    """Return what a whole answer says about usage."""
    answer = parse(body)
    if not isinstance(answer, dict):
        return usage_table.missing()
    usage, model, response_id = answer.get("usage"), optional_text(answer.get("model")), optional_text(answer.get("id"))
    if not isinstance(usage, dict):
        return usage_table.missing(model, response_id)
    return read_usage(usage, model, response_id, Completeness.FINAL)


def read_usage(
    usage: dict[str, Any], model: str | None, response_id: str | None, completeness: Completeness
) -> Reading:
    """Return the reading of one usage object. With `iterations`, their sum: the top level leaves compaction out."""
    raw = msgspec.json.encode(usage)
    tier = optional_text(usage.get("service_tier"))
    iterations = usage.get("iterations")
    parts = (
        [usage]
        if not isinstance(iterations, list) or not iterations
        else [part if isinstance(part, dict) else {} for part in iterations]
    )
    quantities: dict[str, int] = {}
    try:
        for part in parts:
            for unit, quantity in usage_table.read(USAGE, part).items():
                quantities[unit] = quantities.get(unit, 0) + quantity
        if parts[0] is not usage:
            searches = usage_table.read(USAGE, usage).get("web_searches", 0)
            quantities["web_searches"] = max(quantities.get("web_searches", 0), searches)
    except Contradiction as contradiction:
        return usage_table.doubt(str(contradiction), raw=raw, model=model, service_tier=tier, response_id=response_id)
    if "input_tokens" not in quantities or ("output_tokens" not in quantities and completeness is Completeness.FINAL):
        return usage_table.missing(model, response_id)
    return usage_table.believe(
        quantities, completeness=completeness, raw=raw, model=model, service_tier=tier, response_id=response_id
    )


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    answer = parse(body)
    if not isinstance(answer, dict):
        return body.decode("utf-8", "replace")
    texts: list[str] = []
    collect_text(answer.get("content"), texts)
    return "".join(texts)


def stream_reader(facts: RequestFacts) -> "MessageStream":  # noqa: ARG001 - nothing to strip in this format
    """Return a reader for one streamed answer."""
    return MessageStream()


class MessageStream:
    """Watches a message stream: usage of message_delta replaces that of message_start, field by field."""

    __slots__ = ("_cutter", "_delta_seen", "_held", "_id", "_model", "_tape", "_usage", "complete")

    def __init__(self) -> None:
        self._cutter = sse.Cutter()
        self._tape = sse.Tape(_events_text)
        self._held = b""
        self._usage: dict[str, Any] = {}
        self._delta_seen = False
        self._model: str | None = None
        self._id: str | None = None
        self.complete = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events that may go on now."""
        events = self._cutter.whole(chunk)
        if not events:
            return b""
        self._tape.add(events)
        if not self._held and not any(mark in events for mark in _LOOKS):
            return events
        return b"".join(self._look(event) for event in sse.split(events))

    def end(self) -> bytes:
        """Return what was kept back."""
        held, self._held = self._held + self._cutter.rest(), b""
        return held

    def reading(self) -> Reading:
        """Return the usage so far: PARTIAL, without the placeholder output, until a message_delta has come."""
        if not self._usage:
            return usage_table.missing(self._model, self._id)
        if self._delta_seen:
            return read_usage(self._usage, self._model, self._id, Completeness.FINAL)
        started = {key: value for key, value in self._usage.items() if not key.startswith("output_tokens")}
        return read_usage(started, self._model, self._id, Completeness.PARTIAL)

    def text(self) -> str:
        """Return the output text seen so far."""
        return self._tape.text()

    def _look(self, event: bytes) -> bytes:
        value = parse(sse.data(event))
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "message_start":
            message = value.get("message")
            if isinstance(message, dict):
                self._model, self._id = optional_text(message.get("model")), optional_text(message.get("id"))
                self._replace(message.get("usage"))
        elif kind == "message_delta":
            self._replace(value.get("usage"))
            self._delta_seen = True
        elif kind == "message_stop":
            self.complete = True
        if self.complete:
            self._held += event
            return b""
        return event

    def _replace(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._usage.update((key, value) for key, value in usage.items() if value is not None)


def _server_tools(request: _Request) -> tuple[int, str | None]:
    """Return how often the server may search, and why input may grow beyond the body."""
    searches = 0
    hidden = None
    for tool in request.tools or ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str) or kind == "custom":
            continue
        hidden = f"the server tool {kind} reads its results as input"
        if kind.startswith("web_search"):
            uses = tool.get("max_uses")
            searches += uses if isinstance(uses, int) and not isinstance(uses, bool) and uses >= 0 else WEB_SEARCHES_MAX
    if request.mcp_servers:
        hidden = "tools of mcp servers read their results as input"
    if request.container:
        hidden = "a container's files are input"
    return searches, hidden


def _collect(content: object, texts: list[str], media: list[Media]) -> None:
    if not isinstance(content, list):
        collect_text(content, texts)
        return
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("image", "document"):
            source = part.get("source")
            data = source.get("data") if isinstance(source, dict) else None
            if kind == "document" and isinstance(source, dict) and source.get("type") in ("text", "content"):
                collect_text(part, texts)
            else:
                media.append(Media("image" if kind == "image" else "file", base64_bytes(data)))
        elif kind == "tool_result":
            _collect(part.get("content"), texts, media)
            collect_text(part.get("tool_use_id"), texts)
        else:
            collect_text(part, texts)


def _events_text(events: bytes) -> str:
    texts: list[str] = []
    for event in parse_events(events):
        if isinstance(event, str):
            texts.append(event)
        elif isinstance(event, dict):
            delta = event.get("delta") if event.get("type") == "content_block_delta" else event.get("content_block")
            if isinstance(delta, dict):
                shown = {key: value for key, value in delta.items() if key not in ("type", "id", "signature")}
                collect_text(shown, texts)
    return "".join(texts)
