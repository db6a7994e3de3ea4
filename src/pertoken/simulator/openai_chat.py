"""Answers of OpenAI's chat completions."""

from typing import Any

import msgspec

from pertoken.simulator.answers import GARBAGE, AnswerPiece, Draft, Reply, SimulatedCall, draft, fit, gather, with_words
from pertoken.simulator.behaviour import Behaviour
from pertoken.simulator.ledger import ServedTokens

_encode = msgspec.json.encode


def reply(asked: SimulatedCall) -> Reply:
    """Return the answer to a chat request."""
    request, behaviour = asked.request, asked.behaviour
    texts = gather([request.get("messages"), request.get("tools"), request.get("functions")], [])
    cap = request.get("max_completion_tokens", request.get("max_tokens"))
    reasons = request.get("reasoning_effort") not in (None, "none")
    made = draft(asked, texts, cap=cap, reasons=reasons)
    message, call = _message(request, made)
    if call is not None:
        made = with_words(made, call["function"]["arguments"])
    elif message["content"] != made.text:
        made = with_words(made, message["content"])
    choices = request.get("n") or 1
    used = ServedTokens(
        made.input_tokens, made.cached_tokens, 0, made.output_tokens * choices, made.reasoning_tokens * choices
    )
    usage = _usage(used, behaviour)
    finish = "tool_calls" if call is not None else "length" if made.capped else "stop"
    tier = {"service_tier": behaviour.service_tier or "default"}
    head = {"id": f"chatcmpl-{made.ident}", "created": 1_700_000_000, "model": made.model, **tier}
    listed = [{"index": at, "message": message, "finish_reason": finish, "logprobs": None} for at in range(choices)]
    whole = {**head, "object": "chat.completion", "choices": listed, **({} if usage is None else {"usage": usage})}
    pieces = _pieces(request, made, call, head, finish, usage, behaviour) if request.get("stream") else ()
    return Reply(made.model, used, _encode(whole), pieces)


def error(status: int, message: str) -> bytes:
    """Return an error body as OpenAI writes it."""
    kind = {401: "authentication_error", 429: "rate_limit_exceeded", 400: "invalid_request_error"}.get(status)
    return _encode({"error": {"message": message, "type": kind or "server_error", "param": None, "code": None}})


def _message(request: dict[str, Any], made: Draft) -> tuple[dict[str, Any], dict[str, Any] | None]:
    message: dict[str, Any] = {"role": "assistant", "content": made.text, "refusal": None}
    asked = request.get("response_format") or {}
    if asked.get("type") == "json_schema":
        message["content"] = _encode(fit(asked["json_schema"].get("schema"))).decode()
    elif asked.get("type") == "json_object":
        message["content"] = '{"answer":"amber"}'
    answered = any(one.get("role") == "tool" for one in request.get("messages") or () if isinstance(one, dict))
    tools = request.get("tools")
    if not tools or answered or request.get("tool_choice") == "none":
        return message, None
    function = tools[0].get("function", {})
    arguments = _encode(fit(function.get("parameters"))).decode()
    call = {
        "id": f"call_{made.ident}",
        "type": "function",
        "function": {"name": function.get("name", "tool"), "arguments": arguments},
    }
    return {**message, "content": None, "tool_calls": [call]}, call


def _usage(used: ServedTokens, behaviour: Behaviour) -> dict[str, Any] | None:
    if behaviour.fault == "no_usage":
        return None
    if behaviour.fault == "garbage_usage":
        return dict(GARBAGE)
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens, "audio_tokens": 0},
        **behaviour.cost,
    }


def _pieces(  # noqa: PLR0917 - one call site, each a part of the same chunk
    request: dict[str, Any],
    made: Draft,
    call: dict[str, Any] | None,
    head: dict[str, Any],
    finish: str,
    usage: dict[str, Any] | None,
    behaviour: Behaviour,
) -> tuple[AnswerPiece, ...]:
    asked = (request.get("stream_options") or {}).get("include_usage")
    null = {"usage": None} if asked else {}

    def chunk(at: int, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": at, "delta": delta, "finish_reason": reason}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice], **null})

    pieces = []
    for at in range(request.get("n") or 1):
        pieces.append(AnswerPiece(chunk(at, {"role": "assistant", "content": ""}), made.reasoning_tokens))
        if call is not None:
            begun = {"index": 0, **call, "function": {**call["function"], "arguments": ""}}
            pieces.append(AnswerPiece(chunk(at, {"tool_calls": [begun]})))
        for word in made.words:
            argued = {"tool_calls": [{"index": 0, "function": {"arguments": word}}]}
            delta = {"content": word} if call is None else argued
            pieces.append(AnswerPiece(chunk(at, delta), 1))
        pieces.append(AnswerPiece(chunk(at, {}, finish)))
    if asked and usage is not None:
        last = _event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        pieces += [AnswerPiece(last)] * (2 if behaviour.fault == "double_usage" else 1)
    return (*pieces, AnswerPiece(b"data: [DONE]\n\n"))


def _event(value: object) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
