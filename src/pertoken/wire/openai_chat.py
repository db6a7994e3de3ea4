"""OpenAI chat completions, and every provider that uses this format.

https://platform.openai.com/docs/api-reference/chat, as read on 2026-11-23.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Completeness, Reading
from pertoken.wire import content, openai_family, served_names, usage_falls, usage_reading, usage_rules, usage_table
from pertoken.wire.body import (
    choices_count,
    decode,
    decode_object,
    optional_text,
    positive_count,
    replace_fields,
    text_map,
)
from pertoken.wire.content import as_dict, as_list, collect_text, encoded, inline_sound, parse, picture
from pertoken.wire.format import BadRequest, Content, RequestChange
from pertoken.wire.stream import EventStream, Fate
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_table import UsageTable

name = "openai.chat"

USAGE = usage_rules.OPENAI_CHAT

error = openai_family.error
stream_error = openai_family.stream_error

WEB_SEARCHES_MAX = 1  # a search model or web_search_options searches at most once a request
CLIENT_TOOLS = ("function", "custom")
NEW_CAP, OLD_CAP = "max_completion_tokens", "max_tokens"

_MEDIA = re.compile(rb'"(?:image_url|input_audio|file|video_url|audio_url|document_url)"')
# One search for media and for the one-hour cache, because most bodies have neither.
_MARKS = re.compile(rb'"(?:image_url|input_audio|file|video_url|audio_url|document_url|1h)"')
_NO_TEXT = frozenset({"type", "image_url", "input_audio", "file", "video_url", "audio_url", "document_url"})
_TYPE = frozenset({"type"})
_RUNS = b'"executed_tools"'
NOTHING: frozenset[str] = frozenset()
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')


class _Tool(msgspec.Struct):
    type: Any = None


class _Request(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_completion_tokens: Any = None
    max_tokens: Any = None
    n: Any = None
    tools: list[_Tool] | None = None
    functions: list[msgspec.Raw] | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    user: Any = None
    metadata: Any = None
    web_search_options: Any = None


class _Inner(msgspec.Struct):
    """Where Groq's streams carry usage."""

    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct):
    """A whole answer, or one chunk of a stream."""

    id: Any = None
    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    usage_info: msgspec.Raw = msgspec.Raw(b"null")  # used by Mistral's OCR
    x_groq: _Inner | None = None
    choices: msgspec.Raw = msgspec.Raw(b"null")


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest if the body is not a request of this API."""
    request = decode(_request, body)
    words = content.plain(body)
    is_marked = _MARKS.search(words) is not None
    cap = positive_count(request.max_completion_tokens, "max_completion_tokens") or 0
    old_style_cap = positive_count(request.max_tokens, "max_tokens") or 0
    return RequestFacts(
        model=request.model,
        stream=bool(request.stream),
        output_max=max(cap, old_style_cap) or None,  # if both are given, a server may apply either
        output_field=NEW_CAP if cap and not old_style_cap else None,  # all servers know the older field
        choices=choices_count(request.n, "n"),
        wants_usage=(request.stream_options or {}).get("include_usage") is True,
        has_media=is_marked and _MEDIA.search(words) is not None,
        has_tools=bool(request.tools or request.functions),
        server_tools=any(tool.type not in CLIENT_TOOLS for tool in request.tools or ()),
        hidden_input=_hidden(request, words),
        web_searches_max=0 if request.web_search_options is None else WEB_SEARCHES_MAX,
        long_cache=is_marked and b'"1h"' in words,  # from servers that sell Claude in this format
        output_modalities=frozenset(map(str.lower, request.modalities or ())) - {"text"},
        service_tier=request.service_tier,
        user=optional_text(request.user),
        metadata=text_map(request.metadata),
    )


def is_request(request: Mapping[str, Any], model: str) -> bool:  # noqa: ARG001 - any model may be called so
    """Tell whether an object may be a request of this API."""
    return content.is_conversation(request.get("messages"))


def read_content(body: bytes) -> Content:
    """Return everything that the model will read. Raises BadRequest if the body has the wrong shape."""
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
            else:
                collect_text(value, texts, _TYPE)
    tools = encoded(request.get("tools")) + encoded(request.get("functions"))
    if request.get("response_format") is not None:
        tools += encoded([request["response_format"]])
    return Content(tuple(texts), len(messages), names, tools, tuple(media))


def rewrite(body: bytes, change: RequestChange) -> bytes:
    """Return `body` with only the fields in `change` replaced. Raises BadRequest if the body is not a request."""
    replacements: dict[str, object] = {}
    if change.model is not None:
        replacements["model"] = change.model
    other_field = None
    if change.output_max is not None:
        field = change.output_field
        if field is None:
            field = NEW_CAP if decode(_request, body).max_tokens is None else OLD_CAP
        else:  # servers refuse a request with both fields, or with one that they do not know
            other_field = NEW_CAP if field == OLD_CAP else OLD_CAP
        replacements[field] = change.output_max
    if change.include_usage:
        options = decode(_request, body).stream_options or {}
        replacements["stream_options"] = {**options, "include_usage": True}
    return replace_fields(body, replacements, removed=other_field)


def count(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
    """Return the quantities of a usage object. A field that only one provider has selects that provider's table.

    Raises Contradiction.
    """
    for field, others in usage_rules.CHAT_MARKS:
        if usage.get(field):
            rows = others
    return usage_table.count(rows, usage)


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return usage_reading.unreadable(body, "usage", partial(_read_raw, rows, Provenance()))
    reading = _doubt_if_twice(_read_usage(answer, Provenance(), rows), body, rows)
    made = _made(bytes(answer.choices)) if _may_show(body) else NOTHING
    reading = reading._replace(made=made) if made else reading
    return _with_runs(reading, _ran(bytes(answer.choices))) if _RUNS in body else reading


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    return content.answer_text(body, _written)


def stream_reader(facts: RequestFacts, rows: UsageTable = USAGE) -> EventStream:
    """Return a reader for one streamed answer."""
    return EventStream(_Watch(rows, strip_usage=not facts.wants_usage), _written)


class _Watch:
    """Looks for usage and the end marker. It drops usage that the client did not ask for."""

    __slots__ = ("_begun", "_last", "_made", "_models", "_ran", "_reading", "_rows", "_strip", "complete")

    def __init__(self, rows: UsageTable, *, strip_usage: bool) -> None:
        self._rows = rows
        self._strip = strip_usage
        self._made = NOTHING
        self._ran: frozenset[tuple[str, str]] = frozenset()
        self._begun = False
        self._reading = usage_reading.missing()
        self._models: tuple[str, ...] = ()
        self._last = False  # whether the usage came in the last chunk; some servers send usage with every chunk
        self.complete = False

    def may_matter(self, events: bytes) -> bool:
        if not self._begun or b"[DONE]" in events:
            return True
        if not self._made and (b'"audio"' in events or b'"image' in events):  # as in `_may_show`, without a call
            return True
        if _RUNS in events:
            return True
        told = events.count(b'"usage"')  # most chunks say null, spelled in one of two ways
        return told > 0 and told != events.count(b'"usage":null') and told != events.count(b'"usage": null')

    def look(self, data: bytes) -> Fate:
        if data == b"[DONE]":
            self.complete = True
            return Fate.KEEP
        try:
            chunk = _answer.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._look_at_unreadable(data)
        self._models = usage_reading.also_named(self._models, chunk.model)
        if not self._made and _may_show(data):
            self._made = _made(bytes(chunk.choices))
        if _RUNS in data:
            self._ran |= _ran(bytes(chunk.choices))
        reading = _read_usage(chunk, usage_reading.origin_of(self._reading), self._rows)
        reading = _doubt_if_twice(reading, data, self._rows)
        if not self._begun and reading.completeness is Completeness.MISSING:
            self._begun, self._reading = True, reading
        told = reading.raw != b"" or reading.contradiction is not None
        choices = parse(bytes(chunk.choices)) if told else None
        if reading.quantities or reading.contradiction or reading.reported_cost is not None or reading.reported_fee:
            self._begun, self._reading = True, usage_falls.follow(self._reading, reading)
            self._last = not choices or any(as_dict(choice).get("finish_reason") for choice in as_list(choices))
        return self._fate(usage_alone=bytes(chunk.usage) != b"null" and not choices)

    def skim(self, events: bytes) -> None:
        self._models = served_names.skimmed(self._models, events, b'"model"', _model_of)

    def reading(self) -> Reading:
        reading = usage_reading.with_models(self._reading, self._models)
        reading = reading._replace(made=self._made) if self._made else reading
        reading = _with_runs(reading, self._ran) if self._ran else reading
        final = reading.quantities and reading.completeness is Completeness.FINAL
        return reading._replace(completeness=Completeness.PARTIAL) if final and not self._ended else reading

    @property
    def _ended(self) -> bool:
        return self._last or self.complete

    def _look_at_unreadable(self, data: bytes) -> Fate:
        origin = usage_reading.origin_of(self._reading)
        reading = usage_reading.unreadable(data, "usage", partial(_read_raw, self._rows, origin))
        if reading.contradiction:
            self._reading = usage_reading.torn(reading.contradiction, [self._reading, reading])
        return self._fate(usage_alone=reading.contradiction is not None and _NO_CHOICES.search(data) is not None)

    def _fate(self, *, usage_alone: bool) -> Fate:
        if not usage_alone:
            return Fate.PASS
        return Fate.DROP if self._strip else Fate.KEEP


def _model_of(data: bytes) -> object:
    """Return the model that a chunk names."""
    try:
        return _answer.decode(data).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _read_usage(answer: _Answer, known: Provenance, rows: UsageTable) -> Reading:
    origin = Provenance(
        optional_text(answer.model) or known.model,
        usage_falls.kept_tier(known.service_tier, optional_text(answer.service_tier)),
        optional_text(answer.id) or known.response_id,
    )
    raw = bytes(answer.usage)
    groq = b"null" if answer.x_groq is None else bytes(answer.x_groq.usage)
    if raw == b"null":
        raw = bytes(answer.usage_info) if groq == b"null" else groq
        each = _in_choices(bytes(answer.choices)) if raw == b"null" else []
        if len(each) > 1:
            return usage_reading.torn("each choice has a usage", [read_raw(one, rows, origin, count) for one in each])
        return read_raw(each[0] if each else raw, rows, origin, count)
    reading = read_raw(raw, rows, origin, count)
    if groq != b"null":
        other = read_raw(groq, rows, origin, count)
        if other.quantities != reading.quantities:
            return usage_reading.torn("usage and x_groq.usage differ", [other, reading])
    return reading


def _in_choices(choices: bytes) -> list[bytes]:
    """Return the usage objects inside choices. Moonshot's streams put usage there."""
    if b'"usage"' not in choices:
        return []
    told = (as_dict(choice).get("usage") for choice in as_list(parse(choices)))
    return [msgspec.json.encode(one) for one in told if one]


