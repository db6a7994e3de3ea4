"""Answers of OpenAI's Responses API."""

from typing import Any

import msgspec

from pertoken.simulator import openai_chat
from pertoken.simulator.answers import GARBAGE, AnswerPiece, Draft, Reply, SimulatedCall, draft, fit, gather, with_words
from pertoken.simulator.behaviour import Behaviour
from pertoken.simulator.ledger import ServedTokens

error = openai_chat.error

_encode = msgspec.json.encode


def reply(asked: SimulatedCall) -> Reply:
    """Return the answer to a Responses request."""
    request, behaviour = asked.request, asked.behaviour
    texts = gather([request.get("input"), request.get("instructions"), request.get("tools")], [])
    cap = request.get("max_output_tokens")
    reasons = bool((request.get("reasoning") or {}).get("effort"))
    made = draft(asked, texts, cap=cap, reasons=reasons)
    made, item = _item(request, made)
    used = ServedTokens(made.input_tokens, made.cached_tokens, 0, made.output_tokens, made.reasoning_tokens)
    usage = _usage(used, behaviour)
    status = "incomplete" if made.capped else "completed"
    head = {
        "id": f"resp_{made.ident}",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": made.model,
        "service_tier": behaviour.service_tier or "default",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if made.capped else None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
    }
    whole = {**head, "status": status, "output": [item], "usage": usage}
    pieces = _pieces(made, item, head, whole, behaviour) if request.get("stream") else ()
    return Reply(made.model, used, _encode(whole), pieces)


def _item(request: dict[str, Any], made: Draft) -> tuple[Draft, dict[str, Any]]:
    functions = [tool for tool in request.get("tools") or () if tool.get("type") == "function"]
    given = request.get("input")
    listed = given if isinstance(given, list) else []
    answered = any(isinstance(one, dict) and one.get("type") == "function_call_output" for one in listed)
    if functions and not answered:
        made = with_words(made, _encode(fit(functions[0].get("parameters"))).decode())
        call = {"type": "function_call", "id": f"fc_{made.ident}", "call_id": f"call_{made.ident}"}
        return made, {**call, "status": "completed", "name": functions[0].get("name"), "arguments": made.text}
    asked = (request.get("text") or {}).get("format") or {}
    if asked.get("type") == "json_schema":
        made = with_words(made, _encode(fit(asked.get("schema"))).decode())
    content = [{"type": "output_text", "text": made.text, "annotations": []}]
    return made, {
        "id": f"msg_{made.ident}", "type": "message", "role": "assistant", "status": "completed", "content": content,
    }  # fmt: skip


def _usage(used: ServedTokens, behaviour: Behaviour) -> dict[str, Any] | None:
    if behaviour.fault == "no_usage":
        return None
    if behaviour.fault == "garbage_usage":
        return {**GARBAGE, "output_tokens": "many"}
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {"cached_tokens": used.cache_read_tokens},
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
        **behaviour.cost,
    }


def _pieces(
    made: Draft, item: dict[str, Any], head: dict[str, Any], whole: dict[str, Any], behaviour: Behaviour
) -> tuple[AnswerPiece, ...]:
    begun: dict[str, Any] = {**head, "status": "in_progress", "output": [], "usage": None}
    is_call = item["type"] == "function_call"
    empty: dict[str, Any] = {**item, "status": "in_progress", **({"arguments": ""} if is_call else {"content": []})}
    where = {"item_id": item["id"], "output_index": 0}
    events: list[tuple[dict[str, Any], int]] = [
        ({"type": "response.created", "response": begun}, 0),
        ({"type": "response.in_progress", "response": begun}, made.reasoning_tokens),
        ({"type": "response.output_item.added", "output_index": 0, "item": empty}, 0),
    ]
    kind = "response.function_call_arguments" if is_call else "response.output_text"
    if is_call:
        done = {"type": f"{kind}.done", **where, "arguments": made.text, "name": item["name"]}
        events += [({"type": f"{kind}.delta", **where, "delta": word}, 1) for word in made.words]
        events.append((done, 0))
    else:
        part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
        where = {**where, "content_index": 0}
        events.append(({"type": "response.content_part.added", **where, "part": part}, 0))
        events += [({"type": f"{kind}.delta", **where, "delta": word, "logprobs": []}, 1) for word in made.words]
        events.append(({"type": f"{kind}.done", **where, "text": made.text, "logprobs": []}, 0))
        events.append(({"type": "response.content_part.done", **where, "part": {**part, "text": made.text}}, 0))
    events.append(({"type": "response.output_item.done", "output_index": 0, "item": item}, 0))
    last = ({"type": f"response.{whole['status']}", "response": whole}, 0)
    events += [last] * (2 if behaviour.fault == "double_usage" else 1)
    return tuple(
        AnswerPiece(
            f"event: {event['type']}\ndata: ".encode() + _encode({**event, "sequence_number": at}) + b"\n\n", tokens
        )
        for at, (event, tokens) in enumerate(events)
    )
