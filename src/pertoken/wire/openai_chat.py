"""OpenAI chat completions, and every provider that speaks their shape.

https://platform.openai.com/docs/api-reference/chat, as read on 2026-11-23.
"""

import re
from typing import Any

import msgspec

from pertoken.core.usage import Completeness, Contradiction, Reading
from pertoken.wire import openai_errors, sse, usage_table
from pertoken.wire.body import decode, decode_object, optional_count, optional_text, replace_fields, text_map
from pertoken.wire.content import base64_bytes, collect_text, encoded, inline_bytes, parse, parse_events
from pertoken.wire.format import BadRequest, Change, Content, Media, RequestFacts

name = "openai.chat"

USAGE = usage_table.table(
    {
        "input_tokens": ["prompt_tokens"],
        "cache_read_tokens": ["prompt_tokens_details.cached_tokens"],
        "cache_write_tokens": ["prompt_tokens_details.cache_write_tokens"],
        "input_audio_tokens": ["prompt_tokens_details.audio_tokens"],
        "output_tokens": ["completion_tokens"],
        "reasoning_tokens": ["completion_tokens_details.reasoning_tokens"],
        "output_audio_tokens": ["completion_tokens_details.audio_tokens"],
    }
)

error = openai_errors.error
stream_error = openai_errors.stream_error

WEB_SEARCHES_MAX = 1  # a search model or web_search_options searches at most once a request

_MEDIA = re.compile(rb'"(?:image_url|input_audio|file|video_url)"')


class _Request(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_completion_tokens: Any = None
    max_tokens: Any = None
    n: Any = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    user: Any = None
    metadata: Any = None
    web_search_options: Any = None


class _Answer(msgspec.Struct):
    id: Any = None
    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Chunk(msgspec.Struct):
    id: Any = None
    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    choices: list[msgspec.Raw] | None = None


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)
_chunk = msgspec.json.Decoder(_Chunk)
_any = msgspec.json.Decoder()


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest when it is none."""
    request = decode(_request, body)
    cap = optional_count(request.max_completion_tokens, "max_completion_tokens")
    old_cap = optional_count(request.max_tokens, "max_tokens")
    choices = optional_count(request.n, "n")
    options = request.stream_options or {}
    return RequestFacts(
        model=request.model,
        stream=bool(request.stream),
        output_max=old_cap if cap is None else cap,
        choices=1 if choices is None else choices,
        wants_usage=options.get("include_usage") is True,
        has_media=_MEDIA.search(body) is not None,
        has_tools=bool(request.tools or request.functions),
        web_searches_max=0 if request.web_search_options is None else WEB_SEARCHES_MAX,
        output_modalities=frozenset(request.modalities or ()) - {"text"},
        service_tier=request.service_tier,
        user=optional_text(request.user),
        metadata=text_map(request.metadata),
    )


def read_content(body: bytes) -> Content:
    """Return everything the model will read. Raises BadRequest when its shape is wrong."""
    request = decode_object(body)
    texts: list[str] = []
    media: list[Media] = []
    names = 0
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages must be a list", "messages")
    for message in messages:
        if not isinstance(message, dict):
            raise BadRequest("each message must be an object", "messages")
        names += isinstance(message.get("name"), str)
        for key, value in message.items():
            if key == "content" and isinstance(value, list):
                _read_parts(value, texts, media)
            elif key != "role":
                collect_text(value, texts)
    tools = encoded(request.get("tools")) + encoded(request.get("functions"))
    if request.get("response_format") is not None:
        tools += encoded([request["response_format"]])
    return Content(tuple(texts), len(messages), names, tools, tuple(media))


def rewrite(body: bytes, change: Change) -> bytes:
    """Return `body` with only the fields of `change` written anew."""
    replacements: dict[str, object] = {}
    if change.model is not None:
        replacements["model"] = change.model
    if change.output_max is not None:
        old_style = msgspec.json.decode(body, type=_Request).max_tokens is not None
        replacements["max_tokens" if old_style else "max_completion_tokens"] = change.output_max
    if change.include_usage:
        options = msgspec.json.decode(body, type=_Request).stream_options or {}
        replacements["stream_options"] = {**options, "include_usage": True}
    return replace_fields(body, replacements)


def read_answer(body: bytes) -> Reading:
    """Return what a whole answer says about usage."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return usage_table.missing()
    return read_usage(answer, Completeness.FINAL)


