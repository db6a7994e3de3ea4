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
    """Any spelling of a provider's name gives its one name; an unknown name gives None."""
    assert providers.known(name) == known


def test_other_names_lead_to_names() -> None:
    """Every other name leads to a provider, is not a provider's name itself, and has the form used for look-ups."""
    assert set(providers.ALSO_CALLED.values()) <= providers.PROVIDERS
    assert not providers.PROVIDERS & set(providers.ALSO_CALLED)
    assert all(name == name.lower().replace("_", "-") for name in (*providers.PROVIDERS, *providers.ALSO_CALLED))
