"""Answers of Gemini's embeddings, one or several."""

import msgspec

from pertoken.simulator import gemini_generate
from pertoken.simulator.answers import Reply, SimulatedCall, counted, gather
from pertoken.simulator.ledger import ServedTokens
from pertoken.simulator.openai_embeddings import DIMENSIONS, vector

error = gemini_generate.error


def reply(asked: SimulatedCall) -> Reply:
    """Return a vector for each content. Like the real answer, it has no usage."""
    several = asked.request.get("requests")
    inputs = several if isinstance(several, list) else [asked.request]
    texts = [text for one in inputs for text in gather((one.get("content") or {}).get("parts"), [])]
    sizes = [one.get("outputDimensionality") or DIMENSIONS for one in inputs]
    vectors = [{"values": vector(repr(one), size)} for one, size in zip(inputs, sizes, strict=True)]
    answer = {"embeddings": vectors} if several is not None else {"embedding": vectors[0]}
    return Reply(asked.model, ServedTokens(counted(asked, texts)), msgspec.json.encode(answer))
