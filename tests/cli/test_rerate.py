"""`pertoken rerate`: what was rated wrong is corrected by new events; the original stays."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken

EVENTS = [
    {"id": f"e{n}", "at": f"2026-10-{n + 10}T12:00:00Z", "provider": "acme", "model": model, "team": "red",
     "usage": {"input_tokens": 1_000_000, "output_tokens": 100_000}}
    for n, model in enumerate(["alpha", "alpha", "beta"])
]  # fmt: skip


def ingest(pertoken: Pertoken, folder: Path, events: list[dict[str, Any]]) -> None:
    """Take in events from a file."""
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert pertoken.json("ingest", str(path))["accepted"] == len(events)


def add_price(pertoken: Pertoken, model: str, input_: str, *more: str) -> None:
    """Add a price of one's own."""
    dates = more or ("--from", "2026-01-01")
    pertoken("price", "add", "--provider", "acme", "--model", model, "--input", input_, "--output", "0", *dates)


def month(pertoken: Pertoken) -> dict[str, Any]:
    """Return the usage of October by model."""
    found = pertoken.json("usage", "--since", "2026-10-01", "--until", "2026-11-01", "--by", "model")
    return {row["model"]: row for row in found["rows"]}


def test_an_event_without_price_is_corrected_when_its_price_is_known(pertoken: Pertoken, tmp_path: Path) -> None:
    """The correction has the cost, counts no second call, and `explain` shows both; a second run finds nothing."""
    pertoken("budget", "set", "red", "--limit", "100", "--window", "total", "--scope", "team=red")
    ingest(pertoken, tmp_path, EVENTS)
    assert month(pertoken)["alpha"]["cost"] == "0"
    add_price(pertoken, "alpha", "3")
    words = ("rerate", "--from", "2026-10-01", "--to", "2026-11-01")

    foreseen = pertoken.json(*words, "--dry-run")
    assert foreseen["corrections"] == 2
    assert month(pertoken)["alpha"]["cost"] == "0"
    done = pertoken.json(*words)
    again = pertoken.json(*words)

    assert done == {**foreseen, "dry_run": False}
    assert {row["model"]: (row["corrected"], row["change"], row["unpriced"]) for row in done["rows"]} == {
        "alpha": (2, "6", 0),
        "beta": (0, "0", 1),
    }
    assert again["corrections"] == 0
    found = month(pertoken)["alpha"]
    assert (found["calls"], found["cost"], found["input_tokens"]) == (2, "6", 2_000_000)
    [budget] = pertoken.json("budget", "status")["budgets"]
    assert budget["spent"] == "6"
    explained = pertoken.json("explain", "e0")
    assert explained["cost"] == "3"
    assert explained["status"] == "priced"
    assert [attempt["corrects"] for attempt in explained["attempts"]] == [None, "e0"]
    assert pertoken.json("verify")["ok"]
    assert "correct" in pertoken("explain", "e0").stdout


def test_a_wrong_price_is_taken_back_and_the_right_one_charged(pertoken: Pertoken, tmp_path: Path) -> None:
    """The correction's lines cancel the old ones; dearer, cheaper and dearer again end at the last price."""
    add_price(pertoken, "alpha", "3")
    ingest(pertoken, tmp_path, EVENTS[:1])
    for number, price in enumerate(["5", "2", "7"]):
        path = tmp_path / "contract.yaml"
        start = f"2026-01-0{number + 2}"
        path.write_text(f"prices: [{{provider: acme, model: alpha, from: {start}, input: '{price}', output: '0'}}]")
        pertoken("price", "import", "contract", str(path))
        assert pertoken.json("rerate", "--from", "2026-10-01")["corrections"] == 1
        explained = pertoken.json("explain", "e0")
        assert explained["cost"] == price
        amounts = [line["amount"] for line in explained["lines"]]
        assert sum(map(float, amounts)) == float(price)

    assert month(pertoken)["alpha"]["cost"] == "7"
    assert len(pertoken.json("explain", "e0")["attempts"]) == 4
    assert pertoken.json("verify")["ok"]


def test_another_currency_takes_all_back_first(pertoken: Pertoken, tmp_path: Path) -> None:
    """An event that should have been rated in euro is cleared in dollars and charged in euro."""
    add_price(pertoken, "alpha", "3")
    ingest(pertoken, tmp_path, EVENTS[:1])
    add_price(pertoken, "alpha", "2", "--from", "2026-02-01", "--currency", "EUR")

    assert pertoken.json("rerate", "--from", "2026-10-01")["corrections"] == 2
    assert pertoken.json("verify")["ok"]
    rows = pertoken.json("usage", "--since", "2026-10-01", "--until", "2026-11-01", "--by", "model")["rows"]
    assert sorted(row["cost"] for row in rows) == ["0", "2"]


def test_free_quotas_are_counted_over_the_month(pertoken: Pertoken, tmp_path: Path) -> None:
    """Of three events with two searches each, four searches are free this month; the next month begins anew."""
    path = tmp_path / "contract.yaml"
    path.write_text(
        "prices:\n  - {provider: acme, model: alpha, input: '0', output: '0',\n"
        "     units: {web_searches: {amount: '10', per: 1000, free: 4/month/searches}}}\n"
    )
    pertoken("price", "import", "contract", str(path))
    days = ["2026-10-05", "2026-10-06", "2026-10-07", "2026-11-01"]
    ingest(
        pertoken,
        tmp_path,
        [
            {"id": day, "at": f"{day}T00:00:00Z", "provider": "acme", "model": "alpha", "usage": {"web_searches": 2}}
            for day in days
        ],
    )
    pertoken("rerate", "--from", "2026-10-06", "--to", "2026-11-02")

    assert [pertoken.json("explain", day)["cost"] for day in days] == ["0.02", "0", "0.02", "0"]
    assert pertoken.json("verify")["ok"]


@pytest.mark.parametrize("words", [("--model", "beta"), ("--provider", "openai"), ("--to", "2026-10-02")], ids=" ".join)
def test_only_what_is_selected_is_rated_again(pertoken: Pertoken, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Model, provider and time select."""
    ingest(pertoken, tmp_path, EVENTS)
    add_price(pertoken, "alpha", "3")

    assert pertoken.json("rerate", "--from", "2026-10-01", *words)["corrections"] == 0


def test_a_correction_whose_id_is_taken_is_not_said_to_be_made(pertoken: Pertoken, tmp_path: Path) -> None:
    """Where an event was reported under the id of a correction, the others are made, and the command fails."""
    ingest(pertoken, tmp_path, [EVENTS[0], EVENTS[0] | {"id": "e0.c1"}])
    add_price(pertoken, "alpha", "3")

    said = pertoken("rerate", "--from", "2026-10-01", "--to", "2026-11-01", code=1)

    assert "1 events were not corrected: other events have the ids" in " ".join(said.output.split())
    assert "(the first: e0.c1)" in said.output
    assert month(pertoken)["alpha"]["cost"] == "3"
    assert pertoken.json("verify")["ok"]
