"""Answers of Gemini's token counting."""

import msgspec

from pertoken.simulator import gemini_generate
from pertoken.simulator.answers import Reply, SimulatedCall, counted, gather

error = gemini_generate.error


def reply(asked: SimulatedCall) -> Reply:
    """Return the count of a request's input."""
    tokens = counted(asked, gather(asked.request, []))
    return Reply(asked.model, None, msgspec.json.encode({"totalTokens": tokens}))
