"""Words become tokens by a rule that is wrong by a measured amount."""

import pytest

from pertoken.counting.words import from_tokens, from_words, kinds


@pytest.mark.parametrize(
    ("kind", "tokens"), [("prose", 1_075), ("technical", 1_408), ("german", 1_299), ("code", 1_667), ("json", 2_174)]
)
def test_words(kind: str, tokens: int) -> None:
    """The rule says 1,000 tokens for 750 words; what was measured of the kind says more."""
    assert from_words(750, kinds()[kind]) == (750, 1_000, tokens)
    assert from_tokens(tokens, kinds()[kind]) == (750, 1_000, tokens)


def test_kinds_without_words() -> None:
    """Records, hex, base64 and digits have no words to speak of, but bytes a token."""
    wordless = [name for name, kind in kinds().items() if kind.error_percent is None]

    assert wordless == ["records", "hex", "base64", "digits"]
    assert [from_words(750, kinds()[name]) or from_tokens(9, kinds()[name]) for name in wordless] == [None] * 4
    assert all(kind.bytes_per_token > 1 and kind.corpus for kind in kinds().values())
