"""The answers of a made-up format, as `simulator/made_up.py` would be."""

import msgspec

from pertoken.simulator.answers import Reply, SimulatedCall, draft
from pertoken.simulator.ledger import ServedTokens


def reply(asked: SimulatedCall) -> Reply:
    """Return the answer to a question."""
    made = draft(asked, [str(asked.request["question"])], cap=asked.request.get("cap"), reasons=False)
    used = {"read": made.input_tokens, "wrote": made.output_tokens}
    body = {"model": made.model, "reply": made.text, "used": used}
    return Reply(made.model, ServedTokens(made.input_tokens, 0, 0, made.output_tokens), msgspec.json.encode(body))


def error(status: int, message: str) -> bytes:
    """Return an error body."""
    return msgspec.json.encode({"wrong": message})
