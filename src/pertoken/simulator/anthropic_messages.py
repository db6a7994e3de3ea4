"""Answers of Anthropic's Messages API."""

from typing import Any

import msgspec

from pertoken.simulator.answers import GARBAGE, AnswerPiece, Draft, Reply, SimulatedCall, draft, fit, gather, with_words
from pertoken.simulator.behaviour import Behaviour
from pertoken.simulator.ledger import ServedTokens

_encode = msgspec.json.encode


def reply(asked: SimulatedCall) -> Reply:
    """Return the answer to a Messages request."""
    request, body, behaviour = asked.request, asked.body, asked.behaviour
    texts = gather([request.get("system"), request.get("messages"), request.get("tools")], [])
    thinks = (request.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    made = draft(asked, texts, cap=request.get("max_tokens"), reasons=thinks)
    made, blocks = _blocks(request, made)
    written = (made.input_tokens - made.cached_tokens) // 2 if b'"cache_control"' in body else 0
    used = ServedTokens(made.input_tokens, made.cached_tokens, written, made.output_tokens, made.reasoning_tokens)
    usage = _usage(used, behaviour, one_hour=b'"1h"' in body)
    reason = "tool_use" if blocks[-1]["type"] == "tool_use" else "max_tokens" if made.capped else "end_turn"
    head = {"id": f"msg_{made.ident}", "type": "message", "role": "assistant", "model": made.model}
    whole = {**head, "content": blocks, "stop_reason": reason, "stop_sequence": None, "usage": usage}
    if usage is None:
        del whole["usage"]
    pieces = _pieces(made, blocks, head, reason, usage, behaviour) if request.get("stream") else ()
    return Reply(made.model, used, _encode(whole), pieces)


def error(status: int, message: str) -> bytes:
    """Return an error body as Anthropic writes it."""
    kind = {401: "authentication_error", 429: "rate_limit_error", 400: "invalid_request_error"}.get(status, "api_error")
    return _encode({"type": "error", "error": {"type": kind, "message": message}})


def _blocks(request: dict[str, Any], made: Draft) -> tuple[Draft, list[dict[str, Any]]]:
    blocks: list[dict[str, Any]] = []
    if made.reasoning_tokens:
        blocks.append({"type": "thinking", "thinking": "hm " * made.reasoning_tokens, "signature": "c2ln"})
    answered = b'"tool_result"' in _encode(request.get("messages"))
    tools = [tool for tool in request.get("tools") or () if "input_schema" in tool]
    if tools and not answered and (request.get("tool_choice") or {}).get("type") != "none":
        filled = fit(tools[0]["input_schema"])
        made = with_words(made, _encode(filled).decode())
        blocks.append({"type": "tool_use", "id": f"toolu_{made.ident}", "name": tools[0]["name"], "input": filled})
    else:
        wanted = (request.get("output_config") or {}).get("format") or request.get("output_format") or {}
        schema = wanted.get("schema")
        if schema is not None:
            made = with_words(made, _encode(fit(schema)).decode())
        blocks.append({"type": "text", "text": made.text})
    return made, blocks


def _usage(used: ServedTokens, behaviour: Behaviour, *, one_hour: bool) -> dict[str, Any] | None:
    if behaviour.fault == "no_usage":
        return None
    if behaviour.fault == "garbage_usage":
        return {**GARBAGE, "output_tokens": "many"}
    written = used.cache_write_tokens
    return {
        "input_tokens": used.input_tokens - used.cache_read_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if one_hour else written,
            "ephemeral_1h_input_tokens": written if one_hour else 0,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"thinking_tokens": used.reasoning_tokens},
        "service_tier": behaviour.service_tier or "standard",
        **behaviour.cost,
    }


def _pieces(  # noqa: PLR0917 - one call site, each a part of the same stream
    made: Draft,
    blocks: list[dict[str, Any]],
    head: dict[str, Any],
    reason: str,
    usage: dict[str, Any] | None,
    behaviour: Behaviour,
) -> tuple[AnswerPiece, ...]:
    started = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
    started["usage"] = {"input_tokens": 0, "output_tokens": 1} if usage is None else {**usage, "output_tokens": 1}
    pieces = [_piece({"type": "message_start", "message": started}), _piece({"type": "ping"})]
    for at, block in enumerate(blocks):
        pieces.append(_piece({"type": "content_block_start", "index": at, "content_block": _empty(block)}))
        for delta, tokens in _deltas(block, made):
            pieces.append(_piece({"type": "content_block_delta", "index": at, "delta": delta}, tokens))
        pieces.append(_piece({"type": "content_block_stop", "index": at}))
    said = None if usage is None else {key: value for key, value in usage.items() if key != "cache_creation"}
    delta = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": said}
    if usage is None:
        del delta["usage"]
    pieces += [_piece(delta)] * (2 if behaviour.fault == "double_usage" else 1)
    return (*pieces, _piece({"type": "message_stop"}))


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {**block, "text": ""}
        case "thinking":
            return {**block, "thinking": "", "signature": ""}
    return {**block, "input": {}}


def _deltas(block: dict[str, Any], made: Draft) -> list[tuple[dict[str, Any], int]]:
    match block["type"]:
        case "text":
            return [({"type": "text_delta", "text": word}, 1) for word in made.words]
        case "thinking":
            thoughts = [({"type": "thinking_delta", "thinking": "hm "}, 1)] * made.reasoning_tokens
            return [*thoughts, ({"type": "signature_delta", "signature": "c2ln"}, 0)]
    return [({"type": "input_json_delta", "partial_json": word}, 1) for word in made.words]


def _piece(event: dict[str, Any], tokens: int = 0) -> AnswerPiece:
    return AnswerPiece(f"event: {event['type']}\ndata: ".encode() + _encode(event) + b"\n\n", tokens)
