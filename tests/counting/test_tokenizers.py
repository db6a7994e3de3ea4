"""Counts are exact for OpenAI's encodings, and no text has more tokens than the byte bound says."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertoken.core.bounds import FAMILIES, byte_bound, counted_bound, family_of
from pertoken.counting.tokenizers import Tokenizers
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
        ("claude-opus-4-8", "claude"), ("gemini-2.5-pro", "gemini"), ("llama-4", "other"),
        ("ft:gpt-4o-mini:org::id", "o200k"), ("openai/gpt-4o", "o200k"),
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


@settings(max_examples=150)
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
