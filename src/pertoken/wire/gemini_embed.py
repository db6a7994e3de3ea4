"""Gemini embedContent and batchEmbedContents. For most models the answers carry no usage, so pertoken counts it."""

from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Completeness, Reading
from pertoken.wire import gemini_family, gemini_generate
from pertoken.wire.body import decode_object
from pertoken.wire.content import as_dict, collect_text
from pertoken.wire.format import BadRequest, Content, RequestChange
from pertoken.wire.usage_table import UsageTable

name = "gemini.embed"

USAGE = gemini_generate.USAGE

error = gemini_family.error
stream_error = gemini_family.stream_error
stream_reader = gemini_generate.stream_reader


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request. Raises BadRequest if the body is not a request of this API."""
    request = decode_object(body)
    if not isinstance(request.get("requests", request.get("content")), dict | list | str):
        raise BadRequest("content or requests is missing", "content")
    return RequestFacts(model=path_model or "", output_max=0, has_media=gemini_generate.has_media(body))


def read_content(body: bytes) -> Content:
    """Return everything that the model will read. Raises BadRequest if the body is not a request."""
    request = decode_object(body)
    texts: list[str] = []
    media: list[Media] = []
    several = request.get("requests")
    asked = several if isinstance(several, list) else [request]
    for one in asked:
        collect_text(as_dict(one).get("title"), texts)
        gemini_generate.collect_content(as_dict(one).get("content"), texts, media)
    return Content(tuple(texts), messages=len(asked), media=tuple(media))


def rewrite(body: bytes, change: RequestChange) -> bytes:  # noqa: ARG001 - nothing can be changed
    """Return `body` unchanged."""
    return body


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:
    """Return what a whole answer says about usage. If it reports input, the output is zero tokens."""
    reading = gemini_generate.read_answer(body, rows)
    quantities = reading.quantities or {}
    if "input_tokens" in quantities and "output_tokens" not in quantities:
        return reading._replace(quantities={**quantities, "output_tokens": 0}, completeness=Completeness.FINAL)
    return reading


def answer_text(body: bytes) -> str:  # noqa: ARG001 - vectors are no text
    """Return an empty string: the answer holds vectors, not text."""
    return ""
