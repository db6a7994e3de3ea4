import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken

from pertoken.core.periods import format_time, parse_time

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


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.6-sol", "claude-opus-4-6", "deepseek-v4-pro", "grok-latest"])
def test_show_prints_no_row_twice(pertoken: Pertoken, model: str) -> None:
    """A price that several providers sell at, as Azure does at OpenAI's list, is printed once."""
    found = pertoken.json("price", "show", model)["prices"]
    lines = pertoken("price", "show", model, COLUMNS="300").stdout.splitlines()
    rows = [line for line in lines if line[1:2].strip() and "_" in line]

    assert len({row["price_id"] for row in found}) == len(found) > 2
    assert len(set(rows)) == len(rows) == len(found)


def test_a_seller_is_shown_at_the_prices_of_its_list(pertoken: Pertoken) -> None:
    """Asked for by its name, a provider without prices of its own shows those of the list that it sells at."""
    found = pertoken.json("price", "show", "gpt-5.6-sol", "--provider", "azure")["prices"]

    assert ("openai", "input_tokens", "4") in {(row["provider"], row["unit"], row["per_million"]) for row in found}


@pytest.mark.parametrize(
    ("model", "at", "price"),
    [
        ("mistral-large-latest", "2025-12-01", "2"),
        ("mistral-large-latest", "2026-11-27", "0.5"),
        ("grok-latest", "2026-05-01", "1.25"),
        ("grok-latest", "2026-11-27", "2"),
    ],
)
def test_an_alias_costs_what_it_meant_then(pertoken: Pertoken, model: str, at: str, price: str) -> None:
    """A name that ends in `-latest` has the price of the model it stood for at the instant asked for."""
    found = prices(pertoken.json("price", "show", model, "--at", at))

    assert found["input_tokens", "{}"] == price


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

    assert first == {"source": "litellm", "added": 10, "superseded": 0, "unchanged": 0}
    assert again == {"source": "litellm", "added": 0, "superseded": 0, "unchanged": 10}
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
        ("images", "{}"): "40000",
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
    """At 100 columns no line is longer and no number is cut; each price stands beside how many it is for."""
    terminal = {"TTY_COMPATIBLE": "1", "COLUMNS": "100", "TERM": "dumb"}
    shown = pertoken("price", "show", "claude-sonnet-4-5", **terminal).stdout

    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    assert {("10.00", "1,000"), ("3.00", "million")} < {tuple(line.split()[2:4]) for line in shown.splitlines()}


def contract(folder: Path, text: str) -> str:
    """Write a contract and return its path."""
    path = folder / "contract.yaml"
    path.write_text(text)
    return str(path)


def test_a_contract_wins_and_its_effect_is_shown_first(pertoken: Pertoken, tmp_path: Path) -> None:
    """--dry-run changes nothing and says what would change, in prices and on last month's events."""
    now = int(time.time() * 10**6)
    event = {"id": "a", "at": format_time(now - 86_400_000_000), "provider": "openai", "model": "gpt-4o-mini"}
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps({**event, "usage": {"input_tokens": 1_000_000, "output_tokens": 0}}) + "\n")
    pertoken("ingest", str(events))
    path = contract(
        tmp_path,
        """
        prices:
          - {provider: openai, model: gpt-4o-mini, from: 2026-01-01, input: "0.1", output: "0.6", note: offer 47}
        factors:
          - {provider: openai, factor: "0.9", when: {region: eu}}
        """,
    )
    before = pertoken.json("price", "show", "gpt-4o-mini", "--provider", "openai")["prices"]
    foreseen = pertoken.json("price", "import", "contract", path, "--dry-run")

    changed = [row for row in foreseen["differences"] if row["model"] == "gpt-4o-mini" and not row["conditions"]]
    assert [(row["unit"], row["before"], row["after"], row["percent"]) for row in changed] == [
        ("input_tokens", "0.15", "0.1", "-33.3")
    ]
    assert [(row["before"], row["after"], row["change"]) for row in foreseen["effects"]] == [("0.15", "0.1", "-0.05")]
    assert pertoken.json("price", "show", "gpt-4o-mini", "--provider", "openai")["prices"] == before
    assert pertoken.json("price", "import", "contract", path)["added"] == 3
    assert pertoken.json("price", "import", "contract", path)["added"] == 0
    shown = prices(pertoken.json("price", "show", "gpt-4o-mini", "--provider", "openai", "--when", "region=eu"))
    assert shown["input_tokens", "{}"] == "0.1"
    assert ("tokens", '{"region": "eu"}') in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prices: [{provider: p, model: m, input: 1,5}]", "input"),
        ("prices: [{provider: p, model: m, input: abc}]", "prices[0]: not a decimal amount: 'abc'"),
        ("prices: [{provider: p, input: '1'}]", "prices[0]: name the models by one of model, prefix, regex"),
        ("prices: [{provider: p, model: m, inputs: '1'}]", "inputs"),
        ("prices: [{provider: p, model: m, input: '1', from: 2026-02-01, to: 2026-01-01}]", "must be after"),
        ("prices: [{provider: p, model: m, units: {smiles: {amount: '1'}}}]", "unknown unit 'smiles'"),
        ("prices: [{provider: p, model: m, input: '1', when: {time: noon}}]", "not a time of day: 'noon'"),
        (
            "prices: [{provider: p, model: m, units: {web_searches: {amount: '1', free: many}}}]",
            "quantity/window/group",
        ),
        ("prices: [{provider: p, model: m, tiers: [{input: '1'}]}]", "`above` or `at_least`"),
        ("factors: [{provider: p, factor: half}]", "between 0 and a million, such as 0.9, not 'half'"),
        ("[", "not valid yaml"),
        ("{}", "states no price"),
    ],
)
def test_a_faulty_contract_changes_nothing(pertoken: Pertoken, tmp_path: Path, text: str, message: str) -> None:
    """What is wrong is named, with where it stands; nothing is imported."""
    result = pertoken("price", "import", "contract", contract(tmp_path, text), code=1)

    assert message in " ".join(result.stderr.split())


