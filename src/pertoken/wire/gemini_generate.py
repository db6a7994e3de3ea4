"""Gemini generateContent and streamGenerateContent: requests, rewriting and whole answers.

Streams are read in `gemini_stream`. https://ai.google.dev/api/generate-content, as read on 2026-11-23. Like any
protobuf service in JSON, it accepts the name of each field in camelCase and in snake_case.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Reading
from pertoken.wire import content, gemini_family, gemini_usage, usage_reading
from pertoken.wire.body import (
    choices_count,
    decode,
    decode_object,
    optional_text,
    positive_count,
    raw_field,
    replace_fields,
)
from pertoken.wire.content import (
    as_dict,
    as_list,
    base64_bytes,
    collect_json,
    collect_text,
    encoded,
    inline_picture,
    inline_sound,
)
from pertoken.wire.format import BadRequest, Content, RequestChange
from pertoken.wire.gemini_stream import GenerateStream
from pertoken.wire.usage_table import UsageTable

name = "gemini.generate"

USAGE = gemini_usage.USAGE

error = gemini_family.error
stream_error = gemini_family.stream_error

WEB_SEARCHES_MAX = 10  # queries of one grounded prompt; more than any model has been seen to make

_MEDIA = re.compile(rb'"(?:inlineData|inline_data|fileData|file_data)"')
_FUNCTIONS = ("functionDeclarations", "function_declarations")


class _Request(msgspec.Struct):
    contents: msgspec.Raw
    generationConfig: Any = None  # noqa: N815 - the API's own name
    generation_config: Any = None
    tools: Any = None
    cachedContent: Any = None  # noqa: N815 - the API's own name
    cached_content: Any = None
    serviceTier: Any = None  # noqa: N815 - the API's own name
    service_tier: Any = None


_request = msgspec.json.Decoder(_Request)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request. The model comes from the path. Raises BadRequest if the body is not a request."""
    request = decode(_request, body)
    model = path_model or ""
    config = _config(request.generationConfig, request.generation_config)
    cap = positive_count(_either(config, "maxOutputTokens", "max_output_tokens"), "generationConfig.maxOutputTokens")
    choices = choices_count(_either(config, "candidateCount", "candidate_count"), "generationConfig.candidateCount")
    kinds = _server_tools(request)
    searches = any("search" in kind.lower() and kind not in ("fileSearch", "file_search") for kind in kinds)
    queries = WEB_SEARCHES_MAX if gemini_usage.bills_queries(model) else 1
    tier = optional_text(_once("serviceTier", request.serviceTier, request.service_tier))
    return RequestFacts(
        model=model,
        output_max=cap,
        choices=choices,
        has_media=has_media(body),
        has_tools=bool(request.tools),
        server_tools=bool(kinds),
        hidden_input=_hidden(request, kinds),
        web_searches_max=queries if searches else 0,
        units_max=(("map_queries", queries),) if "googleMaps" in kinds or "google_maps" in kinds else (),
        output_modalities=_modalities(config, model),
        service_tier=tier.lower() if tier else None,
    )


def is_request(request: Mapping[str, Any], model: str) -> bool:  # noqa: ARG001 - any model may be called so
    """Tell whether an object may be a request of this API."""
    return isinstance(request.get("contents"), list | dict)


def read_content(body: bytes) -> Content:
    """Return everything that the model will read. Raises BadRequest if the body has the wrong shape."""
    request = decode_object(body)
    texts: list[str] = []
    media: list[Media] = []
    contents = request.get("contents")
    listed = contents if isinstance(contents, list) else [contents]
    for one in [_either(request, "systemInstruction", "system_instruction"), *listed]:
        collect_content(one, texts, media)
    config = as_dict(_either(request, "generationConfig", "generation_config"))
    schemas = [value for key, value in config.items() if "schema" in key.lower() and value is not None]
    return Content(tuple(texts), len(listed), 0, encoded(request.get("tools")) + encoded(schemas), tuple(media))


