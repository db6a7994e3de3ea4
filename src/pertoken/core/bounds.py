"""Upper bounds on the tokens of a call, before anything is sent.

Two steps. The byte bound costs nothing: a byte-level tokenizer makes at most one token of each byte of UTF-8, and a
JSON body is never shorter than the text inside it. Only when a budget cannot afford that bound is the request counted
token by token.

Sources: the byte bounds and family factors were measured against the tokenizers themselves (docs/concepts/tokens.md);
media follow the providers' published rules (core/media.py).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pertoken.core import media
from pertoken.core.media import Media
from pertoken.core.money import divide_up
from pertoken.core.units import DIMENSIONS, INPUT_UNITS, MODALITIES, TOKEN_UNITS
from pertoken.core.usage import Quantities


class Family(NamedTuple):
    """How one family of tokenizers is bounded and estimated."""

    name: str
    byte_factor_percent: int  # tokens <= bytes x this / 100 + byte_extra, whatever the text
    count_factor_percent: int  # tokens <= o200k count x this / 100, for text people write
    frame_tokens: int  # around the whole request
    message_tokens: int  # around each message
    tools_tokens: int  # the hidden prompt that explains tools to the model
    exact: str | None = None  # the encoding that counts this family exactly
    evidence: str = ""  # of both factors
    byte_extra: int = 0  # SentencePiece puts a space before the text: one byte can be two tokens
    single_digits: bool = False  # each digit is a token, where o200k takes up to three at once


# The ranges are of counts relative to o200k, measured with each tokenizer on the same texts: English and German prose
# and manuals, Chinese, source code, JSON, records of ids and numbers.
# OpenAI: 3 tokens a message, 3 to prime the reply, 1 a name (OpenAI cookbook, "How to count tokens with tiktoken").
# gpt-oss reads OpenAI's o200k_harmony: o200k's ranks, and a system message of its own that no request shows.
# Claude: the tokenizer is closed; reconstructions reach 1.48 tokens a byte under hill climbing, so 2 is held. The
# published tool prompts are 159 to 530 tokens (Claude 3), 346 and 313 (3.7 to 4.6; Anthropic, "Tool use pricing"); for
# later ones none was read, so 1,000 are held. Claude 2 normalises (NFKC): U+FDFA, 3 bytes, becomes 33 bytes, the most
# that NFKC can do (Unicode FAQ on normalization), and 15 tokens as measured.
# Qwen and Command normalise too (NFC), which makes at most 3 bytes of 1 (the same FAQ).
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("o200k", 100, 100, 16, 8, 64, "o200k_base", "OpenAI's own encoding"),
        Family("cl100k", 100, 140, 16, 8, 64, "cl100k_base", "OpenAI's own encoding; 0.96 to 1.37 of o200k"),
        Family("gpt-oss", 100, 100, 256, 8, 256, "o200k_base", "o200k_harmony: o200k with other special tokens"),
        Family("claude", 200, 200, 64, 16, 1_000, None, "Claude 4.7 and later, reconstruction: 1.31 to 1.85"),
        Family("claude-4.6", 200, 150, 64, 16, 1_000, None, "Claude 3 to 4.6, reconstruction: 1.04 to 1.45"),
        Family("claude-2", 1_100, 200, 64, 16, 1_000, None, "not measured against o200k"),
        Family("gemini", 100, 150, 64, 16, 500, None, "Gemma 3: 0.95 to 1.37, hex 1.56", single_digits=True),
        Family("llama-3", 100, 115, 128, 32, 1_000, None, "0.96 to 1.14"),
        Family("llama-2", 100, 200, 128, 32, 1_000, None, "not measured against o200k", 1, single_digits=True),
        Family("qwen", 300, 150, 128, 32, 1_000, None, "Qwen 3: 0.91 to 1.37, hex 1.55", single_digits=True),
        Family("deepseek", 100, 150, 128, 32, 1_000, None, "V3: 0.83 to 1.11; V4 not measured"),
        Family("mistral", 100, 150, 128, 32, 1_000, None, "tekken: 1.02 to 1.43", 1, single_digits=True),
        Family("glm", 100, 200, 128, 32, 1_000, None, "byte-level; not measured against o200k", single_digits=True),
        Family("kimi", 100, 200, 128, 32, 1_000, None, "byte-level; not measured against o200k"),
        Family("command", 300, 200, 128, 32, 1_000, None, "not measured against o200k", single_digits=True),
        Family("grok", 200, 200, 128, 32, 1_000, None, "closed; not measured"),
        Family("other", 200, 200, 128, 32, 1_000, None, "the tokenizer is not known", single_digits=True),
    )
}

# Which family a name begins with; the first that fits. "gpt-4o" and "gpt-4.1" are not "gpt-4-" but "gpt-".
_PREFIXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gpt-oss", ("gpt-oss",)),
    ("cl100k", ("gpt-4-", "gpt-3.5", "gpt-35", "text-embedding-3", "text-embedding-ada", "davinci-002", "babbage-002")),
    ("o200k", ("gpt-", "o1", "o3", "o4", "chatgpt", "codex", "omni", "computer-use")),
    ("gemini", ("gemini", "gemma")),
    ("llama-3", ("llama-3", "llama3", "meta-llama-3")),
    ("llama-2", ("llama-2", "llama2", "meta-llama-2")),
    ("qwen", ("qwen", "qwq", "qvq")),
    ("deepseek", ("deepseek",)),
    ("mistral", ("mistral", "mixtral", "ministral", "magistral", "codestral", "devstral", "pixtral", "voxtral")),
    ("glm", ("glm", "zai-glm")),
    ("kimi", ("kimi", "moonshot")),
    ("command", ("command", "c4ai")),
    ("grok", ("grok",)),
)
_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)?v?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
CLAUDE_OLD_MAX = (4, 6)  # the last version with the older tokenizer and the smaller images


_GEMINI_TILED = re.compile(r"gemini-(?:[a-z-]*-)?[12]\.\d|gemini-(?:flash|pro)-1\.5|gemini-pro$")
_GEMINI_BUDGETED = re.compile(r"gemini-(?:[a-z-]*-)?(?:[3-9]|\d\d)(?:\D|$)")


def covers(bound: Quantities, used: Quantities) -> bool:
    """Tell whether what was `used` lies within a `bound`, whose input is disjoint by modality."""
    inputs_max = sum(quantity for unit, quantity in bound.items() if unit in INPUT_UNITS)
    for unit, quantity in used.items():
        if unit in TOKEN_UNITS:
            side = "input" if unit in INPUT_UNITS else "output"
            most = inputs_max if side == "input" else bound.get("output_tokens", 0)
            held_for = all(f"{side}_{modality}_tokens" in bound for modality in DIMENSIONS[unit] & MODALITIES)
        else:
            most, held_for = bound.get(unit, 0), True
        if quantity > most or (quantity and not held_for):
            return False
    return True


def bare_name(model: str) -> str:
    """Return a model's name in lower case, without who serves it and without the mark of a fine-tuned one."""
    return model.lower().rpartition("/")[2].removeprefix("ft:")


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """Return the tokenizer family of a model's name, the widest when it is unknown."""
    name = bare_name(model)
    if "claude" in name:  # also anthropic.claude-..., as Bedrock names it
        version = claude_version(name)
        if "instant" in name or (version is not None and version < (3, 0)):
            return FAMILIES["claude-2"]
        return FAMILIES["claude" if version is None or version > CLAUDE_OLD_MAX else "claude-4.6"]
    if name == "gpt-4" or name.startswith("gpt-4:"):
        return FAMILIES["cl100k"]
    found = next((family for family, prefixes in _PREFIXES if name.startswith(prefixes)), "other")
    return FAMILIES["o200k" if name.startswith("gpt-4-o") else found]


