"""Names of providers."""

import pytest

from pertoken.wire import providers


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("openai", "openai"),
        ("OpenAI ", "openai"),
        ("x-ai", "xai"),
        ("vertex_ai", "google"),
        ("amazon_bedrock", "aws"),
        ("huggingface_groq", "huggingface"),
        ("nobody", None),
        ("", None),
    ],
)
def test_known(name: str, known: str | None) -> None:
    """A provider has one name, however it is written; who is not known has none."""
    assert providers.known(name) == known


def test_other_names_lead_to_names() -> None:
    """Every other name is that of a provider, is none itself, and is written as names are looked up."""
    assert set(providers.ALSO_CALLED.values()) <= providers.PROVIDERS
    assert not providers.PROVIDERS & set(providers.ALSO_CALLED)
    assert all(name == name.lower().replace("_", "-") for name in (*providers.PROVIDERS, *providers.ALSO_CALLED))
