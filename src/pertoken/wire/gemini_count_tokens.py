"""Gemini's token counting: a free helper call, passed through."""

from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Reading
from pertoken.wire import gemini_family, gemini_generate, usage_reading
from pertoken.wire.body import decode_object
from pertoken.wire.format import RequestChange
from pertoken.wire.usage_table import UsageTable

name = "gemini.count_tokens"

USAGE = gemini_generate.USAGE

read_content = gemini_generate.read_content
error = gemini_family.error
stream_error = gemini_family.stream_error
answer_text = gemini_generate.answer_text
stream_reader = gemini_generate.stream_reader


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request, marked as free. Raises BadRequest if the body is not a request of this API."""
    decode_object(body)
    return RequestFacts(model=path_model or "", bills=False)


def rewrite(body: bytes, change: RequestChange) -> bytes:  # noqa: ARG001 - nothing can be changed
    """Return `body` unchanged."""
    return body


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:  # noqa: ARG001 - nothing is used
    """Return a reading without usage: the call is free."""
    return usage_reading.missing()
