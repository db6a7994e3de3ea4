"""Answers of Gemini's generateContent and streamGenerateContent."""

from typing import Any

import msgspec

from pertoken.simulator.answers import GARBAGE, AnswerPiece, Draft, Reply, SimulatedCall, draft, fit, gather, with_words
from pertoken.simulator.behaviour import Behaviour
from pertoken.simulator.ledger import ServedTokens

_encode = msgspec.json.encode


def reply(asked: SimulatedCall) -> Reply:
    """Return the answer. A stream has the form of events if the query says alt=sse, otherwise of one JSON array."""
    request, behaviour, events = asked.request, asked.behaviour, b"alt=sse" in asked.query
    texts = gather([request.get("contents"), request.get("systemInstruction"), request.get("tools")], [])
    config = request.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or {}
    thinks = thinking.get("thinkingBudget", thinking.get("thinking_budget", 0)) != 0
    made = draft(asked, texts, cap=config.get("maxOutputTokens"), reasons=thinks)
    made, parts = _parts(request, config, made)
    used = ServedTokens(made.input_tokens, made.cached_tokens, 0, made.output_tokens, made.reasoning_tokens)
    reason = "MAX_TOKENS" if made.capped else "STOP"
    whole = _answer(made, parts, reason, made.output_tokens, behaviour)
    steps = [] if "functionCall" in parts[0] else [(word, at + 1) for at, word in enumerate(made.words[:-1])]
    last = parts if "functionCall" in parts[0] else [{"text": made.words[-1] if made.words else ""}]
    chunks = [_answer(made, [{"text": word}], None, made.reasoning_tokens + at, behaviour) for word, at in steps]
    chunks.append(_answer(made, last, reason, made.output_tokens, behaviour))
    tokens = [1] * len(steps) + [made.output_tokens - len(steps)]
    pieces = tuple(
        AnswerPiece(_framed(chunk, at, len(chunks), events=events), count)
        for at, (chunk, count) in enumerate(zip(chunks, tokens, strict=True))
    )
    kind = b"text/event-stream" if events else b"application/json"
    return Reply(made.model, used, _encode(whole), pieces, kind)


def error(status: int, message: str) -> bytes:
    """Return an error body as Google writes it."""
    kind = {401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT"}.get(status, "INTERNAL")
    return _encode({"error": {"code": status, "message": message, "status": kind}})


def _parts(request: dict[str, Any], config: dict[str, Any], made: Draft) -> tuple[Draft, list[dict[str, Any]]]:
    functions = [function for tool in request.get("tools") or () for function in tool.get("functionDeclarations") or ()]
    if functions and b'"functionResponse"' not in _encode(request.get("contents")):
        names = ("parameters", "parametersJsonSchema", "parameters_json_schema")
        schema = next((functions[0][name] for name in names if functions[0].get(name)), {"type": "object"})
        filled = fit(schema)
        made = with_words(made, _encode(filled).decode())
        return made, [{"functionCall": {"name": functions[0]["name"], "args": filled}}]
    schema = config.get("responseSchema") or config.get("responseJsonSchema")
    if schema is not None:
        made = with_words(made, _encode(fit(schema)).decode())
    return made, [{"text": made.text}]


def _answer(
    made: Draft, parts: list[dict[str, Any]], reason: str | None, output: int, behaviour: Behaviour
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    answer: dict[str, Any] = {"candidates": [candidate], "modelVersion": made.model, "responseId": made.ident}
    if behaviour.fault == "garbage_usage":
        answer["usageMetadata"] = dict(GARBAGE)
    elif behaviour.fault != "no_usage":
        answer["usageMetadata"] = {
            "promptTokenCount": made.input_tokens,
            "candidatesTokenCount": output - made.reasoning_tokens,
            "totalTokenCount": made.input_tokens + output,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": made.input_tokens}],
            **({"cachedContentTokenCount": made.cached_tokens} if made.cached_tokens else {}),
            **({"thoughtsTokenCount": made.reasoning_tokens} if made.reasoning_tokens else {}),
            **({"serviceTier": behaviour.service_tier} if behaviour.service_tier else {}),
        }
    return answer


def _framed(chunk: dict[str, Any], at: int, count: int, *, events: bool) -> bytes:
    if events:
        return b"data: " + _encode(chunk) + b"\r\n\r\n"
    return (b"[" if at == 0 else b",\r\n") + _encode(chunk) + (b"]" if at == count - 1 else b"")
