"""Gemini's usageMetadata, in whole answers and in the pieces of a stream.

https://ai.google.dev/api/generate-content#UsageMetadata, as read on 2026-11-23. `promptTokenCount` includes
cached tokens. `candidatesTokenCount` does not include `thoughtsTokenCount`, unless the total says that it does.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from pertoken.core.usage import Reading
from pertoken.wire import usage_reading, usage_rules, usage_table, usage_words
from pertoken.wire.body import optional_text
from pertoken.wire.content import UNWRITTEN, as_dict, as_list, collect_json, collect_text, parse
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_table import UsageTable

USAGE = usage_rules.GEMINI_GENERATE

INLINE = b'"inlineData"'
# JSON escapes a quote inside a text, so this pattern cannot match inside the model's output.
_KINDS = re.compile(rb'"mime_?[tT]ype"\s*:\s*"(audio|image|video)/')

SNAKE_USAGE = b'"usage_metadata"'

_BILLS_QUERIES = re.compile(r"gemini-(?:[3-9]|\d\d)")


class Piece(msgspec.Struct):
    """A whole answer, or one piece of a stream."""

    modelVersion: Any = None  # noqa: N815 - the API's own name
    responseId: Any = None  # noqa: N815 - the API's own name
    usageMetadata: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815 - the API's own name
    candidates: msgspec.Raw = msgspec.Raw(b"null")
    promptFeedback: Any = None  # noqa: N815 - the API's own name


_piece = msgspec.json.Decoder(Piece)


def decode(data: bytes) -> Piece:
    """Return one piece. Raises the errors of msgspec, UnicodeDecodeError or RecursionError if it cannot be read."""
    return _piece.decode(spelled(data))


def spelled(data: bytes) -> bytes:
    """Return a piece with camelCase keys. Google's SDK for Python stores answers in snake_case."""
    if SNAKE_USAGE not in data:
        return data
    value = parse(data)
    return msgspec.json.encode(usage_words.camel(value)) if isinstance(value, dict) else data


def read_piece(piece: Piece, rows: UsageTable, data: bytes) -> Reading:
    """Return what a piece, decoded from `data`, says about usage."""
    model, response_id = optional_text(piece.modelVersion), optional_text(piece.responseId)
    grounded = count_grounding(parse_candidates(piece), model or "")
    reading = read_usage(bytes(piece.usageMetadata), rows, model, response_id, grounded)
    if data.count(b'"usageMetadata"') > 1:
        read = partial(read_usage, rows=rows, model=model, response_id=response_id, grounded=grounded)
        reading = usage_reading.doubt_if_twice(reading, data, "usageMetadata", read)
    made = made_in(bytes(piece.candidates))
    reading = usage_reading.with_shown(reading, grounded)
    return reading._replace(made=made) if made else reading


def read_usage(
    raw: bytes,
    rows: UsageTable,
    model: str | None,
    response_id: str | None,
    grounded: Mapping[str, int],
    *,
    partial: bool = False,
) -> Reading:
    """Return the reading of one usageMetadata object, given as JSON bytes."""

    def count(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
        quantities = usage_table.count(rows, usage)
        return {**quantities, **grounded} if grounded else quantities

    return read_raw(raw, rows, Provenance(model, _tier(as_dict(parse(raw))), response_id), count, partial=partial)


def bills_queries(model: str) -> bool:
    """Tell whether a model bills each search query, rather than each prompt once.

    Gemini 3 and later bill each query. A name without a version number is taken as one that does.
    """
    return _BILLS_QUERIES.search(model) is not None or re.search(r"gemini-\d", model) is None


def parse_candidates(piece: Piece) -> list[Any]:
    """Return the candidates of a piece if they mention grounding, otherwise an empty list."""
    raw = bytes(piece.candidates)
    return as_list(parse(raw)) if b"groundingMetadata" in raw else []


def count_grounding(candidates: list[Any], model: str) -> dict[str, int]:
    """Return how many searches and how many prompts grounded in Google Maps are billed. Zeros are left out."""
    searches = maps = 0
    for candidate in candidates:
        grounding = as_dict(as_dict(candidate).get("groundingMetadata"))
        chunks = as_list(grounding.get("groundingChunks"))
        found_web = any("web" in as_dict(chunk) for chunk in chunks)  # needs at least one search, listed or not
        queries = max(len(as_list(grounding.get("webSearchQueries"))), found_web)
        searches += queries if bills_queries(model) else min(queries, 1)
        maps += "googleMapsWidgetContextToken" in grounding or any("maps" in as_dict(chunk) for chunk in chunks)
    return {unit: many for unit, many in (("web_searches", searches), ("map_queries", maps)) if many}


def made_in(candidates: bytes) -> frozenset[str]:
    """Return the kinds of inline data in candidates: audio, image or video."""
    if INLINE not in candidates:
        return frozenset()
    return frozenset(kind.decode() for kind in _KINDS.findall(candidates))


def written(answer: dict[str, Any], texts: list[str]) -> None:
    """Add all text that the candidates of an answer hold, and the name and arguments of their function calls."""
    for candidate in as_list(answer.get("candidates")):
        for part in as_list(as_dict(as_dict(candidate).get("content")).get("parts")):
            fields = as_dict(part)
            call = as_dict(fields.get("functionCall"))
            collect_text(fields, texts, UNWRITTEN | {"functionCall", "inlineData"})
            collect_text(call.get("name"), texts)
            collect_json(call.get("args"), texts)


def _tier(usage: dict[str, Any]) -> str | None:
    """Return the tier that served the call. The Gemini API and Vertex use different field names."""
    names = ("serviceTier", "trafficType", "service_tier", "traffic_type")
    return usage_reading.traffic_tier(*(usage.get(name) for name in names))
