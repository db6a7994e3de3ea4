"""A made-up format, as `wire/made_up.py` would be."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pertoken.core.errors import Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Reading
from pertoken.wire import openai_chat
from pertoken.wire.body import decode_object, replace_fields
from pertoken.wire.content import as_dict, encoded, parse
from pertoken.wire.format import BadRequest, Content, RequestChange
from pertoken.wire.usage_reading import Provenance, read_raw
from pertoken.wire.usage_table import UsageTable, rule, table

name = "made.up"

USAGE = table(rule("input_tokens", "read", "made up"), rule("output_tokens", "wrote", "made up"))

stream_reader = openai_chat.stream_reader


def is_request(request: Mapping[str, Any], model: str) -> bool:
    """Tell whether an object is a request of this API."""
    return "question" in request


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request."""
    request = decode_object(body)
    if "question" not in request:
        raise BadRequest("question is missing", "question")
    return RequestFacts(model=path_model or "", output_max=request.get("cap"))


def read_content(body: bytes) -> Content:
    """Return everything that the model will read."""
    return Content((str(decode_object(body)["question"]),), messages=1)


def rewrite(body: bytes, change: RequestChange) -> bytes:
    """Return the body with the cap replaced."""
    return body if change.output_max is None else replace_fields(body, {"cap": change.output_max})


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage."""
    answer = as_dict(parse(body))
    return read_raw(encoded([answer.get("used")])[0], rows, Provenance(answer.get("model")))


def answer_text(body: bytes) -> str:
    """Return the output text."""
    return str(as_dict(parse(body)).get("reply", ""))


def error(refusal: Refusal) -> bytes:
    """Return the body of an error answer."""
    return msgspec.json.encode({"wrong": refusal.message})


def stream_error(refusal: Refusal) -> bytes:
    """Return the event that ends a stream."""
    return b"data: %b\n\n" % error(refusal)