@lru_cache(maxsize=1024)
def widest(one: Family, other: Family) -> Family:
    """Return a family that bounds the tokens of both: for a call that either of two models may serve."""
    if one == other:
        return one
    return Family(
        "several",
        max(one.byte_factor_percent, other.byte_factor_percent),
        max(one.count_factor_percent, other.count_factor_percent),
        max(one.frame_tokens, other.frame_tokens),
        max(one.message_tokens, other.message_tokens),
        max(one.tools_tokens, other.tools_tokens),
        None,
        f"{one.name} or {other.name}",
        max(one.byte_extra, other.byte_extra),
        one.single_digits or other.single_digits,
    )


def claude_version(model: str) -> tuple[int, int] | None:
    """Return major and minor version of a Claude model, None where its name has none: claude-opus-4-8 is (4, 8)."""
    match = _CLAUDE_VERSION.search(model)
    return None if match is None else (int(match[1]), int(match[2] or 0))


# OpenAI publishes 10 tokens a second for what users say to realtime models; twice that is held, as the rate of chat
# models is not published. Gemini: 32. Others are not known.
SOUND_TOKENS_PER_SECOND: Mapping[str, int] = {"o200k": 20, "cl100k": 20, "gemini": 32}
SOUND_TOKENS_PER_SECOND_UNKNOWN = 50


