import pytest

from pertoken.core.bounds import covers

BOUND = {"input_tokens": 100, "input_image_tokens": 50, "output_tokens": 20, "web_searches": 1}


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ({}, True),
        ({"input_tokens": 150, "output_tokens": 20, "web_searches": 1}, True),
        ({"input_tokens": 120, "input_image_tokens": 60, "cache_read_tokens": 120}, True),
        ({"output_tokens": 20, "reasoning_tokens": 20}, True),
        ({"input_tokens": 151}, False),
        ({"output_tokens": 21}, False),
        ({"web_searches": 2}, False),
        ({"file_searches": 1}, False),
        ({"file_searches": 0}, True),
        ({"input_tokens": 10, "input_audio_tokens": 1}, False),
        ({"input_tokens": 10, "cache_read_audio_tokens": 1}, False),
        ({"output_tokens": 10, "output_audio_tokens": 1}, False),
        ({"input_tokens": 10, "cache_read_image_tokens": 1}, True),
    ],
)
def test_what_was_used_lies_within_what_was_held_for(used: dict[str, int], expected: bool) -> None:
    """Totals of both sides, each modality, and everything that is counted apart must have been held for."""
    assert covers(BOUND, used) is expected
