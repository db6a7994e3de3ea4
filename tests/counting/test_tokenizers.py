"""Counts are exact for OpenAI's encodings, and no text has more tokens than the byte bound says."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import examples

from pertoken.core.bounds import FAMILIES, byte_bound, counted_bound, family_of
from pertoken.counting.tokenizers import PIECE_CHARACTERS, Tokenizers, _load
from pertoken.wire import openai_chat

TOKENIZERS = Tokenizers()
HOSTILE = [
    "\u0000\u0001",
    "\ufdfa" * 20,
    "\U0001f469\u200d\U0001f467" * 5,
    "\ue000" * 30,
    "\U000124ab" * 10,
    "<|endoftext|>",
    "a" * 3_000,
    "\u202e\u0301" * 30,
    "9" * 500,
]
TEXTS = st.text() | st.sampled_from(HOSTILE) | st.text(st.characters(min_codepoint=0x1F000, max_codepoint=0x1FFFF))


@pytest.mark.parametrize(
    ("model", "text", "tokens"),
    [
        ("gpt-4o", "hello world", 2),
        ("gpt-4o", "tiktoken is great!", 6),
        ("gpt-4", "tiktoken is great!", 6),
        ("gpt-4", "antidisestablishmentarianism", 6),
        ("gpt-4o", "お誕生日おめでとう", 8),
        ("gpt-4", "お誕生日おめでとう", 9),
        ("gpt-4o", "", 0),
    ],
)
def test_exact_counts(model: str, text: str, tokens: int) -> None:
    """The counts of OpenAI's own cookbook examples."""
    counted = TOKENIZERS.count_text(family_of(model), text)

    assert counted == (tokens, "exact")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-mini", "o200k"), ("gpt-4.1", "o200k"), ("o3", "o200k"), ("gpt-5.6-sol", "o200k"), ("gpt-4", "cl100k"),
        ("gpt-4-turbo", "cl100k"), ("gpt-3.5-turbo", "cl100k"), ("text-embedding-3-small", "cl100k"),
        ("ft:gpt-4o-mini:org::id", "o200k"), ("openai/gpt-4o", "o200k"), ("openai/gpt-oss-120b", "gpt-oss"),
        ("gpt-35-turbo", "cl100k"), ("text-embedding-004", "other"), ("gemini-2.5-pro", "gemini"),
        ("claude-2.1", "claude-2"), ("claude-instant-1.2", "claude-2"), ("anthropic.claude-v2:1", "claude-2"),
        ("claude-3-5-sonnet-20241022", "claude-4.6"), ("claude-opus-4-20250514", "claude-4.6"),
        ("claude-sonnet-4.5", "claude-4.6"), ("us.anthropic.claude-sonnet-4-6-v1:0", "claude-4.6"),
        ("claude-4-opus", "claude-4.6"), ("claude-opus-4-7", "claude"), ("claude-opus-4-8@20260701", "claude"),
        ("claude-haiku-5-5", "claude"), ("claude-mythos-5-2", "claude"), ("claude-latest", "claude"),
        ("meta-llama/llama-3.1-70b", "llama-3"), ("llama2-70b-4096", "llama-2"), ("llama-4-scout", "other"),
        ("qwen/qwen3-32b", "qwen"), ("deepseek-v4-pro", "deepseek"), ("mixtral-8x7b", "mistral"),
        ("gemma-3", "gemini"), ("grok-4.5", "grok"), ("command-r-plus", "command"), ("kimi-k2", "kimi"),
        ("zai-glm-5-3", "glm"), ("", "other"),
    ],
)  # fmt: skip
def test_families(model: str, family: str) -> None:
    """A model's name tells its tokenizer; an unknown one gets the widest bound."""
    assert family_of(model).name == family


def test_other_families_say_factor() -> None:
    """Where no tokenizer is known, the count is scaled up and says so."""
    counted = TOKENIZERS.count_text(FAMILIES["claude"], "hello world")

    assert counted.method == "factor"
    assert counted.tokens > TOKENIZERS.count_text(FAMILIES["o200k"], "hello world").tokens


@examples(150)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from(["o200k", "cl100k"]), st.booleans())
def test_a_body_never_holds_more_tokens_than_its_bound(texts: list[str], name: str, escape: bool) -> None:
    """Exact tokens, framing included, stay within the byte bound and the counted bound, hostile text included."""
    family = FAMILIES[name]
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    messages = [{"role": "user", "content": text, "name": "ann"} for text in texts]
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=escape).encode()
    content = openai_chat.read_content(body)
    counted = TOKENIZERS.count_content(family, content)
    exact = sum(TOKENIZERS.count_text(family, text).tokens for text in texts) + 5 * len(texts) + 3

    assert exact <= byte_bound(len(body), family, tools=False)
    assert exact <= counted_bound(counted, family, messages=content.messages, names=content.names, tools=False)


@examples(300)
@given(TEXTS, st.sampled_from(["o200k", "cl100k"]))
def test_no_text_has_more_tokens_than_bytes(text: str, name: str) -> None:
    """A byte-level tokenizer makes at most one token of a byte of UTF-8, whatever the text."""
    text = text.encode("utf-8", "ignore").decode()

    assert TOKENIZERS.count_text(FAMILIES[name], text).tokens <= len(text.encode())


@pytest.mark.parametrize("text", ["a", "9", " ", "\u0301", "\ufdfa", "A\n", "\U0001f469\u200d"])
def test_long_runs_are_fast(text: str) -> None:
    """100,000 times the same: some engines take time that grows with the square of it."""
    started = time.process_time()
    tokens = TOKENIZERS.count_text(FAMILIES["o200k"], text * 100_000).tokens

    assert 0 < tokens <= 100_000 * len(text.encode())
    assert time.process_time() - started < 5


@given(st.text("0123456789 a", max_size=60))
def test_single_digits(text: str) -> None:
    """Where each digit is a token, a count is never below the digits; elsewhere three may be one."""
    digits = sum(character.isdigit() for character in text)
    single, grouped = FAMILIES["gemini"], FAMILIES["gemini"]._replace(single_digits=False)

    assert TOKENIZERS.count_text(single, text).tokens >= digits
    assert TOKENIZERS.count_text(single, text).tokens >= TOKENIZERS.count_text(grouped, text).tokens


def test_every_family_has_evidence() -> None:
    """A factor is a claim, and says what it rests on; no byte bound is below a token a byte."""
    assert [name for name, family in FAMILIES.items() if not family.evidence or family.byte_factor_percent < 100] == []
    assert byte_bound(1, FAMILIES["mistral"]._replace(frame_tokens=0), tools=False) == 2  # a space and the byte


@pytest.mark.parametrize(("model", "encoding"), [("gpt-4o", "o200k_base"), ("gpt-4", "cl100k_base")])
def test_a_long_text_is_counted_in_pieces(model: str, encoding: str) -> None:
    """Words have as many tokens in pieces as in one; a run without words has some, however long it is."""
    words = "It isn't  the\n same, e.g. naïve 12345 déjà-vu;\tfor (i = 0; i < 10; ++i) { über(); } " * 4_000
    whole = len(_load(encoding).encode(words))

    assert len(words) > 3 * PIECE_CHARACTERS
    assert TOKENIZERS.count_text(family_of(model), words).tokens == whole
    for blank in (" ", "\n", "=-", "a"):
        assert TOKENIZERS.count_text(family_of(model), blank * 2_000_000).tokens > 10_000