def rewrite(body: bytes, change: RequestChange) -> bytes:
    """Return `body` with only the cap on output replaced. The model is in the path, not in the body.

    Raises BadRequest if the body is not a request.
    """
    if change.output_max is None:
        return body
    key = "generation_config" if raw_field(body, "generation_config") else "generationConfig"
    config = raw_field(body, key) or b"{}"
    cap = "max_output_tokens" if raw_field(config, "max_output_tokens") else "maxOutputTokens"
    return replace_fields(body, {key: msgspec.Raw(replace_fields(config, {cap: change.output_max}))})


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage."""
    try:
        piece = gemini_usage.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        read = partial(gemini_usage.read_usage, rows=rows, model=None, response_id=None, grounded={})
        return usage_reading.unreadable(body, "usageMetadata", read)
    return gemini_usage.read_piece(piece, rows, body)


def answer_text(body: bytes) -> str:
    """Return the output text of a whole answer."""
    return content.answer_text(body, gemini_usage.written)


def stream_reader(facts: RequestFacts, rows: UsageTable = USAGE) -> GenerateStream:
    """Return a reader for one streamed answer."""
    return GenerateStream(facts.model, rows)


def has_media(body: bytes) -> bool:
    """Tell whether a request may carry images, sounds, videos or files."""
    return _MEDIA.search(content.plain(body)) is not None


def collect_content(one: object, texts: list[str], media: list[Media]) -> None:
    """Add the texts and media of one content: of its parts, or of a plain text."""
    parts = one.get("parts") if isinstance(one, dict) and "parts" in one else one
    for part in parts if isinstance(parts, list) else [parts]:
        if isinstance(part, dict):
            _collect_part(part, texts, media)
        else:
            collect_text(part, texts)


def _collect_part(part: dict[str, Any], texts: list[str], media: list[Media]) -> None:
    for key, value in part.items():
        if key in ("inlineData", "inline_data"):
            media.append(_medium(as_dict(value), inline=True))
        elif key in ("fileData", "file_data"):
            media.append(_medium(as_dict(value), inline=False))
        elif key in ("functionResponse", "function_response"):
            inner = as_dict(value)
            for piece in as_list(inner.get("parts")):
                _collect_part(as_dict(piece), texts, media)
            collect_json({name: entry for name, entry in inner.items() if name != "parts"}, texts)
        elif key in ("functionCall", "function_call"):
            collect_json(value, texts)
        else:
            collect_text(value, texts)


def _medium(given: dict[str, Any], *, inline: bool) -> Media:
    mime = str(_either(given, "mimeType", "mime_type") or "")
    kind = mime.partition("/")[0]
    kind = kind if kind in ("image", "audio", "video") else "file"
    if not inline:
        return Media(kind)
    data = given.get("data")
    if kind == "image":
        return inline_picture(data)
    return inline_sound(data) if kind == "audio" else Media(kind, base64_bytes(data))


def _config(camel: object, snake: object) -> dict[str, Any]:
    if camel is not None and snake is not None:
        raise BadRequest("generationConfig is given twice", "generationConfig")
    config = snake if camel is None else camel
    if config is not None and not isinstance(config, dict):
        raise BadRequest("generationConfig must be an object", "generationConfig")
    return config or {}


def _modalities(config: dict[str, Any], model: str) -> frozenset[str]:
    """Return the kinds of output other than text that may come back.

    A model whose name says that it draws or speaks does so without being asked.
    """
    asked = {str(one).lower() for one in as_list(_either(config, "responseModalities", "response_modalities"))}
    asked |= {"image"} if "image" in model else set()
    asked |= {"audio"} if "tts" in model or "audio" in model else set()
    return frozenset(asked) - {"text"}


def _server_tools(request: _Request) -> list[str]:
    """Return the kinds of the request's tools that are not functions of the client."""
    return [
        kind for tool in as_list(request.tools) or [request.tools] for kind in as_dict(tool) if kind not in _FUNCTIONS
    ]


def _hidden(request: _Request, kinds: list[str]) -> str | None:
    """Return why input may exceed the body."""
    if _once("cachedContent", request.cachedContent, request.cached_content):
        return "the cached content is input"
    return f"the server tool {kinds[-1]} reads its results as input" if kinds else None


def _once(name: str, camel: object, snake: object) -> object:
    """Return the field from its two spellings. Raises BadRequest if both are given."""
    if camel is not None and snake is not None:
        raise BadRequest(f"{name} is given twice", name)
    return snake if camel is None else camel


def _either(values: dict[str, Any], camel: str, snake: str) -> Any:
    """Return a field by either of its two spellings.

    Raises BadRequest if both are given, because it is unknown which one counts.
    """
    if values.get(camel) is not None and values.get(snake) is not None:
        raise BadRequest(f"{camel} is given twice", camel)
    return values.get(snake) if values.get(camel) is None else values.get(camel)
