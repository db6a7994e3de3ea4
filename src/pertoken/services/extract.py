"""Reading usage from a provider's answer, as `pertoken extract` answers it."""

from collections.abc import Mapping
from decimal import Decimal
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


COST_USD_MAX = 10**6  # a million dollars for one call is no cost

_decimal = msgspec.json.Decoder(float_hook=Decimal)  # exact: what is written as 0.1 is a tenth


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
        "usage": {**(reading.quantities or {}), **_reported_cost(reading.raw)},
    }


def _reported_cost(raw: bytes) -> dict[str, str]:
    """Return what the provider says the call cost, in USD, where it says so.

    OpenRouter: `cost`; Perplexity: `cost.total_cost`; xAI: `cost_in_usd_ticks`, of 10^-10 USD.
    """
    try:
        usage = _decimal.decode(raw or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(usage, dict):
        return {}
    cost, ticks = usage.get("cost"), usage.get("cost_in_usd_ticks")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if cost is None and isinstance(ticks, int):
        cost = Decimal(ticks).scaleb(-10)
    if isinstance(cost, bool) or not isinstance(cost, int | Decimal) or not 0 <= cost < COST_USD_MAX:
        return {}
    return {"reported_cost": format(Decimal(cost), "f")}


def _read_stream(wire_format: Format, data: bytes) -> Reading:
    reader = wire_format.stream_reader(RequestFacts(model=""))
    reader.feed(data)
    reader.feed(b"\n\n")
    reading = reader.reading()
    if reading.completeness is Completeness.FINAL and not reader.complete and not reading.quantities:
        return reading._replace(completeness=Completeness.PARTIAL)
    return reading
