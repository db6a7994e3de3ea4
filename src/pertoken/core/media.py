"""The most input tokens of a picture or a sound, by the providers' own size rules.

A bound, not an estimate: where a rule leaves a doubt (how a side is rounded, whether a picture is cut further), the
larger number is taken; where a picture's size or a model's rule is not known, the most that the provider allows.

Sources, all read on 2026-11-23:
- OpenAI, "Images and vision": tiles of 512 px after fitting 2,048 px and a shorter side of 768 px; patches of 32 px.
  Multipliers that OpenAI's forum measured lower than published (GPT-5 mini and nano, 1.2 and 1.5) stay as published.
- Anthropic, "Vision": patches of 28 px, before that width x height / 750; at most 1,568 px and about 1,600 tokens, from
  Claude 4.7 on 2,576 px and 4,784 tokens.
- Google, "Media resolution" and "Understand and count tokens": 258 tokens a picture of up to 384 px or a tile of up to
  768 px; from Gemini 3 on a budget a picture, at most 2,240 (ultra high). Sound is 32 tokens a second.
- OpenAI, "Managing realtime costs": sound that a user speaks is 10 tokens a second.
"""

from typing import NamedTuple

from pertoken.core.money import divide_up


class Media(NamedTuple):
    """One picture, sound, video or file in a request, and what is known of its size."""

    kind: str  # image, audio, video, file
    data_bytes: int | None = None  # of the decoded content; None: a link
    width: int | None = None  # in pixels, as sent
    height: int | None = None
    detail: str | None = None
    duration_us: int | None = None  # of a sound, in microseconds