def read_usage(answer: _Answer | _Chunk, completeness: Completeness) -> Reading:
    """Return the reading of one usage object."""
    raw = bytes(answer.usage)
    model, response_id = optional_text(answer.model), optional_text(answer.id)
    tier = optional_text(answer.service_tier)
    if raw == b"null":
        return usage_table.missing(model, response_id)
    usage = _any.decode(raw)
    if not isinstance(usage, dict):
        return usage_table.doubt("usage is no object", raw=raw, model=model, service_tier=tier, response_id=response_id)
    try:
        quantities = usage_table.read(USAGE, usage)
    except Contradiction as contradiction:
        return usage_table.doubt(str(contradiction), raw=raw, model=model, service_tier=tier, response_id=response_id)
    if "input_tokens" not in quantities:
        return usage_table.missing(model, response_id)
    return usage_table.believe(
        quantities, completeness=completeness, raw=raw, model=model, service_tier=tier, response_id=response_id
    )


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    answer = parse(body)
    return body.decode("utf-8", "replace") if answer is None else _choices_text(answer, "message")


def stream_reader(facts: RequestFacts) -> "ChatStream":
    """Return a reader for one streamed answer."""
    return ChatStream(strip_usage=not facts.wants_usage)


class ChatStream:
    """Watches a chat stream: strips the usage chunk nobody asked for, keeps back the end marker."""

    __slots__ = ("_cutter", "_held", "_reading", "_strip", "_tape", "complete")

    def __init__(self, *, strip_usage: bool) -> None:
        self._strip = strip_usage
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
        plain = b"[DONE]" not in events and events.count(b'"usage"') == events.count(b'"usage":null')
        if plain and not self._held and self._reading.model is not None:
            return events
        return b"".join(self._look(event) for event in sse.split(events))

    def end(self) -> bytes:
        """Return what was kept back."""
        held, self._held = self._held + self._cutter.rest(), b""
        return held

    def reading(self) -> Reading:
        """Return the last usage seen; without any, what is known of the model."""
        return self._reading

    def text(self) -> str:
        """Return the output text seen so far."""
        return self._tape.text()

    def _look(self, event: bytes) -> bytes:
        data = sse.data(event)
        if data == b"[DONE]":
            self.complete = True
        elif data:
            try:
                chunk = _chunk.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return self._forward(event)
            if bytes(chunk.usage) != b"null":
                self._take(chunk)
                if not chunk.choices:
                    self._held += b"" if self._strip else event
                    return b""
            elif self._reading.model is None:
                self._take(chunk)
        return self._forward(event)

    def _take(self, chunk: _Chunk) -> None:
        reading = read_usage(chunk, Completeness.FINAL)
        tier = reading.service_tier or self._reading.service_tier
        self._reading = reading._replace(service_tier=tier)

    def _forward(self, event: bytes) -> bytes:
        if self.complete or self._held:
            self._held += event
            return b""
        return event


def _read_parts(parts: list[Any], texts: list[str], media: list[Media]) -> None:
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image_url":
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, dict) else image
            detail = image.get("detail") if isinstance(image, dict) else None
            media.append(Media("image", inline_bytes(url), detail=optional_text(detail)))
        elif kind == "input_audio":
            audio = part.get("input_audio")
            data = audio.get("data") if isinstance(audio, dict) else None
            media.append(Media("audio", base64_bytes(data)))
        elif kind in ("file", "video_url"):
            media.append(Media("file" if kind == "file" else "video"))
        else:
            collect_text(part, texts)


def _events_text(events: bytes) -> str:
    return "".join(event if isinstance(event, str) else _choices_text(event, "delta") for event in parse_events(events))


def _choices_text(answer: object, part: str) -> str:
    """Return all text that the choices' `part` (message or delta) carries: content, refusals, tool calls, reasoning."""
    texts: list[str] = []
    choices = answer.get("choices") if isinstance(answer, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get(part) if isinstance(choice, dict) else None
        if isinstance(message, dict):
            collect_text({key: value for key, value in message.items() if key != "role"}, texts)
    return "".join(texts)