class Limits(NamedTuple):
    """What a model can take and make at most; None where it is not known."""

    output_tokens_max: int | None = None
    context_tokens: int | None = None


CONTEXT_TOKENS_DEFAULT = 2_000_000  # no model in the book takes more; only used where nothing better is known


class Counted(NamedTuple):
    """A number of tokens, and how it came about: exact, or factor (an o200k count scaled by the family's factor)."""

    tokens: int
    method: str


class Counts(NamedTuple):
    """What a model reads of a request, in numbers."""

    tokens: int  # of all texts and tools, unscaled
    text_bytes: int
    messages: int
    names: int
    has_media: bool


def byte_bound(body_bytes: int, family: Family, *, tools: bool) -> int:
    """Return the most input tokens that a body of text can be."""
    return (
        divide_up(body_bytes * family.byte_factor_percent, 100)
        + family.byte_extra
        + family.frame_tokens
        + (family.tools_tokens if tools else 0)
    )


def counted_bound(counted_tokens: int, family: Family, *, messages: int, names: int, tools: bool) -> int:
    """Return the input bound of a content whose texts were counted with o200k, or exactly by `family.exact`."""
    text = counted_tokens if family.exact else divide_up(counted_tokens * family.count_factor_percent, 100)
    frames = family.frame_tokens + family.message_tokens * messages + names
    return text + frames + (family.tools_tokens if tools else 0)


def media_bound(items: tuple[Media, ...], family: Family, context_tokens: int, model: str) -> dict[str, int]:
    """Return the most input tokens of media by unit. Video, files and linked sound can fill the context window."""
    bound: dict[str, int] = {}
    for item in items:
        match item.kind:
            case "image":
                unit = "input_image_tokens"
                tokens = media.image_bound(image_rules(model, family), item.width, item.height, item.detail)
            case "audio":
                unit = "input_audio_tokens"
                rate = SOUND_TOKENS_PER_SECOND.get(family.name, SOUND_TOKENS_PER_SECOND_UNKNOWN)
                sound = media.sound_bound(item.data_bytes, item.duration_us, rate)
                tokens = context_tokens if sound is None else sound
            case "video":
                # Gemini takes 263 to 300 tokens a second, but how long a video is cannot be told from its bytes.
                unit, tokens = "input_video_tokens", context_tokens
            case _:
                # A page of a PDF is 258 tokens for Gemini, for Claude its text, 1,500 to 3,000 tokens, and its picture;
                # but a PDF may pack its pages, or show one a thousand times, so its bytes do not tell how many it has.
                unit, tokens = "input_tokens", context_tokens
        bound[unit] = min(bound.get(unit, 0) + tokens, context_tokens)
    return bound


def image_rules(model: str, family: Family) -> tuple[media.ImageRule, ...]:
    """Return the rules that may size a model's pictures: the largest result is the bound."""
    name = bare_name(model)
    match family.name:
        case "o200k" | "cl100k":
            return media.openai_rules(name)
        case "claude":
            return (media.CLAUDE_NEW,)
        case "claude-4.6" | "claude-2":
            return (media.CLAUDE_OLD,)
        case "gemini" if _GEMINI_TILED.match(name):
            return (media.GEMINI_TILES,)
        case "gemini" if name.startswith("gemini"):
            return (media.GEMINI_BUDGET,) if _GEMINI_BUDGETED.match(name) else (media.GEMINI_TILES, media.GEMINI_BUDGET)
        case _:
            return (media.UNKNOWN,)
