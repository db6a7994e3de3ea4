"""What the gateway charges where an answer tells only the parts or the traces of what costs money."""

from typing import Any

import pytest
from tests.services.stand_in import settled, whole

WEB = {"groundingMetadata": {"webSearchQueries": [], "groundingChunks": [{"web": {"uri": "u"}}]}}
SHELL = {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "c-1"}}
TOKENS = {"input_tokens": 10, "output_tokens": 5}
TOLD: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, int]]] = [
    (
        "a page without its query",
        "gemini.generate",
        {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        {"candidates": [{"finishReason": "STOP", **WEB}]},
        {"web_searches": 1},
    ),
    ("a shell", "openai.responses", TOKENS, {"output": [{"type": "shell_call"}]}, {"code_sessions": 1}),
    ("a shell used twice", "openai.responses", TOKENS, {"output": [SHELL, SHELL]}, {"code_sessions": 1}),
    (
        "a shell at the client",
        "openai.responses",
        TOKENS,
        {"output": [{"type": "shell_call", "environment": {"type": "local"}}]},
        {"code_sessions": 0},
    ),
    (
        "writes by their age alone",
        "anthropic.messages",
        {**TOKENS, "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 7}},
        {},
        {"input_tokens": 1017, "cache_write_tokens": 1007, "cache_write_1h_tokens": 7},
    ),
]


@pytest.mark.parametrize(("api", "usage", "fields", "found"), [one[1:] for one in TOLD], ids=[one[0] for one in TOLD])
def test_what_is_told_by_its_parts_is_charged(
    api: str, usage: dict[str, Any], fields: dict[str, Any], found: dict[str, int]
) -> None:
    """A total that is left out is what its parts make, and what left a trace was used."""
    provider = {"gemini.generate": "google", "anthropic.messages": "anthropic"}.get(api, "openai")
    event = settled(api, provider, whole(api, usage, **fields))

    assert {unit: event.quantities.get(unit, 0) for unit in found} == found
    assert {unit for unit, _, _, _ in event.lines} >= {unit for unit, many in found.items() if many}
