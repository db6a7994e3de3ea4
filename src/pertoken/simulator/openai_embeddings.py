"""Answers of OpenAI's embeddings."""

import base64
import struct
import zlib
from typing import Any

import msgspec

from pertoken.simulator import openai_chat
from pertoken.simulator.answers import GARBAGE, Reply, SimulatedCall, draft, gather
from pertoken.simulator.ledger import ServedTokens

DIMENSIONS = 16

error = openai_chat.error


def reply(asked: SimulatedCall) -> Reply:
    """Return a vector for each input."""
    request, behaviour = asked.request, asked.behaviour
    given = request.get("input")
    inputs = given if isinstance(given, list) and not all(isinstance(one, int) for one in given) else [given]
    made = draft(asked, gather(given, []), cap=None, reasons=False)
    size = request.get("dimensions") or DIMENSIONS
    packed = request.get("encoding_format") == "base64"
    vectors = [vector(repr(one), size, packed=packed) for one in inputs]
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
    used = ServedTokens(made.input_tokens)
    answer: dict[str, Any] = {"object": "list", "model": made.model, "data": data}
    if behaviour.fault == "garbage_usage":
        answer["usage"] = dict(GARBAGE)
    elif behaviour.fault != "no_usage":
        answer["usage"] = {"prompt_tokens": used.input_tokens, "total_tokens": used.input_tokens}
    return Reply(made.model, used, msgspec.json.encode(answer))


def vector(text: str, size: int, *, packed: bool = False) -> list[float] | str:
    """Return a vector made from a hash of the text, as numbers or as base64 of 32-bit floats."""
    seed = zlib.crc32(text.encode())
    numbers = [((seed >> (at % 24)) % 1000) / 1000 for at in range(size)]
    return base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode() if packed else numbers
