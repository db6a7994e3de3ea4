"""What a usage object tells of how its tokens divide."""

import json
from typing import Any

import pytest
from tests.services.call.parts import request_of

from pertoken.core.usage import Completeness, Reading
from pertoken.services.call.divide import short_told, text_told


def reading(usage: Any) -> Reading:
    """Return the reading of a usage object."""
    return Reading({}, Completeness.FINAL, raw=json.dumps(usage).encode())


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        ({"completion_tokens_details": {"text_tokens": 7}}, {"output_tokens": 7}),
        ({"completion_tokens": 7}, {}),
        ([7], {}),
    ],
)
def test_text_is_told(usage: Any, text: dict[str, int]) -> None:
    """By side, where the provider's table has a field for it."""
    told = text_told(request_of(), reading(usage))

    assert {side: tokens for side, tokens in told.items() if tokens} == text


@pytest.mark.parametrize(
    ("usage", "short"),
    [
        ({"cache_creation": {"ephemeral_5m_input_tokens": 20}}, 20),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 20.0}}, 20),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 20.5}}, None),
        ({"cache_creation": {"ephemeral_5m_input_tokens": "20"}}, None),
        ({"cache_creation": {}}, None),
        ({"cache_creation": 20}, None),
        ([], None),
    ],
)
def test_how_much_is_kept_for_a_short_time(usage: Any, short: int | None) -> None:
    """It is a count, or nothing is told."""
    assert short_told(reading(usage)) == short
    assert short_told(reading(usage)._replace(raw=b"{")) is None