class Tiles(NamedTuple):
    """OpenAI's older rule: a base, and so much for each tile of 512 px. Low detail costs the base alone."""

    base: int
    tile: int

    def bound(self, width: int, height: int, detail: str | None) -> int:
        """Return the tokens of a picture of `width` x `height` pixels."""
        if detail == "low":
            return self.base
        long, short = max(width, height), min(width, height)
        if long <= TILES_FIT_PX:
            return self._tiled(long, short)
        scaled = short * TILES_FIT_PX
        # Rounded up the short side may begin another tile; rounded down it leaves the long one longer below.
        roundings = max(1, scaled // long), divide_up(scaled, long)
        return max(self._tiled(TILES_FIT_PX, one) for one in roundings)

    def _tiled(self, long: int, short: int) -> int:
        if short > TILES_SHORT_PX:
            long, short = divide_up(long * TILES_SHORT_PX, short), TILES_SHORT_PX
        return self.base + self.tile * divide_up(long, TILE_PX) * divide_up(short, TILE_PX)

    def most(self, detail: str | None) -> int:
        """Return the tokens of the largest picture: 2,048 x 768 px, eight tiles."""
        return self.bound(TILES_FIT_PX, TILES_SHORT_PX, detail)


class Patches(NamedTuple):
    """OpenAI's newer rule: a token a patch of 32 px, at most `patches_max`, times a multiplier."""

    patches_max: int
    percent: int

    def bound(self, width: int, height: int, detail: str | None) -> int:  # noqa: ARG002 - costs the same at any detail
        """Return the tokens of a picture of `width` x `height` pixels; larger ones are scaled down to the maximum."""
        patches = divide_up(width, PATCH_PX) * divide_up(height, PATCH_PX)
        return divide_up(min(patches, self.patches_max) * self.percent, 100)

    def most(self, detail: str | None) -> int:  # noqa: ARG002
        """Return the tokens of the largest picture."""
        return divide_up(self.patches_max * self.percent, 100)


class ClaudeImages(NamedTuple):
    """Anthropic's rule: scaled down to a longest side, then by area; the older and the newer formula, the larger."""

    side_max: int
    tokens_max: int

    def bound(self, width: int, height: int, detail: str | None) -> int:  # noqa: ARG002 - has no detail
        """Return the tokens of a picture of `width` x `height` pixels."""
        long, short = max(width, height), min(width, height)
        if long > self.side_max:
            long, short = self.side_max, divide_up(short * self.side_max, long)
        patches = divide_up(long, CLAUDE_PATCH_PX) * divide_up(short, CLAUDE_PATCH_PX)
        return min(self.tokens_max, max(patches, divide_up(long * short, CLAUDE_PIXELS_PER_TOKEN)))

    def most(self, detail: str | None) -> int:  # noqa: ARG002
        """Return the tokens of the largest picture."""
        return self.tokens_max


class GeminiImages(NamedTuple):
    """Google's rule before Gemini 3: 258 tokens a tile.

    Small pictures are one tile. Others are cut into squares of two thirds of the shorter side, of 256 to 768 px; newer
    pages speak of about 2,048 tokens for one that was cut, so no less than nine tiles are taken, and one to see all.
    """

    tokens_max: int

    def bound(self, width: int, height: int, detail: str | None) -> int:  # noqa: ARG002 - has no detail
        """Return the tokens of a picture of `width` x `height` pixels."""
        if width <= GEMINI_SMALL_PX and height <= GEMINI_SMALL_PX:
            return GEMINI_TILE_TOKENS
        unit = min(GEMINI_TILE_PX_MAX, max(GEMINI_TILE_PX_MIN, min(width, height) * 2 // 3))
        tiles = divide_up(width, unit) * divide_up(height, unit)
        return min(self.tokens_max, (max(tiles, GEMINI_TILES_MIN) + 1) * GEMINI_TILE_TOKENS)

    def most(self, detail: str | None) -> int:  # noqa: ARG002
        """Return the tokens of the largest picture."""
        return self.tokens_max


class Fixed(NamedTuple):
    """So many tokens at most, whatever the size."""

    tokens: int

    def bound(self, width: int, height: int, detail: str | None) -> int:  # noqa: ARG002
        """Return the tokens of any picture."""
        return self.tokens

    def most(self, detail: str | None) -> int:  # noqa: ARG002
        """Return the tokens of any picture."""
        return self.tokens


ImageRule = Tiles | Patches | ClaudeImages | GeminiImages | Fixed

TILE_PX = 512
TILES_FIT_PX = 2_048
TILES_SHORT_PX = 768
PATCH_PX = 32
CLAUDE_PATCH_PX = 28
CLAUDE_PIXELS_PER_TOKEN = 750
GEMINI_SMALL_PX = 384
GEMINI_TILE_PX_MIN, GEMINI_TILE_PX_MAX = 256, 768
GEMINI_TILE_TOKENS = 258
GEMINI_TILES_MIN = 9

# gpt-4o-mini's eight tiles are the most that any of OpenAI's rules makes; other families' rules are not collected
# (a hosted Llama 4 is billed 6,404 a picture, Together AI "Vision"), so somewhat more is held for them.
OPENAI_UNKNOWN = Fixed(2_833 + 8 * 5_667)
UNKNOWN = Fixed(50_000)
CLAUDE_OLD = ClaudeImages(1_568, 1_600)
CLAUDE_NEW = ClaudeImages(2_576, 4_784)
GEMINI_BUDGET = Fixed(2_240)
GEMINI_TILES = GeminiImages(20_000)
_PATCHES_SMALL = 1_536
_PATCHES_ORIGINAL = 10_000  # detail "original" takes up to 6,000 px a side from GPT-5.4 on

# The first prefix that fits. Two rules: which of them a model follows was not found, so the larger holds.
_OPENAI_RULES: tuple[tuple[str, tuple[ImageRule, ...]], ...] = (
    ("gpt-4o-mini", (Tiles(2_833, 5_667),)),
    ("gpt-4o", (Tiles(85, 170),)),
    ("chatgpt-4o", (Tiles(85, 170),)),
    ("gpt-4.1-mini", (Patches(_PATCHES_SMALL, 162),)),
    ("gpt-4.1-nano", (Patches(_PATCHES_SMALL, 246),)),
    ("gpt-4.1", (Tiles(85, 170),)),
    ("gpt-4.5", (Tiles(85, 170),)),
    ("gpt-4-", (Tiles(85, 170),)),
    ("gpt-5-mini", (Patches(_PATCHES_SMALL, 162),)),
    ("gpt-5-nano", (Patches(_PATCHES_SMALL, 246),)),
    ("gpt-5-chat", (Tiles(70, 140),)),
    ("gpt-5-20", (Tiles(70, 140),)),  # a date follows
    ("gpt-5.", (Patches(_PATCHES_ORIGINAL, 246), Tiles(85, 170))),
    ("gpt-5-", (Patches(_PATCHES_ORIGINAL, 246), Tiles(85, 170))),
    ("o4-mini", (Patches(_PATCHES_SMALL, 172),)),
    ("codex-mini", (Patches(_PATCHES_SMALL, 172),)),
    ("o1", (Tiles(75, 150),)),
    ("o3", (Tiles(75, 150),)),
    ("computer-use", (Tiles(65, 129),)),
)


def openai_rules(name: str) -> tuple[ImageRule, ...]:
    """Return the rules of one of OpenAI's models; of a name that is not listed, the largest of all."""
    if name == "gpt-5":
        return (Tiles(70, 140),)
    return next((rules for prefix, rules in _OPENAI_RULES if name.startswith(prefix)), (OPENAI_UNKNOWN,))


def image_bound(rules: tuple[ImageRule, ...], width: int | None, height: int | None, detail: str | None) -> int:
    """Return the most tokens of a picture, in pixels as it was sent; without a size, of the largest one."""
    if not width or not height:
        return max(rule.most(detail) for rule in rules)
    return max(rule.bound(width, height, detail) for rule in rules)


MICROS = 1_000_000
SOUND_BYTES_PER_SECOND_MIN = 500  # 4 kbit/s, below any codec these APIs take


def sound_bound(data_bytes: int | None, duration_us: int | None, tokens_per_second: int) -> int | None:
    """Return the most tokens of a sound: by its duration, else by its bytes; None where it has neither."""
    if duration_us is not None:
        return divide_up(duration_us * tokens_per_second, MICROS) + 1
    if data_bytes is not None:
        return divide_up(data_bytes, SOUND_BYTES_PER_SECOND_MIN) * tokens_per_second + 1
    return None
