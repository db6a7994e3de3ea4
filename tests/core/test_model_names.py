"""Which names are one model's."""

import pytest

from pertoken.core.model_names import is_same_model

SAME = [
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("gpt-4o-mini", "openai/gpt-4o-mini"),
    ("gpt-4o-mini", "GPT-4o-Mini"),
    ("grok-4", "grok-4-0709"),
    ("mistral-large-latest", "mistral-large-2411"),
    ("gemini-1.5-flash", "models/gemini-1.5-flash-002"),
    ("gemini-2.5-flash-preview", "gemini-2.5-flash-preview-09-2025"),
    ("gemini-2.5-pro-preview", "gemini-2.5-pro-preview-05-06"),
    ("claude-sonnet-4-5", "publishers/anthropic/models/claude-sonnet-4-5@20250929"),
    ("claude-3-5-sonnet-latest", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
    ("llama-v3p1-8b", "accounts/fireworks/models/llama-v3p1-8b"),
    ("latest", "latest"),
    ("", ""),
]
OTHER = [
    ("gpt-4o-mini", "gpt-4o"),
    ("gpt-4o-mini", "openai/o1-pro"),
    ("gpt-4o-mini", "totally-other"),
    ("claude-3", "claude-3-5"),
    ("gpt-4", "gpt-4-32k"),
    ("deepseek-v3", "deepseek-v4"),
    ("llama-3-8b", "llama-3-70b"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("openai/gpt-4o", "openai/gpt-4o:free"),
    ("gpt-4o-mini", ""),
    ("gpt-4o-mini", "-2024-07-18"),
    ("-2024-07-18", "-latest"),
    ("a/", "b/"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_spelling_is_the_same_model(one: str, other: str) -> None:
    """Case, seller, region, date and version of a snapshot make no other model."""
    assert is_same_model(one, other)
    assert is_same_model(other, one)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_name_is_another_model(one: str, other: str) -> None:
    """What stays of two names when such words are off is the model's own name."""
    assert not is_same_model(one, other)
    assert not is_same_model(other, one)
