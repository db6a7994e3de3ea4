"""APIs whose answers are read but which the gateway does not serve, and one reader for all of them.

An `Api` says where the usage object is, which fields name the model and the tier, and which event ends a stream.
`usage_rules` says which fields of the usage object count.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from pertoken.core.usage import Completeness, Contradiction, Quantities, Reading, leaves
from pertoken.wire import content, sse, usage_reading, usage_rules, usage_table
from pertoken.wire.body import optional_text
from pertoken.wire.content import parse
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_repair import CountUsage
from pertoken.wire.usage_table import Path, Term, UsageTable, term

Fields = Mapping[str, msgspec.Raw]
Marks = tuple[tuple[Path, Any], ...]  # (path, value); None is any value

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = b"null"
OTHER = "transcription"  # the name used for a second model that the session does not name


class Api(NamedTuple):
    """Where one API puts its usage."""

    name: str
    rows: UsageTable
    usage: Term = ()  # where the usage object is, in an answer or in an event of a stream
    loose: tuple[str, ...] = ()  # top-level fields of the answer that hold usage if there is no usage object
    model: Term = term("model")
    service_tier: Term = ()
    speed: Term = ()
    response_id: Term = term("id")
    begins: Marks = ()  # an event with one of these values opens an answer
    ends: Marks = ()  # an event with one of these values ends an answer
    adds: bool = False  # one stream holds several calls, whose usage is summed
    mark: bytes = b""  # bytes that only this API's events hold; `extract` tells them from the API it shares a name with
    turns: Marks = ()  # an event with one of these values ends one call, in streams whose calls have no ids
    others: str | None = None  # a suffix of event types: these events report the usage of a second model
    other_model: Term = ()  # where a session names the second model
    wrote: tuple[str, ...] = ()  # fields of an answer, or of an event, that hold output
    made: tuple[str, str] | None = None  # (unit, list): without usage, the length of the list is the quantity
    count: CountUsage = usage_table.count  # type: ignore[assignment]  # replaces the method `count` of tuples


def read_answer(api: Api, body: bytes) -> Reading:
    """Return what a whole answer says about usage."""
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return usage_reading.unreadable(body, "usage", lambda raw: read_raw(raw, api.rows, Provenance(), api.count))
    reading = _read(api, body, fields, _origin(api, fields, Provenance()))
    return usage_reading.without_zeros(reading, partial(content.answer_text, body, partial(_written, api)))


def read_stream(api: Api, data: bytes) -> Reading:
    """Return what a stream of events says about usage. It is PARTIAL if no event ended the stream."""
    cutter = sse.Cutter()
    events = [(sse.data(event), True) for event in sse.split(cutter.whole(data))]
    origin, is_open, other, turn = Provenance(), True, "", 0
    found: dict[str, Reading] = {}  # by turn and response id if `api.adds`, otherwise only the last reading
    others: dict[str, Reading] = {}  # of a second model, by item id
    for event, is_whole in [*events, (sse.data(cutter.rest()), False)]:
        at = turn
        try:
            fields = _fields.decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            read = partial(_read_one, api, origin, "usage", None)
            reading = usage_reading.unreadable(event, "usage", read) if is_whole else usage_reading.missing()
        else:
            other = _text(api.other_model, fields) or other
            if api.others is not None and (_text(term("type"), fields) or "").endswith(api.others):
                item = _text(term("item_id"), fields) or str(len(others))
                others[item] = _read(api, event, fields, Provenance(other or None))
                continue
            origin = _origin(api, fields, origin)
            is_open = (is_open or _says(api.begins, fields)) and not _says(api.ends, fields)
            turn += _says(api.turns, fields)
            reading = _read(api, event, fields, origin)
            if api.adds:
                text = partial(content.answer_text, event, partial(_written, api))
                reading = usage_reading.without_zeros(reading, text)
        if reading.completeness is not Completeness.MISSING or reading.raw:
            found[f"{at}/{reading.response_id or ''}" if api.adds else ""] = reading
    whole = _all_in_all(found, origin, partial=is_open)
    if not api.adds:
        whole = usage_reading.without_zeros(whole, partial(content.events_text, data, partial(_written, api)))
    return _with_others(whole, list(others.values()))


def _written(api: Api, answer: dict[str, Any], texts: list[str]) -> None:
    """Add the output text of an answer, or of an event of a stream, to `texts`."""
    content.collect_text([answer.get(name) for name in api.wrote], texts, content.UNWRITTEN)


def _with_others(reading: Reading, others: Sequence[Reading]) -> Reading:
    """Add the usage of other models in a session to its reading, one part for each model."""
    told = [one for one in others if one.quantities]
    doubtful = next((one for one in others if one.contradiction is not None), None)
    if reading.contradiction is not None or not (told or doubtful):
        return reading
    if doubtful is not None:
        return doubtful
    used: dict[str, dict[str, int]] = {}
    each = [
        (reading.model or "", reading.quantities or {}),
        *((one.model or OTHER, one.quantities or {}) for one in told),
    ]
    for model, quantities in each:
        _add(used.setdefault(model, {}), quantities)
    sums: dict[str, int] = {}
    for quantities in used.values():
        _add(sums, quantities)
    is_known = reading.quantities is not None
    return reading._replace(
        quantities=sums,
        completeness=reading.completeness if is_known else Completeness.PARTIAL,
        parts=tuple((model, quantities) for model, quantities in used.items() if quantities),
    )


def _add(sums: dict[str, int], quantities: Quantities) -> None:
    for unit, quantity in quantities.items():
        sums[unit] = sums.get(unit, 0) + quantity


def _all_in_all(found: Mapping[str, Reading], origin: Provenance, *, partial: bool) -> Reading:
    readings = list(found.values())
    if not readings:
        return usage_reading.missing(origin)
    doubtful = next((reading for reading in readings if reading.contradiction is not None), None)
    if doubtful is not None:
        return doubtful
    sums: dict[str, int] = {}
    for reading in readings:
        _add(sums, reading.quantities or {})
    partial = partial or any(reading.completeness is not Completeness.FINAL for reading in readings)
    last = readings[-1]
    if last.completeness is Completeness.MISSING:
        return last
    return last._replace(
        quantities=sums,
        completeness=Completeness.PARTIAL if partial else Completeness.FINAL,
        model=origin.model,
        service_tier=origin.service_tier,
        response_id=origin.response_id,
        speed=origin.speed or last.speed,
        region=origin.region,
        attributes=origin.attributes or last.attributes,
    )


def _read(api: Api, data: bytes, fields: Fields, origin: Provenance) -> Reading:
    raw = _usage(api, fields)
    if raw == _NULL and api.made is not None:
        made = parse(bytes(fields.get(api.made[1], _NULL)))
        if isinstance(made, list):
            return Reading({api.made[0]: len(made)}, Completeness.FINAL, *origin[:3])
    reading = read_raw(raw, api.rows, origin, api.count)
    for key in ("usage", *api.loose):
        loose = _loose(api, fields) if key in api.loose else None
        reading = usage_reading.doubt_if_twice(reading, data, key, partial(_read_one, api, origin, key, loose))
    return reading


def _read_one(api: Api, origin: Provenance, key: str, loose: Fields | None, raw: bytes) -> Reading:
    """Read one value of a repeated key: a usage object, or one of the `loose` fields."""
    if loose is not None:
        raw = msgspec.json.encode({**loose, key: msgspec.Raw(raw)})
    return read_raw(raw, api.rows, origin, api.count)


def _loose(api: Api, fields: Fields) -> Fields:
    return {key: fields[key] for key in api.loose if key in fields and bytes(fields[key]) != _NULL}


def _usage(api: Api, fields: Fields) -> bytes:
    for path in api.usage:
        raw = _raw(path, fields)
        if raw != _NULL:
            return raw
    loose = _loose(api, fields)
    return msgspec.json.encode(loose) if loose else _NULL


def _origin(api: Api, fields: Fields, known: Provenance) -> Provenance:
    return known._replace(
        model=_text(api.model, fields) or known.model,
        service_tier=_text(api.service_tier, fields) or known.service_tier,
        response_id=_text(api.response_id, fields) or known.response_id,
        speed=_text(api.speed, fields) or known.speed,
    )


def _raw(path: Path, fields: Fields) -> bytes:
    """Return the JSON bytes at a path, or `null` if the path leads nowhere."""
    raw = bytes(fields.get(path[0], _NULL))
    for key in path[1:]:
        if not raw.startswith(b"{"):
            return _NULL
        try:
            raw = bytes(_fields.decode(raw).get(key, _NULL))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _NULL
    return raw


def _text(paths: Term, fields: Fields) -> str | None:
    return next((text for path in paths if (text := optional_text(parse(_raw(path, fields))))), None)


def _says(marks: Marks, fields: Fields) -> bool:
    return any((raw := _raw(path, fields)) != _NULL and value in (None, parse(raw)) for path, value in marks)


def _count_cohere(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
    """Count the billed units. Add the cached tokens only if they do not exceed the billed input.

    Cohere counts cached tokens among all tokens that the model read, which may be more than it bills.
    """
    quantities = usage_table.count(rows, usage)
    cached = usage_table.read(usage_rules.COHERE_CACHED, usage)
    try:
        leaves({**quantities, **cached})
    except Contradiction:
        return quantities
    return {**quantities, **cached}


OPENAI_IMAGES = Api(
    "openai.images",
    usage_rules.OPENAI_IMAGES,
    usage=term("usage"),
    wrote=("data", "b64_json"),
    ends=((("type",), "image_generation.completed"), (("type",), "image_edit.completed")),
    made=("images", "data"),
)
OPENAI_TRANSCRIPTION = Api(
    "openai.transcription",
    usage_rules.OPENAI_TRANSCRIPTION,
    usage=term("usage"),
    loose=("duration",),
    wrote=("text", "delta"),
    ends=((("type",), "transcript.text.done"), (("type",), "transcription.done")),
)
OPENAI_REALTIME = Api(
    "openai.realtime",
    usage_rules.OPENAI_REALTIME,
    usage=term("response.usage|usage"),
    model=term("response.model|session.model|model"),
    service_tier=term("response.service_tier|service_tier"),
    response_id=term("response.id|id"),
    begins=((("type",), "response.created"),),
    ends=((("type",), "response.done"),),
    adds=True,
    wrote=("response",),
    others="input_audio_transcription.completed",
    other_model=term(
        "session.audio.input.transcription.model|session.input_audio_transcription.model"
        "|audio.input.transcription.model|input_audio_transcription.model"
    ),
)
_TURN: Marks = ((("serverContent", "turnComplete"), True),)
# The usage of each turn includes all earlier turns, and Google bills it so.
GEMINI_LIVE = Api(
    "gemini.live",
    usage_rules.GEMINI_GENERATE,
    usage=term("usageMetadata|usage_metadata"),
    model=term("modelVersion|setup.model"),
    begins=((("serverContent",), None),),
    ends=_TURN,
    adds=True,
    mark=b'"serverContent"',
    turns=_TURN,
    wrote=("serverContent",),
)
BEDROCK_CONVERSE = Api(
    "bedrock.converse",
    usage_rules.BEDROCK_CONVERSE,
    usage=term("usage|metadata.usage|amazon-bedrock-invocationMetrics"),
    loose=("prompt_token_count", "generation_token_count"),
    model=term("trace.promptRouter.invokedModelId|metadata.trace.promptRouter.invokedModelId|modelId|model"),
    service_tier=term("serviceTier.type|metadata.serviceTier.type"),
    speed=term("performanceConfig.latency|metadata.performanceConfig.latency"),
    wrote=("output", "contentBlockDelta", "delta", "generation"),
    ends=(  # with the name of the event around its fields, or without
        (("metadata",), None),
        (("usage",), None),
        (("amazon-bedrock-invocationMetrics",), None),
        (("stop_reason",), None),
    ),
)
COHERE_CHAT = Api(
    "cohere.chat",
    usage_rules.COHERE_CHAT,
    usage=term("usage|delta.usage|meta|response.meta"),
    response_id=term("id|response_id|generation_id"),
    wrote=("message", "text", "tool_calls", "delta"),
    ends=((("type",), "message-end"), (("event_type",), "stream-end")),
    count=_count_cohere,
)
OLLAMA_CHAT = Api(
    "ollama.chat",
    usage_rules.OLLAMA_CHAT,
    usage=term("usage"),  # added by proxies in front of Ollama
    loose=("prompt_eval_count", "eval_count"),
    wrote=("message", "response"),
    ends=((("done",), True),),
)
