"""True upper bounds on the tokens a call can cost, before anything is sent.

Two steps. The byte bound costs nothing: a byte-level tokenizer makes at most one token of each byte of UTF-8, and a
JSON body is never shorter than the text inside it. Only when a budget cannot afford that bound is the request counted
token by token.

Sources: the byte bounds and family factors were measured against the tokenizers themselves (docs/concepts/bounds.md);
image sizes follow the providers' published rules.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pertoken.core.money import divide_up


class Family(NamedTuple):
    """How one family of tokenizers is bounded and estimated."""

    name: str
    byte_factor_percent: int  # tokens <= bytes x this / 100, whatever the text
    count_factor_percent: int  # tokens <= o200k count x this / 100, for text people write
    frame_tokens: int  # around the whole request
    message_tokens: int  # around each message
    tools_tokens: int  # the hidden prompt that explains tools to the model
    exact: str | None = None  # the encoding that counts this family exactly


# OpenAI: 3 tokens a message, 3 to prime the reply, 1 a name (OpenAI cookbook, "How to count tokens with tiktoken").
# Claude: the tokenizer is closed; reconstructions reach 1.48 tokens a byte, so 2 is held. Its documentation shows a
# hidden tool prompt of several hundred tokens.
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("o200k", 100, 100, 16, 8, 64, exact="o200k_base"),
        Family("cl100k", 100, 140, 16, 8, 64, exact="cl100k_base"),
        Family("claude", 200, 200, 64, 16, 1_000),
        Family("gemini", 100, 150, 64, 16, 500),
        Family("other", 200, 200, 128, 32, 1_000),
    )
}

_CL100K = ("gpt-4-", "gpt-3.5", "text-embedding", "davinci-002", "babbage-002")
_O200K = ("gpt-", "o1", "o3", "o4", "chatgpt", "codex", "omni")


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """Return the tokenizer family of a model's name, the widest when it is unknown."""
    name = model.lower().rpartition("/")[2].removeprefix("ft:")
    if name == "gpt-4" or (name.startswith(_CL100K) and not name.startswith("gpt-4-o")):
        return FAMILIES["cl100k"]
    if name.startswith(_O200K):
        return FAMILIES["o200k"]
    if name.startswith("claude"):
        return FAMILIES["claude"]
    if name.startswith(("gemini", "gemma")):
        return FAMILIES["gemini"]
    return FAMILIES["other"]


# The most one item can cost as input, per family: where the request does not say its size, the largest it can be.
# OpenAI: high detail, 4 x 2 tiles of 512 at up to 5,667 a tile on small models (gpt-4o-mini: 2,833 + 8 x 5,667).
# Anthropic: about width x height / 750, images are scaled down to at most 1,568 px on the long side, newer models take
# up to 2,576 px: 4,784 tokens. Gemini: 258 a tile of 768 px, media resolution up to 2,240.
IMAGE_TOKENS_MAX: Mapping[str, int] = {
    "o200k": 48_169,
    "cl100k": 2_000,
    "claude": 4_784,
    "gemini": 20_000,
    "other": 50_000,
}
AUDIO_TOKENS_PER_SECOND = 50  # OpenAI 10, Gemini 32
AUDIO_BYTES_PER_SECOND_MIN = 500  # 4 kbit/s, below any codec these APIs take


class Limits(NamedTuple):
    """What a model can take and make at most; None where it is not known."""

    output_tokens_max: int | None = None
    context_tokens: int | None = None


CONTEXT_TOKENS_DEFAULT = 2_000_000  # no model in the book takes more; only used where nothing better is known


class Counted(NamedTuple):
    """A number of tokens, and how it came about: exact, or factor (an o200k count scaled by the family's factor)."""

    tokens: int
    method: str


class MediaItem(NamedTuple):
    """One image, sound, video or file: its kind, and how many bytes it carries inline (None: a link)."""

    kind: str
    data_bytes: int | None


def byte_bound(body_bytes: int, family: Family, *, tools: bool) -> int:
    """Return the most input tokens that a body of text can be."""
    return (
        divide_up(body_bytes * family.byte_factor_percent, 100)
        + family.frame_tokens
        + (family.tools_tokens if tools else 0)
    )


def counted_bound(counted_tokens: int, family: Family, *, messages: int, names: int, tools: bool) -> int:
    """Return the input bound of a content whose texts were counted with o200k, or exactly by `family.exact`."""
    text = counted_tokens if family.exact else divide_up(counted_tokens * family.count_factor_percent, 100)
    frames = family.frame_tokens + family.message_tokens * messages + names
    return text + frames + (family.tools_tokens if tools else 0)


def media_bound(items: tuple[MediaItem, ...], family: Family, context_tokens: int) -> dict[str, int]:
    """Return the most input tokens of media by unit. A linked sound, video or file can fill the context window."""
    bound: dict[str, int] = {}
    for item in items:
        match item.kind:
            case "image":
                unit, tokens = "input_image_tokens", IMAGE_TOKENS_MAX[family.name]
            case "audio":
                unit, tokens = "input_audio_tokens", _audio_tokens(item.data_bytes, context_tokens)
            case "video":
                unit, tokens = "input_video_tokens", context_tokens
            case _:
                unit, tokens = "input_tokens", context_tokens
        bound[unit] = min(bound.get(unit, 0) + tokens, context_tokens)
    return bound


def _audio_tokens(data_bytes: int | None, context_tokens: int) -> int:
    if data_bytes is None:
        return context_tokens
    return min(context_tokens, divide_up(data_bytes, AUDIO_BYTES_PER_SECOND_MIN) * AUDIO_TOKENS_PER_SECOND)


def output_affordable(left_picos: int, input_picos: int, output_token_picos: int, choices: int) -> int:
    """Return how many output tokens per choice the rest of a budget still pays for after the input."""
    if output_token_picos <= 0:
        return CONTEXT_TOKENS_DEFAULT
    return max(0, left_picos - input_picos) // (output_token_picos * max(1, choices))
