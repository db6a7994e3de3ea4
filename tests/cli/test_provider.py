import json
from pathlib import Path

from tests.cli.conftest import Pertoken
from tests.factories import event, hold

from pertoken.catalogs.providers import registry
from pertoken.core.commands import OpenHold, Settle
from pertoken.core.price_book import Sellers
from pertoken.core.trust import Disagreement, Measured
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock


def contradict(url: str, model: str, reported_tokens: int) -> None:
    """Settle a call for whose 1,000 tokens of text its provider reported so many."""
    opened = hold(f"call_{model}")
    told = Disagreement("openai", model, Measured(1_000, 1_024, 4_200), reported_tokens)
    database = Database(url)
    books = Bookkeeper(database, SystemClock().now_us, Sellers())
    books.refresh()
    books.transact([OpenHold(opened, books.directory.revision)])
    books.transact([Settle(opened.hold_id, event(opened), disagreement=told)])
    books.close()
    database.close()


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

    assert "never; we count" in shown
    assert "reported by ingest only" in shown
    assert "https://RESOURCE.openai.azure.com/openai/v1" in shown


def test_counts_that_providers_contradicted(pertoken: Pertoken) -> None:
    """They are listed with what is held for them since, and the last call that showed it; a reset takes one away."""
    assert "no provider has reported more" in pertoken("provider", "trust").stdout
    contradict(pertoken.url, "gpt-4o", 2_512)
    contradict(pertoken.url, "gpt-4.1", 9_000)
    rows = {row["name"]: row for row in pertoken.json("provider", "trust")["counts"]}

    assert list(rows) == ["openai/gpt-4.1", "openai/gpt-4o"]
    shown = rows["openai/gpt-4.1"]
    assert (shown["ratio_percent"], shown["byte_ratio_percent"], shown["constant_tokens"]) == (860, 215, 0)
    assert (shown["counted_tokens"], shown["reported_tokens"], shown["call_id"]) == (1_024, 9_000, "call_gpt-4.1")
    assert "255" in pertoken("provider", "trust").stdout
    assert "is trusted again" in pertoken("provider", "trust", "--reset", "openai/gpt-4o").stdout
    assert [row["name"] for row in pertoken.json("provider", "trust")["counts"]] == ["openai/gpt-4.1"]
    again = pertoken("provider", "trust", "--reset", "openai/gpt-4o", code=1)
    assert "no provider has contradicted pertoken's count of 'openai/gpt-4o'" in again.stderr
    assert pertoken.json("provider", "trust", "--reset", "openai/gpt-4.1") == {"name": "openai/gpt-4.1", "reset": True}


def test_doctor_tells_which_models_disagree(pertoken: Pertoken) -> None:
    """Each is named with what is held for it and what showed it; that is no fault of the installation."""

    def told() -> tuple[bool, str]:
        checks = {one["check"]: one for one in json.loads(pertoken("doctor", "--json", code=1).stdout)["checks"]}
        told = checks["token counts"]
        return told["ok"], f"{told['found']}; {told['fix']}"

    assert told() == (True, "no provider has reported more input than was held; None")
    contradict(pertoken.url, "gpt-4o", 2_512)
    contradict(pertoken.url, "gpt-4.1", 9_000)
    is_ok, found = told()

    assert is_ok
    assert "openai/gpt-4o 255 % of pertoken's count (last 2,512 reported, 1,024 counted)" in found
    assert "openai/gpt-4.1 860 % of pertoken's count, 215 % of its bytes (last 9,000 reported" in found
    assert "pertoken provider trust --reset openai/gpt-4.1" in found
