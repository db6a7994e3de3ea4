"""Pictures and sounds are bounded by the providers' own size rules."""

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pertoken.core import media
from pertoken.core.bounds import FAMILIES, family_of, image_rules, media_bound
from pertoken.core.media import Media

Rounding = Callable[[float], int]
SIDES = st.integers(1, 30_000)
MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5.4", "o3", "gpt-6-sol", "claude-opus-4-6", "claude-opus-5",
          "gemini-2.5-pro", "gemini-3-pro", "llama-3.2-90b-vision", "unheard-of"]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        # OpenAI's own examples, and pictures whose bills were measured by others.
        ("gpt-4o", 1024, 1024, "high", 765),
        ("gpt-4o", 2048, 4096, "high", 1_105),
        ("gpt-4o", 4096, 8192, "low", 85),
        ("gpt-4o", 128, 64, None, 255),
        ("gpt-4o-mini", 128, 64, "low", 2_833),
        ("gpt-4o-mini", 128, 64, "high", 8_500),
        ("o3", 128, 64, "high", 225),
        ("gpt-4.1-mini", 128, 64, "low", 13),
        ("gpt-4.1-nano", 128, 64, "high", 20),
        ("o4-mini", 1024, 1024, None, 1_762),
        ("gpt-4.1-mini", 1800, 2400, None, 2_489),  # 1,536 patches at most
        ("gpt-5", 1024, 1024, None, 630),
        ("openai/gpt-4o-2024-08-06", 1024, 1024, "auto", 765),
        # Anthropic's table: 1,334 and 1,590 by area, at most about 1,600, later 4,784.
        ("claude-3-7-sonnet-latest", 1000, 1000, None, 1_334),
        ("claude-sonnet-4-5", 1092, 1092, None, 1_590),
        ("claude-sonnet-4-5", 8000, 8000, None, 1_600),
        ("claude-opus-4-8", 8000, 8000, None, 4_784),
        ("claude-opus-4-8", 28, 2800, None, 92),  # scaled to 2,576 px: one row of 92 patches
        # Google's: one tile up to 384 px; a larger one never less than nine and one.
        ("gemini-2.5-pro", 384, 384, None, 258),
        ("gemini-2.0-flash", 385, 100, None, 2_580),
        ("gemini-2.5-flash", 3072, 3072, None, 4_386),
        ("gemini-3-pro-preview", 10, 10, None, 2_240),
        ("llama-4-maverick", 10, 10, None, 50_000),
        ("gpt-6-sol", 10, 10, "low", 48_169),
    ],
)
def test_pictures(model: str, width: int, height: int, detail: str | None, tokens: int) -> None:
    """A picture is bounded by its size where the model's rule is known."""
    assert media.image_bound(image_rules(model, family_of(model)), width, height, detail) == tokens


@given(st.sampled_from(MODELS), SIDES, SIDES, st.sampled_from([None, "auto", "high", "low"]))
def test_an_unknown_size_is_the_largest(model: str, width: int, height: int, detail: str | None) -> None:
    """No picture costs more than one whose size is not known, turned or not."""
    rules = image_rules(model, family_of(model))
    tokens = media.image_bound(rules, width, height, detail)

    assert 0 < tokens <= media.image_bound(rules, None, None, detail)
    assert tokens == media.image_bound(rules, height, width, detail)


@given(SIDES, SIDES, st.sampled_from([int, round, math.ceil]), st.sampled_from([int, round, math.ceil]))
@example(2956, 11808, math.ceil, int)  # 513 pixels begin a second row of tiles
def test_openai_tiles_with_every_rounding(width: int, height: int, first: Rounding, second: Rounding) -> None:
    """However a server rounds the sides it scales, it makes no more tiles than the bound."""
    long, short = max(width, height), min(width, height)
    if long > 2048:
        long, short = 2048, max(1, first(short * 2048 / long))
    if short > 768:
        long, short = second(long * 768 / short), 768

    assert 85 + 170 * math.ceil(long / 512) * math.ceil(short / 512) <= media.Tiles(85, 170).bound(width, height, None)


def test_sounds() -> None:
    """A sound is bounded by its duration, else by its bytes, and a link by the context window."""

    def bound(family: str, **known: int | None) -> dict[str, int]:
        item = Media("audio", **{"data_bytes": None, **known})
        return media_bound((item, item), FAMILIES[family], 100_000, "m")

    assert bound("gemini", data_bytes=10**9, duration_us=10_000_001) == {"input_audio_tokens": 2 * 322}
    assert bound("o200k", data_bytes=1_001) == {"input_audio_tokens": 2 * 61}
    assert bound("other", duration_us=0) == {"input_audio_tokens": 2}
    assert bound("claude") == {"input_audio_tokens": 100_000}


@pytest.mark.parametrize(("kind", "unit"), [("video", "input_video_tokens"), ("file", "input_tokens")])
def test_what_cannot_be_sized_fills_the_window(kind: str, unit: str) -> None:
    """A video's length and a document's pages cannot be told from bytes."""
    assert media_bound((Media(kind, 9), Media(kind, None)), FAMILIES["gemini"], 9_000, "m") == {unit: 9_000}