def _read_raw(rows: UsageTable, origin: Provenance, raw: bytes) -> Reading:
    return read_raw(raw, rows, origin, count)


def _doubt_if_twice(reading: Reading, data: bytes, rows: UsageTable) -> Reading:
    if data.count(b'"usage"') < 2:
        return reading
    read = partial(_read_raw, rows, usage_reading.origin_of(reading))
    return usage_reading.doubt_if_twice(reading, data, "usage", read)


def _may_show(answer: bytes) -> bool:
    """Tell whether the bytes of an answer, or of a part of one, may contain sound or pictures."""
    return b'"audio"' in answer or b'"image' in answer


def _made(choices: bytes) -> frozenset[str]:
    """Return the kinds of output other than text in the choices: "audio", "image".

    They are in `audio`, in OpenRouter's `images`, or in content parts.
    """
    if not _may_show(choices):
        return NOTHING
    made = set()
    for choice in as_list(parse(choices)):
        for name in ("message", "delta"):
            said = as_dict(as_dict(choice).get(name))
            parts = [as_dict(part).get("type") for part in as_list(said.get("content"))]
            if said.get("audio") or "audio" in parts or "output_audio" in parts:
                made.add("audio")
            if said.get("images") or "image_url" in parts or "image" in parts or "output_image" in parts:
                made.add("image")
    return frozenset(made)


