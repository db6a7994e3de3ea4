"""Gemini generateContent and streamGenerateContent.

https://ai.google.dev/api/generate-content, as read on 2026-11-23. `promptTokenCount` includes what was cached;
`thoughtsTokenCount` stands beside `candidatesTokenCount`, unless the total says that it lies inside.
"""

import re
from typing import Any

import msgspec

from pertoken.core.usage import Completeness, Contradiction, Reading
from pertoken.wire import gemini_errors, sse, usage_table
from pertoken.wire.body import decode, decode_object, optional_count, optional_text, raw_field, replace_fields
from pertoken.wire.content import base64_bytes, collect_text, encoded, parse, parse_events
from pertoken.wire.format import BadRequest, Change, Content, Media, RequestFacts

name = "gemini.generate"

COUNTS = usage_table.table(
    {
        "prompt": ["promptTokenCount"],
        "tool_use": ["toolUsePromptTokenCount"],
        "cached": ["cachedContentTokenCount"],
        "candidates": ["candidatesTokenCount"],
        "thoughts": ["thoughtsTokenCount"],
        "total": ["totalTokenCount"],
    }
)
# (list of the usage object, modality) -> unit; documents are billed as the images their pages are
MODALITIES = {
    ("promptTokensDetails", "AUDIO"): "input_audio_tokens",
    ("promptTokensDetails", "IMAGE"): "input_image_tokens",
    ("promptTokensDetails", "DOCUMENT"): "input_image_tokens",
    ("promptTokensDetails", "VIDEO"): "input_video_tokens",
    ("cacheTokensDetails", "AUDIO"): "cache_read_audio_tokens",
    ("cacheTokensDetails", "IMAGE"): "cache_read_image_tokens",
    ("cacheTokensDetails", "VIDEO"): "cache_read_video_tokens",
    ("candidatesTokensDetails", "AUDIO"): "output_audio_tokens",
    ("candidatesTokensDetails", "IMAGE"): "output_image_tokens",
}

error = gemini_errors.error
stream_error = gemini_errors.stream_error

WEB_SEARCHES_MAX = 10  # queries of one grounded prompt: more than have been seen
TAIL_BYTES = 64 * 1024

_MEDIA = re.compile(rb'"(?:inlineData|inline_data|fileData|file_data)"')
_GEMINI_3 = re.compile(r"gemini-(?:[3-9]|\d\d)")


class _Request(msgspec.Struct):
    contents: msgspec.Raw
    generationConfig: Any = None  # noqa: N815 - the API's own name
    generation_config: Any = None
    tools: Any = None
    cachedContent: Any = None  # noqa: N815 - the API's own name
    serviceTier: Any = None  # noqa: N815 - the API's own name


