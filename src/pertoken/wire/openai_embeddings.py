"""OpenAI embeddings. https://platform.openai.com/docs/api-reference/embeddings, as read on 2026-11-23."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Reading
from pertoken.wire import openai_chat, openai_family, usage_reading, usage_rules
from pertoken.wire.body import decode, decode_object, optional_text, replace_fields
from pertoken.wire.content import collect_text
from pertoken.wire.format import Content, RequestChange
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_table import UsageTable

name = "openai.embeddings"

error = openai_family.error
stream_error = openai_family.stream_error
stream_reader = openai_chat.stream_reader


USAGE = usage_rules.OPENAI_EMBEDDINGS


class _Request(msgspec.Struct):
    model: str
    input: msgspec.Raw
    user: Any = None


class _Answer(msgspec.Struct):
    id: Any = None
    model: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_answer = msgspec.json.Decoder(_Answer)
_request = msgspec.json.Decoder(_Request)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest if the body is not a request of this API."""
    request = decode(_request, body)
    return RequestFacts(model=request.model, output_max=0, user=optional_text(request.user))


def is_request(request: Mapping[str, Any], model: str) -> bool:  # noqa: ARG001 - the request's own model decides
    """Tell whether an object may be a request of this API."""
    return "input" in request and "embed" in str(request.get("model"))


def read_content(body: bytes) -> Content:
    """Return everything that the model will read. Each token given as a number becomes one word of one token."""
    texts: list[str] = []
    given = decode_object(body).get("input")
    collect_text(given, texts)
    texts.append(" a" * _numbers(given))
    return Content(tuple(texts))


def rewrite(body: bytes, change: RequestChange) -> bytes:
    """Return `body` with only the model replaced, if `change` names one."""
    return replace_fields(body, {} if change.model is None else {"model": change.model})


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage. The output is zero tokens."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return usage_reading.unreadable(body, "usage", lambda raw: read_raw(raw, rows, Provenance()))
    origin = Provenance(optional_text(answer.model), None, optional_text(answer.id))
    reading = read_raw(bytes(answer.usage), rows, origin)
    return usage_reading.doubt_if_twice(reading, body, "usage", lambda raw: read_raw(raw, rows, origin))


def answer_text(body: bytes) -> str:  # noqa: ARG001 - vectors are no text
    """Return an empty string: the answer holds vectors, not text."""
    return ""


def _numbers(value: object) -> int:
    if isinstance(value, list):
        return sum(_numbers(entry) for entry in value)
    return int(isinstance(value, int) and not isinstance(value, bool))