def _ran(choices: bytes) -> frozenset[tuple[str, str]]:
    """Return Groq's tool runs as (place, type). A stream reports each run twice, so its place identifies it."""
    if _RUNS not in choices:
        return frozenset()
    ran = set()
    for at, choice in enumerate(as_list(parse(choices))):
        for name in ("message", "delta"):
            runs = as_list(as_dict(as_dict(choice).get(name)).get("executed_tools"))
            for place, run in enumerate(map(as_dict, runs)):
                ran.add((f"{as_dict(choice).get('index', at)}/{run.get('index', place)}", str(run.get("type"))))
    return frozenset(ran)


def _with_runs(reading: Reading, ran: frozenset[tuple[str, str]]) -> Reading:
    """Return the reading with the tool runs, if usage does not report them."""
    found: dict[str, int] = {}
    for _, kind in ran:
        unit = usage_rules.GROQ_RUNS[kind][0] if kind in usage_rules.GROQ_RUNS else usage_rules.GROQ_RUN_ELSE
        found[unit] = found.get(unit, 0) + 1
    return usage_reading.with_shown(reading, found)


def _hidden(request: _Request, words: bytes) -> str | None:
    """Return why input may exceed the body: a message may name an earlier spoken answer only by its id."""
    if b'"audio"' not in words:
        return None
    for raw in request.messages:
        message = as_dict(parse(bytes(raw)))
        if isinstance(message.get("audio"), dict):
            return "the stored audio of an earlier answer is input"
    return None


def _read_parts(parts: list[Any], texts: list[str], media: list[Media]) -> None:
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or kind not in _NO_TEXT:
            collect_text(part, texts, _TYPE)
            continue
        collect_text(part, texts, _NO_TEXT)
        given = part.get(str(kind))
        if kind == "image_url":
            url = given.get("url") if isinstance(given, dict) else given
            media.append(picture(url, optional_text(as_dict(given).get("detail"))))
        elif kind == "input_audio":
            media.append(inline_sound(as_dict(given).get("data")))
        else:
            media.append(Media({"audio_url": "audio", "video_url": "video"}.get(str(kind), "file")))


def _written(answer: dict[str, Any], texts: list[str]) -> None:
    """Add all text of the choices: content, refusals, tool calls, reasoning, transcripts of sound."""
    for choice in as_list(answer.get("choices")):
        for part in ("message", "delta"):
            collect_text(as_dict(choice).get(part), texts, content.UNWRITTEN)