_request = msgspec.json.Decoder(_Request)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request; its model comes from the path. Raises BadRequest when it is none."""
    request = decode(_request, body)
    config = _config(request)
    choices = optional_count(_either(config, "candidateCount", "candidate_count"), "generationConfig.candidateCount")
    cap = optional_count(_either(config, "maxOutputTokens", "max_output_tokens"), "generationConfig.maxOutputTokens")
    modalities = _either(config, "responseModalities", "response_modalities")
    searches, hidden = _server_tools(request)
    return RequestFacts(
        model=path_model or "",
        output_max=cap,
        choices=1 if choices is None else choices,
        has_media=_MEDIA.search(body) is not None,
        has_tools=bool(request.tools),
        hidden_input=hidden,
        web_searches_max=searches,
        output_modalities=frozenset(str(one).lower() for one in modalities or ()) - {"text"},
        service_tier=optional_text(request.serviceTier),
    )


def read_content(body: bytes) -> Content:
    """Return everything the model will read. Raises BadRequest when its shape is wrong."""
    request = decode_object(body)
    contents = request.get("contents", request.get("content"))
    texts: list[str] = []
    media: list[Media] = []
    system = request.get("systemInstruction", request.get("system_instruction"))
    listed = contents if isinstance(contents, list) else [contents]
    for content in [*listed, system]:
        parts = content.get("parts") if isinstance(content, dict) else content
        for part in parts if isinstance(parts, list) else [parts]:
            _collect(part, texts, media)
    schema = _either(_as_dict(request.get("generationConfig")), "responseSchema", "responseJsonSchema")
    tools = encoded(request.get("tools")) + (encoded([schema]) if schema is not None else ())
    return Content(tuple(texts), len(listed), 0, tools, tuple(media))


def rewrite(body: bytes, change: Change) -> bytes:
    """Return `body` with only the cap on output written anew; the model stands in the path."""
    if change.output_max is None:
        return body
    key = "generation_config" if raw_field(body, "generation_config") else "generationConfig"
    config = raw_field(body, key) or b"{}"
    old_name = "max_output_tokens" if raw_field(config, "max_output_tokens") else "maxOutputTokens"
    capped = replace_fields(config, {old_name: change.output_max})
    return replace_fields(body, {key: msgspec.Raw(capped)})


def read_answer(body: bytes) -> Reading:
    """Return what a whole answer says about usage."""
    answer = parse(body)
    if not isinstance(answer, dict):
        return usage_table.missing()
    model, response_id = optional_text(answer.get("modelVersion")), optional_text(answer.get("responseId"))
    usage = answer.get("usageMetadata")
    if not isinstance(usage, dict):
        return usage_table.missing(model, response_id)
    return read_usage(usage, model, response_id, _searches(answer, model))


def read_usage(usage: dict[str, Any], model: str | None, response_id: str | None, web_searches: int) -> Reading:
    """Return the reading of one usageMetadata object."""
    raw = msgspec.json.encode(usage)
    tier = optional_text(usage.get("serviceTier")) or optional_text(usage.get("trafficType"))
    tier = tier.lower().removeprefix("on_demand_") if tier else None
    try:
        quantities = _quantities(usage)
    except Contradiction as contradiction:
        return usage_table.doubt(str(contradiction), raw=raw, model=model, service_tier=tier, response_id=response_id)
    if quantities is None:
        return usage_table.missing(model, response_id)
    if web_searches:
        quantities["web_searches"] = web_searches
    return usage_table.believe(
        quantities, completeness=Completeness.FINAL, raw=raw, model=model, service_tier=tier, response_id=response_id
    )


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    answer = parse(body)
    return _answers_text([answer]) if isinstance(answer, dict) else body.decode("utf-8", "replace")


def stream_reader(facts: RequestFacts) -> "GenerateStream":
    """Return a reader for one streamed answer."""
    return GenerateStream(facts.model)


class GenerateStream:
    """Watches a stream whose every piece carries the usage so far: only the last one is read, at the end.

    It comes as events (alt=sse) or as the pieces of one JSON array.
    """

    __slots__ = ("_held", "_model", "_tail", "_tape")

    def __init__(self, model: str) -> None:
        self._model = model
        self._tape = sse.Tape(_stream_text)
        self._tail = b""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what may go on: all but a last piece that says the answer is finished."""
        self._tape.add(chunk)
        tail = self._tail
        self._tail = chunk if len(chunk) >= TAIL_BYTES else (tail + chunk)[-TAIL_BYTES:]
        if self._held or b'"finishReason"' in chunk:
            self._held += chunk
            return b""
        return chunk

    def end(self) -> bytes:
        """Return what was kept back."""
        held, self._held = self._held, b""
        return held

    def reading(self) -> Reading:
        """Return the last usage seen."""
        usage = _last_object(self._tail, b'"usageMetadata"')
        if usage is None:
            return usage_table.missing()
        model, response_id = _last_text(self._tail, b'"modelVersion"'), _last_text(self._tail, b'"responseId"')
        grounding = _last_object(self._tail, b'"groundingMetadata"')
        searches = _count_searches(grounding, model or self._model) if grounding else 0
        reading = read_usage(usage, model, response_id, searches)
        if self.complete or reading.contradiction:
            return reading
        return reading._replace(completeness=Completeness.PARTIAL)

    def text(self) -> str:
        """Return the output text seen so far."""
        return self._tape.text()

    @property
    def complete(self) -> bool:
        """Whether a piece with a finish reason was seen."""
        return b'"finishReason"' in self._tail


def _quantities(usage: dict[str, Any]) -> dict[str, int] | None:
    counts = usage_table.read(COUNTS, usage)
    if "prompt" not in counts:
        return None
    tool_use, thoughts = counts.get("tool_use", 0), counts.get("thoughts", 0)
    candidates = counts.get("candidates", 0)
    inside = "total" in counts and counts["prompt"] + candidates + tool_use == counts["total"]
    output = candidates if inside else candidates + thoughts
    if "total" in counts and counts["prompt"] + tool_use + output != counts["total"]:
        raise Contradiction(f"totalTokenCount {counts['total']} is not the sum of its parts {counts}")
    quantities = {"input_tokens": counts["prompt"] + tool_use, "output_tokens": output}
    if "cached" in counts:
        quantities["cache_read_tokens"] = counts["cached"]
    if "thoughts" in counts:
        quantities["reasoning_tokens"] = thoughts
    for field in ("promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails"):
        for detail in usage.get(field) or ():
            unit = MODALITIES.get((field, str(detail.get("modality")))) if isinstance(detail, dict) else None
            if unit is not None:
                found = usage_table.read(_DETAIL, detail).get("tokens", 0)
                quantities[unit] = quantities.get(unit, 0) + found
    return quantities


