"""Answers of Anthropic's token counting."""

import msgspec

from pertoken.simulator import anthropic_messages
from pertoken.simulator.answers import Reply, SimulatedCall, counted, gather

error = anthropic_messages.error


def reply(asked: SimulatedCall) -> Reply:
    """Return the count of a request's input."""
    request = asked.request
    tokens = counted(asked, gather([request.get("system"), request.get("messages"), request.get("tools")], []))
    return Reply(asked.model, None, msgspec.json.encode({"input_tokens": tokens}))
