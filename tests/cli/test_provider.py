import json
from pathlib import Path

from tests.cli.conftest import Pertoken

from pertoken.catalogs.providers import registry


def test_the_list_has_every_provider(bare: Pertoken) -> None:
    """Every provider of the registry is listed, the active ones first, with what is known of it."""
    rows = bare.json("provider", "list")["providers"]

    assert {row["name"] for row in rows} == set(registry())
    assert [row["name"] for row in rows if row["active"]] == ["openai", "anthropic", "google"]
    assert [row["name"] for row in rows if not row["callable"]] == ["google-vertex", "aws"]
    mistral = next(row for row in rows if row["name"] == "mistral")
    assert mistral["key_variables"] == ["MISTRAL_API_KEY"]
    assert (mistral["wire"], mistral["stream_usage"], mistral["stops_billing_on_abort"]) == ("openai", "unasked", "no")


def test_it_shows_what_is_configured_and_no_secret(bare: Pertoken, tmp_path: Path) -> None:
    """One's own endpoints stand in the list; keys, and passwords in addresses, do not."""
    config = tmp_path / "pertoken.yaml"
    config.write_text("providers: {mine: {base_url: 'http://user:hidden@mine.example/v1', api_key: also-hidden}}")
    result = bare("provider", "list", "--json", PERTOKEN_CONFIG=str(config), GROQ_API_KEY="very-secret")
    rows = {row["name"]: row for row in json.loads(result.stdout)["providers"]}

    assert rows["mine"]["base_url"] == "http://mine.example/v1"
    assert (rows["mine"]["active"], rows["mine"]["key_found"]) == (True, True)
    assert (rows["groq"]["active"], rows["groq"]["key_found"]) == (True, True)
    assert not [secret for secret in ("hidden", "very-secret") if secret in result.output]


def test_the_table(bare: Pertoken) -> None:
    """The table says in words how usage comes and whether a provider can be called."""
    shown = bare("provider", "list").stdout

    assert "never, so counted" in shown
    assert "by ingest only" in shown
    assert "https://RESOURCE.openai.azure.com/openai/v1" in shown