_DETAIL = usage_table.table({"tokens": ["tokenCount"]})


def _config(request: _Request) -> dict[str, Any]:
    config = request.generationConfig if request.generationConfig is not None else request.generation_config
    if config is not None and not isinstance(config, dict):
        raise BadRequest("generationConfig must be an object", "generationConfig")
    return config or {}


def _server_tools(request: _Request) -> tuple[int, str | None]:
    searches, hidden = 0, None
    for tool in request.tools if isinstance(request.tools, list) else ():
        for kind in tool if isinstance(tool, dict) else ():
            if kind in ("functionDeclarations", "function_declarations"):
                continue
            hidden = f"the server tool {kind} reads its results as input"
            if "search" in kind.lower():
                searches = WEB_SEARCHES_MAX
    return searches, "the cached content is input" if request.cachedContent else hidden


def _collect(part: object, texts: list[str], media: list[Media]) -> None:
    inline = _either(_as_dict(part), "inlineData", "inline_data")
    linked = _either(_as_dict(part), "fileData", "file_data")
    given = inline if isinstance(inline, dict) else linked if isinstance(linked, dict) else None
    if given is None:
        collect_text(part, texts)
        return
    mime = str(_either(given, "mimeType", "mime_type") or "")
    kind = mime.partition("/")[0]
    kind = kind if kind in ("image", "audio", "video") else "file"
    media.append(Media(kind, base64_bytes(given.get("data")) if given is inline else None))


def _searches(answer: dict[str, Any], model: str | None) -> int:
    candidates = answer.get("candidates")
    found = 0
    for candidate in candidates if isinstance(candidates, list) else ():
        grounding = candidate.get("groundingMetadata") if isinstance(candidate, dict) else None
        found += _count_searches(grounding, model) if isinstance(grounding, dict) else 0
    return found


def _count_searches(grounding: dict[str, Any], model: str | None) -> int:
    """Return what is billed: each query from Gemini 3 on, the grounded prompt before."""
    queries = grounding.get("webSearchQueries")
    count = len(queries) if isinstance(queries, list) else 0
    return count if model and _GEMINI_3.match(model) else min(count, 1)


def _stream_text(chunks: bytes) -> str:
    if b"data:" in chunks:
        return _answers_text(parse_events(chunks))
    text = chunks.strip().lstrip(b"[,").rstrip(b"],").strip()
    whole = parse(b"[" + text + b"]")
    return _answers_text(whole) if isinstance(whole, list) else text.decode("utf-8", "replace")


def _answers_text(answers: list[Any]) -> str:
    texts: list[str] = []
    for answer in answers:
        candidates = answer.get("candidates") if isinstance(answer, dict) else answer
        for candidate in candidates if isinstance(candidates, list) else [candidates]:
            collect_text(candidate.get("content") if isinstance(candidate, dict) else candidate, texts)
    return "".join(text for text in texts if text != "model")


def _last_object(tail: bytes, key: bytes) -> dict[str, Any] | None:
    """Return the last whole object that stands behind `key`."""
    at = tail.rfind(key)
    while at >= 0:
        start = tail.find(b"{", at)
        end = _object_end(tail, start) if start >= 0 else -1
        if end > 0:
            value = parse(tail[start:end])
            if isinstance(value, dict):
                return value
        at = tail.rfind(key, 0, at)
    return None


def _object_end(data: bytes, start: int) -> int:
    """Return where the object that begins at `start` ends, -1 where it does not."""
    depth, quoted, escaped = 0, False, False
    for at in range(start, len(data)):
        byte = data[at]
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = byte == 0x5C, byte != 0x22
        elif byte == 0x22:
            quoted = True
        elif byte == 0x7B:
            depth += 1
        elif byte == 0x7D:
            depth -= 1
            if depth == 0:
                return at + 1
    return -1


def _last_text(tail: bytes, key: bytes) -> str | None:
    found: list[bytes] = re.findall(key + rb'\s*:\s*"([^"\\]*)"', tail)
    return found[-1].decode("utf-8", "replace") if found else None


def _either(values: dict[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
