"""OpenAI Responses. https://platform.openai.com/docs/api-reference/responses, as read on 2026-11-23."""

import re
from typing import Any

import msgspec

from pertoken.core.errors import Refusal
from pertoken.core.usage import Completeness, Contradiction, Reading
from pertoken.wire import openai_errors, sse, usage_table
from pertoken.wire.body import decode, decode_object, optional_count, optional_text, replace_fields, text_map
from pertoken.wire.content import base64_bytes, collect_text, encoded, inline_bytes, parse, parse_events
from pertoken.wire.format import Change, Content, Media, RequestFacts

name = "openai.responses"

USAGE = usage_table.table(
    {
        "input_tokens": ["input_tokens"],
        "cache_read_tokens": ["input_tokens_details.cached_tokens"],
        "cache_write_tokens": ["input_tokens_details.cache_write_tokens"],
        "output_tokens": ["output_tokens"],
        "reasoning_tokens": ["output_tokens_details.reasoning_tokens"],
    }
)

error = openai_errors.error

WEB_SEARCHES_MAX = 10  # where the request sets no max_tool_calls

_MEDIA = re.compile(rb'"(?:input_image|input_audio|input_file)"')
_LAST = (b"response.completed", b"response.incomplete", b"response.failed")
_SEARCHES = {"web_search_call": "web_searches", "file_search_call": "file_searches"}


class _Request(msgspec.Struct):
    model: str
    input: msgspec.Raw = msgspec.Raw(b"null")
    stream: bool | None = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    tools: list[Any] | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    service_tier: str | None = None
    user: Any = None
    safety_identifier: Any = None
    metadata: Any = None


