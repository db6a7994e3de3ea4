"""The registry of providers: every row is whole, and no two are mistaken for each other."""

import re
from datetime import date

import pytest
from genai_prices.data import providers as priced

from pertoken.catalogs.providers import KnownProvider, Stops, StreamUsage, canonical, registry
from pertoken.upstream.origin import parse_origin

EXPECTED = {
    "openai", "azure", "anthropic", "google", "google-vertex", "aws", "mistral", "cohere", "deepseek", "x-ai", "groq",
    "together", "fireworks", "perplexity", "openrouter", "ollama", "vllm",
}  # fmt: skip
NOT_IN_PRICE_DATA = {"google-vertex", "ollama", "vllm"}
ROWS = list(registry().values())


def test_every_provider_is_there() -> None:
    """The registry has the providers that people use, under the names that price data has."""
    assert set(registry()) == EXPECTED
    assert {one.id for one in priced} >= EXPECTED - NOT_IN_PRICE_DATA
    assert [row.name for row in ROWS if row.active] == ["openai", "anthropic", "google"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row: KnownProvider) -> None:
    """A base URL or an example of one, over TLS unless local; a variable for the key; a source with its date."""
    url = row.base_url or row.base_url_example
    parse_origin(url)
    assert url.startswith("https://") or row.name in {"ollama", "vllm"}
    assert not url.endswith("/")
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", variable) for variable in row.key_variables)
    assert row.key_variables or not row.callable or row.auth == "none"
    assert date(2026, 1, 1) <= row.as_of <= date(2027, 12, 31)
    assert len(row.source) > 10
    assert set(row.prices_from) <= {one.id for one in priced} - {row.name}
    assert row.stream_usage is not StreamUsage.OPTION or row.wire == "openai"


def test_names_are_unique() -> None:
    """No name or alias means two providers, and no variable holds the key of two."""
    words = [word for row in ROWS for word in (row.name, *row.aliases)]
    variables = [variable for row in ROWS for variable in row.key_variables]

    assert len(words) == len(set(words))
    assert len(variables) == len(set(variables))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("xai", "x-ai"),
        ("X_AI", "x-ai"),
        ("gemini", "google"),
        ("bedrock", "aws"),
        ("azure_openai", "azure"),
        ("Vertex_AI", "google-vertex"),
        ("openai", "openai"),
        ("my_vllm", "my_vllm"),
    ],
)
def test_aliases(said: str, meant: str) -> None:
    """Other names of a provider mean the same one, however they are written; an unknown name stays."""
    assert canonical(said) == meant


def test_who_stops_charging_on_abort() -> None:
    """What is known of an abort, as OpenRouter's streaming guide lists it."""
    stops = {row.name for row in ROWS if row.stops_billing_on_abort is Stops.YES}
    goes_on = {row.name for row in ROWS if row.stops_billing_on_abort is Stops.NO}

    assert {"openai", "azure", "anthropic", "x-ai", "deepseek", "cohere", "together", "fireworks"} <= stops
    assert {"aws", "groq", "google", "mistral", "perplexity"} <= goes_on
