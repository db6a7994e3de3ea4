"""Leaves: every token once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.units import DIMENSIONS, UNITS
from pertoken.core.usage import Contradiction, leaves, tokens_total


@pytest.mark.parametrize(
    ("quantities", "expected"),
    [
        ({"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400},
         {"input_tokens": 200, "cache_read_tokens": 2_000, "cache_write_tokens": 400}),
        ({"input_tokens": 6_100, "cache_read_tokens": 5_000, "cache_write_tokens": 1_000, "cache_write_1h_tokens": 400},
         {"input_tokens": 100, "cache_read_tokens": 5_000, "cache_write_tokens": 600, "cache_write_1h_tokens": 400}),
        ({"output_tokens": 300, "reasoning_tokens": 200}, {"output_tokens": 100, "reasoning_tokens": 200}),
        ({"input_tokens": 100, "input_audio_tokens": 60, "cache_read_tokens": 50, "cache_read_audio_tokens": 30},
         {"input_tokens": 20, "input_audio_tokens": 30, "cache_read_tokens": 20, "cache_read_audio_tokens": 30}),
        ({"input_tokens": 0, "output_tokens": 0}, {}),
        ({"web_searches": 2}, {"web_searches": 2}),
        ({"cache_read_tokens": 7}, {"cache_read_tokens": 7}),
        ({"input_tokens": 10, "cache_write_1h_tokens": 4}, {"input_tokens": 6, "cache_write_1h_tokens": 4}),
        ({"input_tokens": 10, "cache_read_tokens": 10}, {"cache_read_tokens": 10}),
        ({}, {}),
    ],
)  # fmt: skip
def test_leaves(quantities: dict[str, int], expected: dict[str, int]) -> None:
    """What lies inside a unit is taken out of it; zero leaves are left out."""
    assert leaves(quantities) == expected


@pytest.mark.parametrize(
    "quantities",
    [
        {"input_tokens": 10, "cache_read_tokens": 11},
        {"input_tokens": 10, "cache_read_tokens": 6, "cache_write_tokens": 5},
        {"output_tokens": 1, "reasoning_tokens": 2},
        {"cache_write_tokens": 3, "cache_write_1h_tokens": 4},
        {"input_tokens": 0, "cache_read_tokens": 1},
        {"input_audio_tokens": 1, "cache_read_audio_tokens": 2},
        {"input_tokens": 9, "cache_write_1h_tokens": 10},
        {"input_tokens": -1},
        {"input_tokens": 5, "cache_read_tokens": -1},
        {"web_searches": -2},
    ],
)
def test_a_part_above_its_total_is_a_contradiction(quantities: dict[str, int]) -> None:
    """Parts that exceed their total are never clamped."""
    with pytest.raises(Contradiction):
        leaves(quantities)


@given(st.dictionaries(st.sampled_from(UNITS), st.integers(0, 10**9)))
def test_leaves_sum_back_to_the_totals(parts: dict[str, int]) -> None:
    """Totals built by adding every leaf to all that contain it give those leaves back, and nothing else."""
    inclusive = {
        unit: sum(quantity for leaf, quantity in parts.items() if DIMENSIONS[leaf] >= DIMENSIONS[unit])
        for unit in UNITS
    }

    assert leaves(inclusive) == {unit: quantity for unit, quantity in parts.items() if quantity}


def test_tokens_total() -> None:
    """A budget on tokens counts all input and all output, parts not again."""
    assert tokens_total({"input_tokens": 5, "cache_read_tokens": 3, "output_tokens": 2, "web_searches": 9}) == 7


def test_a_contradiction_says_what_contradicts_what() -> None:
    """Whoever looks at a parked record sees the total and its parts."""
    with pytest.raises(Contradiction, match=r"^input_tokens 10 is less than its parts: cache_read_tokens 11$"):
        leaves({"input_tokens": 10, "cache_read_tokens": 11})


def test_parts_that_overlap_are_no_contradiction() -> None:
    """Sixty audio tokens and fifty cached ones, of a hundred, overlap by ten at least: neither part exceeds its total.

    OpenAI's chat format reports exactly this: cached tokens are not split by modality.
    """
    assert sum(leaves({"input_tokens": 100, "input_audio_tokens": 60, "cache_read_tokens": 50}).values()) == 100
