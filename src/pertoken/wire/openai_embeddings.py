"""OpenAI embeddings. https://platform.openai.com/docs/api-reference/embeddings, as read on 2026-11-23."""

from typing import Any

import msgspec

from pertoken.core.usage import Reading
from pertoken.wire import openai_chat, openai_errors, usage_table
from pertoken.wire.body import decode, decode_object, optional_text, replace_fields
from pertoken.wire.content import collect_text
from pertoken.wire.format import Change, Content, RequestFacts

name = "openai.embeddings"

error = openai_errors.error
stream_error = openai_errors.stream_error
stream_reader = openai_chat.stream_reader


class _Request(msgspec.Struct):
    model: str
    input: msgspec.Raw
    user: Any = None


_request = msgspec.json.Decoder(_Request)


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:  # noqa: ARG001 - the model is in the body
    """Return the facts of a request. Raises BadRequest when it is none."""
    request = decode(_request, body)
    return RequestFacts(model=request.model, output_max=0, user=optional_text(request.user))


def read_content(body: bytes) -> Content:
    """Return everything the model will read; a token id given as a number stands as one letter: one token."""
    texts: list[str] = []
    given = decode_object(body).get("input")
    collect_text(given, texts)
    texts += ["a"] * _numbers(given)
    return Content(tuple(texts))


def rewrite(body: bytes, change: Change) -> bytes:
    """Return `body` with only the model written anew, where `change` names one."""
    return replace_fields(body, {} if change.model is None else {"model": change.model})


def read_answer(body: bytes) -> Reading:
    """Return what a whole answer says about usage: its output is no tokens."""
    reading = openai_chat.read_answer(body)
    if reading.quantities is None:
        return reading
    return usage_table.believe(
        {"input_tokens": reading.quantities["input_tokens"], "output_tokens": 0},
        completeness=reading.completeness,
        raw=reading.raw,
        model=reading.model,
        response_id=reading.response_id,
    )


def answer_text(body: bytes) -> str:  # noqa: ARG001 - vectors are no text
    """Return no text: what comes back are vectors."""
    return ""


def _numbers(value: object) -> int:
    if isinstance(value, list):
        return sum(_numbers(entry) for entry in value)
    return int(isinstance(value, int) and not isinstance(value, bool))
