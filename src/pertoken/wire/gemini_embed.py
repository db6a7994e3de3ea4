"""Gemini embedContent and batchEmbedContents: their answers carry no usage on most models, so it is counted."""

from pertoken.core.usage import Reading
from pertoken.wire import gemini_errors, gemini_generate
from pertoken.wire.body import decode_object
from pertoken.wire.content import collect_text
from pertoken.wire.format import Change, Content, RequestFacts

name = "gemini.embed"

error = gemini_errors.error
stream_error = gemini_errors.stream_error
stream_reader = gemini_generate.stream_reader


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request. Raises BadRequest when it is none."""
    decode_object(body)
    return RequestFacts(model=path_model or "", output_max=0)


def read_content(body: bytes) -> Content:
    """Return everything the model will read."""
    request = decode_object(body)
    texts: list[str] = []
    several = request.get("requests")
    for one in several if isinstance(several, list) else [request]:
        content = one.get("content") if isinstance(one, dict) else None
        parts = content.get("parts") if isinstance(content, dict) else content
        collect_text(parts, texts)
    return Content(tuple(texts))


def rewrite(body: bytes, change: Change) -> bytes:  # noqa: ARG001 - nothing can be changed
    """Return `body` as it is."""
    return body


def read_answer(body: bytes) -> Reading:
    """Return what a whole answer says about usage, where it says it."""
    return gemini_generate.read_answer(body)


def answer_text(body: bytes) -> str:  # noqa: ARG001 - vectors are no text
    """Return no text: what comes back are vectors."""
    return ""
