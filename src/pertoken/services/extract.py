"""Reading usage from a provider's answer, as `pertoken extract` answers it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pertoken.core.usage import Completeness, Reading
from pertoken.wire import anthropic_messages, gemini_generate, openai_chat, openai_embeddings, openai_responses
from pertoken.wire.format import Format, RequestFacts

APIS: Mapping[str, Format] = {
    "openai.chat": openai_chat,
    "openai.responses": openai_responses,
    "openai.embeddings": openai_embeddings,
    "anthropic.messages": anthropic_messages,
    "gemini.generate": gemini_generate,
}


class CannotExtract(ValueError):
    """A line names no known API, has no answer, or its usage contradicts itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def extract_usage(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return model, service tier, completeness and usage of one answer. Raises CannotExtract."""
    api = fields.get("api")
    wire_format = APIS.get(api) if isinstance(api, str) else None
    if wire_format is None:
        raise CannotExtract("unknown_api", f"unknown api {api!r}; known: {', '.join(APIS)}")
    if isinstance(fields.get("sse"), str):
        reading = _read_stream(wire_format, fields["sse"].encode())
    elif isinstance(fields.get("body"), dict):
        reading = wire_format.read_answer(msgspec.json.encode(fields["body"]))
    else:
        raise CannotExtract("invalid_line", "the line needs body (an object) or sse (a text)")
    if reading.contradiction is not None:
        raise CannotExtract("contradictory_usage", reading.contradiction)
    return {
        "model": reading.model,
        "service_tier": reading.service_tier,
        "completeness": str(reading.completeness),
        "usage": dict(reading.quantities or {}),
    }


def _read_stream(wire_format: Format, data: bytes) -> Reading:
    reader = wire_format.stream_reader(RequestFacts(model=""))
    reader.feed(data)
    reader.feed(b"\n\n")
    reading = reader.reading()
    if reading.completeness is Completeness.FINAL and not reader.complete and not reading.quantities:
        return reading._replace(completeness=Completeness.PARTIAL)
    return reading
