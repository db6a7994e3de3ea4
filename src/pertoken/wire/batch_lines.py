"""Lines of batch results: each wraps an answer in an object that names its request.

The formats are OpenAI's, Mistral's and Groq's batch output files, Anthropic's Message Batches results, Gemini's batch
results, and Bedrock's batch inference output, each by its API reference; 2026-11-27.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from pertoken.wire.content import as_dict, as_list, parse

_GEMINI = frozenset({"usageMetadata", "candidates", "promptFeedback"})


def answers(line: bytes) -> list[bytes]:
    """Return the answers, or the errors in their place, in a line of batch results; no entries for any other line."""
    return [msgspec.json.encode(one) for one in _answers(as_dict(parse(line))) if one]


def _answers(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    response, result = as_dict(line.get("response")), as_dict(line.get("result"))
    if "custom_id" in line:
        yield as_dict(response.get("body")) or as_dict(result.get("message")) or as_dict(result.get("error"))
    elif "modelOutput" in line:
        yield as_dict(line["modelOutput"])
    elif not _GEMINI.isdisjoint(response):
        yield response
    else:
        inlined = response.get("inlinedResponses")
        for one in as_list(as_dict(inlined).get("inlinedResponses", inlined)):
            yield as_dict(as_dict(one).get("response"))