_request = msgspec.json.Decoder(_Request)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest when it is none."""
    request = decode(_request, body)
    kinds = [tool.get("type") for tool in request.tools or () if isinstance(tool, dict)]
    calls = optional_count(request.max_tool_calls, "max_tool_calls")
    searches = any(isinstance(kind, str) and kind.startswith("web_search") for kind in kinds)
    return RequestFacts(
        model=request.model,
        stream=bool(request.stream),
        output_max=optional_count(request.max_output_tokens, "max_output_tokens"),
        has_media=_MEDIA.search(body) is not None,
        has_tools=bool(request.tools),
        hidden_input=_hidden(request, kinds),
        web_searches_max=(WEB_SEARCHES_MAX if calls is None else calls) if searches else 0,
        service_tier=request.service_tier,
        user=optional_text(request.user) or optional_text(request.safety_identifier),
        metadata=text_map(request.metadata),
    )


def read_content(body: bytes) -> Content:
    """Return everything the model will read. Raises BadRequest when its shape is wrong."""
    request = decode_object(body)
    texts: list[str] = []
    media: list[Media] = []
    collect_text(request.get("instructions"), texts)
    items = request.get("input")
    if isinstance(items, list):
        for item in items:
            _collect(item, texts, media)
    else:
        collect_text(items, texts)
    tools = encoded(request.get("tools")) + (encoded([request["text"]]) if request.get("text") is not None else ())
    return Content(tuple(texts), len(items) if isinstance(items, list) else 1, 0, tools, tuple(media))


def rewrite(body: bytes, change: Change) -> bytes:
    """Return `body` with only the fields of `change` written anew."""
    replacements: dict[str, object] = {}
    if change.model is not None:
        replacements["model"] = change.model
    if change.output_max is not None:
        replacements["max_output_tokens"] = change.output_max
    return replace_fields(body, replacements)


def read_answer(body: bytes) -> Reading:
    """Return what a whole answer says about usage."""
    answer = parse(body)
    return read_response(answer) if isinstance(answer, dict) else usage_table.missing()


def read_response(answer: dict[str, Any]) -> Reading:
    """Return the reading of one response object; searches are counted from its output items."""
    model, response_id = optional_text(answer.get("model")), optional_text(answer.get("id"))
    tier, usage = optional_text(answer.get("service_tier")), answer.get("usage")
    if not isinstance(usage, dict):
        return usage_table.missing(model, response_id)
    raw = msgspec.json.encode(usage)
    try:
        quantities = usage_table.read(USAGE, usage)
    except Contradiction as contradiction:
        return usage_table.doubt(str(contradiction), raw=raw, model=model, service_tier=tier, response_id=response_id)
    if "input_tokens" not in quantities or "output_tokens" not in quantities:
        return usage_table.missing(model, response_id)
    output = answer.get("output")
    for item in output if isinstance(output, list) else ():
        unit = _SEARCHES.get(str(item.get("type"))) if isinstance(item, dict) else None
        if unit is not None:
            quantities[unit] = quantities.get(unit, 0) + 1
    return usage_table.believe(
        quantities, completeness=Completeness.FINAL, raw=raw, model=model, service_tier=tier, response_id=response_id
    )


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    answer = parse(body)
    if not isinstance(answer, dict):
        return body.decode("utf-8", "replace")
    texts: list[str] = []
    collect_text(answer.get("output"), texts)
    return "".join(texts)


def stream_error(refusal: Refusal) -> bytes:
    """Return the event that the SDKs raise from inside a stream."""
    fields = {"type": "error", "code": str(refusal.code), "message": refusal.message, "param": refusal.param}
    return b"event: error\ndata: " + msgspec.json.encode(fields) + b"\n\n"


def stream_reader(facts: RequestFacts) -> "ResponseStream":  # noqa: ARG001 - nothing to strip in this format
    """Return a reader for one streamed answer."""
    return ResponseStream()


class ResponseStream:
    """Watches a response stream: usage comes in the last event, which is kept back."""

    __slots__ = ("_cutter", "_held", "_reading", "_tape", "complete")

    def __init__(self) -> None:
        self._cutter = sse.Cutter()
        self._tape = sse.Tape(_events_text)
        self._held = b""
        self._reading = usage_table.missing()
        self.complete = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events that may go on now."""
        events = self._cutter.whole(chunk)
        if not events:
            return b""
        self._tape.add(events)
        if not self._held and not any(mark in events for mark in _LAST):
            return events
        return b"".join(self._look(event) for event in sse.split(events))

    def end(self) -> bytes:
        """Return what was kept back."""
        held, self._held = self._held + self._cutter.rest(), b""
        return held

    def reading(self) -> Reading:
        """Return what the last event said."""
        return self._reading

    def text(self) -> str:
        """Return the output text seen so far."""
        return self._tape.text()

    def _look(self, event: bytes) -> bytes:
        value = parse(sse.data(event))
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind.encode() in _LAST:
            response = value.get("response")
            if isinstance(response, dict):
                self._reading = read_response(response)
            self.complete = True
        if self.complete:
            self._held += event
            return b""
        return event


def _hidden(request: _Request, kinds: list[Any]) -> str | None:
    if request.previous_response_id or request.conversation:
        return "the stored conversation is input"
    if request.prompt is not None:
        return "the stored prompt is input"
    server_side = [kind for kind in kinds if kind not in ("function", "custom")]
    return f"the server tool {server_side[0]} reads its results as input" if server_side else None


def _collect(item: object, texts: list[str], media: list[Media]) -> None:
    if isinstance(item, list):
        for entry in item:
            _collect(entry, texts, media)
        return
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(item, dict):
        collect_text(item, texts)
    elif kind == "input_image":
        media.append(Media("image", inline_bytes(item.get("image_url")), detail=optional_text(item.get("detail"))))
    elif kind == "input_audio":
        audio = item.get("input_audio")
        media.append(Media("audio", base64_bytes(audio.get("data")) if isinstance(audio, dict) else None))
    elif kind == "input_file":
        media.append(Media("file"))
    else:
        for key, value in item.items():
            if key in ("content", "output"):
                _collect(value, texts, media)
            elif key not in ("role", "type", "id", "status"):
                collect_text(value, texts)


def _events_text(events: bytes) -> str:
    texts: list[str] = []
    for event in parse_events(events):
        if isinstance(event, str):
            texts.append(event)
        elif isinstance(event, dict) and str(event.get("type", "")).endswith(".delta"):
            collect_text(event.get("delta"), texts)
    return "".join(texts)
