import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken

LITELLM = {
    "sample_spec": {"input_cost_per_token": 1, "litellm_provider": "openai"},
    "my-provider/tiered": {
        "litellm_provider": "my-provider",
        "mode": "chat",
        "max_tokens": 8192,
        "input_cost_per_token": 1.5e-07,
        "output_cost_per_token": 6e-07,
        "cache_read_input_token_cost": 1.5e-08,
        "cache_creation_input_token_cost": 1.875e-07,
        "cache_creation_input_token_cost_above_1hr": 3e-07,
        "input_cost_per_token_above_200k_tokens": 3e-07,
        "input_cost_per_token_batches": 7.5e-08,
        "output_cost_per_token_flex": 3e-07,
        "output_cost_per_token_priority": 1.2e-06,
        "output_cost_per_image": 0.04,
        "supports_vision": True,
    },
}


def prices(found: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Return price per million by unit and conditions."""
    return {(row["unit"], json.dumps(row["conditions"])): row["per_million"] for row in found["prices"]}


def test_show_gives_the_prices_in_force(pertoken: Pertoken) -> None:
    """`price show` says model, provider and instant, and for each unit the price, its dates and its source."""
    found = pertoken.json("price", "show", "gpt-4o-mini", "--provider", "openai", "--at", "2026-11-01")

    assert (found["model"], found["provider"], found["at"]) == ("gpt-4o-mini", "openai", "2026-11-01T00:00:00Z")
    assert prices(found)["input_tokens", "{}"] == "0.15"
    assert prices(found)["output_tokens", "{}"] == "0.6"
    assert all(row["source"] and {"valid_from", "valid_to"} <= row.keys() for row in found["prices"])


def test_an_added_price_wins_in_its_time_only(pertoken: Pertoken) -> None:
    """A price of one's own is in force from its start until its end, and nothing else changes."""
    dates = ("--from", "2026-06-01", "--to", "2026-07-01")
    pertoken(
        "price", "add", "--provider", "openai", "--model", "gpt-4o-mini", "--input", "0.1", "--output", "0", *dates
    )
    by_day = {
        day: prices(pertoken.json("price", "show", "gpt-4o-mini", "--provider", "openai", "--at", day))
        for day in ("2026-05-31", "2026-06-01", "2026-06-30", "2026-07-01")
    }

    assert [found["input_tokens", "{}"] for found in by_day.values()] == ["0.15", "0.1", "0.1", "0.15"]
    assert by_day["2026-06-01"]["output_tokens", "{}"] == "0"
    assert any(row["source"] == "added by hand" for row in pertoken.json("price", "history", "gpt-4o-mini")["prices"])


def test_the_same_price_is_added_once(pertoken: Pertoken) -> None:
    """Adding a price again adds nothing, and says so."""
    words = ("price", "add", "--provider", "p", "--model", "m", "--input", "1", "--from", "2026-01-01")

    assert pertoken.json(*words)["added"] == 1
    assert pertoken.json(*words)["added"] == 0


@pytest.mark.parametrize("words", [("show",), ("history",)], ids=" ".join)
def test_an_unknown_model_is_refused(pertoken: Pertoken, words: tuple[str, ...]) -> None:
    """No price is no answer: exit 1, with the command that adds one."""
    assert "pertoken price add" in pertoken("price", *words, "nobody-knows", code=1).stderr


def test_litellms_list_is_read_exactly(pertoken: Pertoken, tmp_path: Path) -> None:
    """Prices per token of 1.5e-07 become 0.15 per million, with their tiers and conditions; the rest is left out."""
    path = tmp_path / "list.json"
    path.write_text(json.dumps(LITELLM))
    first = pertoken.json("price", "import", "litellm", str(path))
    again = pertoken.json("price", "import", "litellm", str(path))
    found = prices(pertoken.json("price", "history", "tiered", "--provider", "my-provider"))

    assert first == {"source": "litellm", "added": 9, "superseded": 0, "unchanged": 0}
    assert again == {"source": "litellm", "added": 0, "superseded": 0, "unchanged": 9}
    assert found == {
        ("input_tokens", "{}"): "0.15",
        ("output_tokens", "{}"): "0.6",
        ("cache_read_tokens", "{}"): "0.015",
        ("cache_write_tokens", "{}"): "0.1875",
        ("cache_write_1h_tokens", "{}"): "0.3",
        ("input_tokens", '{"input_above": 200000}'): "0.3",
        ("input_tokens", '{"batch": "true"}'): "0.075",
        ("output_tokens", '{"service_tier": "flex"}'): "0.3",
        ("output_tokens", '{"service_tier": "priority"}'): "1.2",
    }


@pytest.mark.parametrize("content", ["", "[]", "{", '{"m": {"input_cost_per_token": 1e30, "litellm_provider": "p"}}'])
def test_what_is_no_price_list_changes_nothing(pertoken: Pertoken, tmp_path: Path, content: str) -> None:
    """A file that is not litellm's list is refused; a price that cannot be meant is left out."""
    path = tmp_path / "list.json"
    path.write_text(content)
    sound = content.startswith('{"m"')
    result = pertoken("price", "import", "litellm", str(path), code=0 if sound else 1)

    assert ("0 added" in result.stdout) if sound else ("not litellm's price list" in result.stderr)


@pytest.mark.parametrize("source", ["genai", "history"])
def test_importing_what_is_there_changes_nothing(pertoken: Pertoken, source: str) -> None:
    """The shipped prices are in a new database already; a model with several dated steps keeps the newest."""
    model = ("price", "history", "mistral-large-4", "--provider", "mistral")
    before = pertoken.json(*model)
    counts = pertoken.json("price", "import", source)

    assert (counts["added"], counts["superseded"]) == (0, 0)
    assert counts["unchanged"] > 100
    assert pertoken.json(*model) == before


def test_the_table_fits_a_terminal(pertoken: Pertoken) -> None:
    """At 100 columns no line is longer and no number is cut."""
    terminal = {"TTY_COMPATIBLE": "1", "COLUMNS": "100", "TERM": "dumb"}
    shown = pertoken("price", "show", "claude-sonnet-4-5", **terminal).stdout

    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    assert "10,000.00" in shown