def test_tiers_of_a_contract(pertoken: Pertoken, tmp_path: Path) -> None:
    """`at_least` begins one token earlier than `above`; hours of the day and another currency are kept."""
    path = contract(
        tmp_path,
        """
        currency: EUR
        prices:
          - provider: azure
            prefix: our-gpt-
            input: "2"
            tiers: [{at_least: 200000, input: "4"}]
          - provider: azure
            prefix: our-gpt-
            input: "1"
            when: {time: "sat,sun 00:00-24:00 Europe/Berlin"}
        """,
    )
    pertoken("price", "import", "contract", path)
    asked = {"provider": "azure", "model": "our-gpt-1", "usage": {"input_tokens": 0, "output_tokens": 0}}
    lines = [
        {**asked, "id": number, "at": at, "usage": {"input_tokens": tokens}}
        for number, (at, tokens) in enumerate(
            [("2026-11-23T12:00:00Z", 199_999), ("2026-11-23T12:00:00Z", 200_000), ("2026-11-22T12:00:00Z", 100_000)]
        )
    ]
    rated = pertoken.lines("rate", stdin=lines)

    assert [(one["currency"], one["cost"]) for one in rated] == [("EUR", "0.399998"), ("EUR", "0.8"), ("EUR", "0.1")]


def test_an_announced_price_can_be_withdrawn(pertoken: Pertoken) -> None:
    """The price before goes on, importing the same list again keeps it so, and what was believed can be asked for."""
    model = ("gemini-4-argon", "--provider", "google")

    def in_december(*more: str) -> str:
        found = pertoken.json("price", "show", *model, "--at", "2026-12-15", *more)
        return prices(found)["input_tokens", "{}"]

    assert in_december() == "4"
    history = pertoken.json("price", "history", *model)["prices"]
    announced = [row for row in history if row["valid_from"] == "2026-12-01T00:00:00Z"]
    believed = format_time(int(time.time() * 10**6))
    done = pertoken.json("price", "withdraw", *(row["price_id"] for row in announced))

    assert len(done["withdrawn"]) == len(announced) > 0
    assert in_december() == "2"
    assert in_december("--believed", believed) == "4"
    for source in ("genai", "history", "rules"):
        pertoken("price", "import", source)
    assert in_december() == "2"
    running = pertoken.json("price", "history", *model)["prices"][0]
    assert "in force since" in pertoken("price", "withdraw", running["price_id"], code=1).stderr
    assert "no price 'pr_x'" in pertoken("price", "withdraw", "pr_x", code=1).stderr


def test_diff_of_two_dates_and_two_sources(pertoken: Pertoken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each price that differs is named once, with both prices and the change."""
    found = pertoken.json("price", "diff", "2025-06-09", "2025-06-10")["differences"]
    o3 = {
        row["unit"]: (row["before"], row["after"], row["percent"])
        for row in found
        if row["model"] == "o3" and not row["conditions"]
    }
    assert (o3["input_tokens"], o3["output_tokens"]) == (("10", "2", "-80.0"), ("40", "8", "-80.0"))
    # on a working day: some of these prices depend on the hour and the day of the week
    monkeypatch.setattr("pertoken.cli.price_sources.now_us", lambda: parse_time("2026-11-25T12:00:00Z"))
    shipped = pertoken.json("price", "diff", "genai", "shipped")["differences"]
    assert {row["model"] for row in shipped if row["provider"] == "deepseek"} == {
        "deepseek-chat", "deepseek-reasoner", "deepseek-v3.2"
    }  # fmt: skip
    assert pertoken.json("price", "diff", "book", "book") == {
        "before": "book", "after": "book", "differences": [], "effects": []
    }  # fmt: skip
    assert "must be one of" in pertoken("price", "diff", "book", "yesterday", code=2).stderr


def test_a_misspelt_tier_has_no_price(pertoken: Pertoken) -> None:
    """The reason names what was asked for: never the standard price."""
    words = ("price", "show", "gpt-4o-mini", "--provider", "openai", "--when", "service_tier=prority")
    assert "with service tier 'prority'" in pertoken(*words, code=1).stderr
