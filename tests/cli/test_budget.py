from decimal import Decimal

import pytest
from tests.cli.conftest import Pertoken, WriteLines

SINCE = ("--from", "2026-01-01")
EVENT = {
    "at": "2026-11-23T10:00:00Z",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "usage": {"input_tokens": 1_000_000},
}


def test_a_budget_counts_what_its_scope_spent_already(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A new budget starts with what its window has seen: 1,000,000 input tokens of gpt-4o-mini are 0.15 USD."""
    pertoken("ingest", write_lines({**EVENT, "id": "a", "team": "growth"}, {**EVENT, "id": "b", "team": "other"}))
    pertoken("budget", "set", "g", "--limit", "100", "--window", "total", "--scope", "team=growth")
    (budget,) = pertoken.json("budget", "status")["budgets"]

    assert {name: budget[name] for name in ("limit", "spent", "held", "remaining")} == {
        "limit": "100",
        "spent": "0.15",
        "held": "0",
        "remaining": "99.85",
    }
    assert (budget["window_start"], budget["window_end"]) == (None, None)


def test_a_scope_takes_a_key_by_its_name(pertoken: Pertoken) -> None:
    """`--scope key=NAME` means the key's id."""
    made = pertoken.json("key", "create", "app")
    budget = pertoken.json("budget", "set", "b", "--limit", "1", "--scope", "key=app")

    assert budget["scope"] == {"key": made["id"]}


def test_each_value_has_its_own_counter(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`--each customer` shows one line for every customer that spent."""
    lines = ({**EVENT, "id": name, "customer": name} for name in ("acme", "umbrella"))
    pertoken("ingest", write_lines(*lines))
    pertoken("budget", "set", "per-customer", "--limit", "20", "--window", "total", "--each", "customer")
    rows = pertoken.json("budget", "status")["budgets"]

    assert {row["value"]: row["spent"] for row in rows} == {"acme": "0.15", "umbrella": "0.15"}
    assert "per-customer: acme" in pertoken("budget", "status").stdout


def test_setting_it_again_changes_the_limit(pertoken: Pertoken) -> None:
    """A budget of the same name is changed, not doubled."""
    pertoken("budget", "set", "b", "--limit", "1")
    pertoken("budget", "set", "b", "--limit", "2")

    assert [row["limit"] for row in pertoken.json("budget", "status")["budgets"]] == ["2"]


def test_only_what_is_named_is_changed(pertoken: Pertoken) -> None:
    """Setting one field of a budget again leaves all the others as they are, and each answer says them."""
    scope = ("--scope", "team=growth", "--each", "customer", "--window", "day", "--tz", "Europe/Berlin")
    pertoken(
        "budget", "set", "b", "--limit", "1", "--mode", "soft", "--before-refusal", "queue", "--warn-at", "80", *scope
    )
    made = pertoken.json("budget", "set", "b", "--limit", "2000")
    shown = pertoken("budget", "set", "b", "--mode", "hard").stdout

    assert {name: made[name] for name in made if name != "id"} == {
        "name": "b",
        "limit": "2000",
        "axis": "money",
        "window": "day",
        "timezone": "Europe/Berlin",
        "scope": {"team": "growth"},
        "each": "customer",
        "mode": "soft",
        "before_refusal": ["queue"],
        "warn_percent": 80,
    }
    assert "2,000 USD per day (Europe/Berlin) for team=growth, for each customer, hard" in shown


def test_the_status_says_what_a_budget_is_for(pertoken: Pertoken) -> None:
    """The table has the window, the scope and the mode of each budget."""
    pertoken("budget", "set", "b", "--limit", "1", "--scope", "team=growth", "--window", "day", "--mode", "soft")
    (line,) = [line for line in pertoken("budget", "status").stdout.splitlines() if line.startswith(" b ")]

    assert ("day" in line, "team=growth" in line, "soft" in line) == (True, True, True)


def test_a_budget_that_counted_nothing_is_shown(pertoken: Pertoken) -> None:
    """One for each customer stands in the table before any customer spent, and says whom it is for."""
    pertoken("budget", "set", "b", "--limit", "1", "--each", "customer")
    (row,) = pertoken.json("budget", "status")["budgets"]

    assert (row["name"], row["each"], row["value"], row["spent"]) == ("b", "customer", None, "0")
    assert "each customer" in pertoken("budget", "status").stdout


def test_a_limit_on_another_axis_is_asked_for(pertoken: Pertoken) -> None:
    """A limit in dollars is not taken for one in requests."""
    pertoken("budget", "set", "b", "--limit", "1")

    assert "also give the limit on requests" in pertoken("budget", "set", "b", "--axis", "requests", code=2).stderr


def test_limits_on_counts_are_counts(pertoken: Pertoken) -> None:
    """A budget on requests has whole numbers for its limit, not amounts."""
    pertoken("budget", "set", "rpm", "--axis", "requests", "--limit", "60", "--window", "minute", "--mode", "soft")
    (budget,) = pertoken.json("budget", "status")["budgets"]

    assert (budget["limit"], budget["spent"], budget["mode"]) == (60, 0, "soft")


@pytest.mark.parametrize(
    "options",
    [
        ("--limit", "plenty"),
        ("--limit", "-1"),
        ("--limit", "1.5", "--axis", "requests"),
        ("--limit", "1", "--scope", "weather=fine"),
        ("--limit", "1", "--scope", "key=nobody"),
        ("--limit", "1", "--each", "weather"),
        ("--limit", "1", "--tz", "Nowhere/Land"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_a_budget_is_refused(pertoken: Pertoken, options: tuple[str, ...]) -> None:
    """A budget that makes no sense ends with 1 and leaves nothing behind."""
    pertoken("budget", "set", "b", *options, code=1)

    assert pertoken.json("budget", "status") == {"budgets": []}


def test_a_budget_is_removed_once(pertoken: Pertoken) -> None:
    """`budget remove` takes it out of force; a second time it is not there."""
    pertoken("budget", "set", "b", "--limit", "1")

    assert pertoken.json("budget", "remove", "b") == {"name": "b", "removed": True}
    assert pertoken.json("budget", "status") == {"budgets": []}
    pertoken("budget", "remove", "b", code=1)


def test_the_table_says_when_a_window_ends_on_its_owners_clock(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A month in Berlin ends at midnight there; the share used is a bar and a percentage."""
    pertoken("ingest", write_lines({**EVENT, "id": "a", "usage": {"input_tokens": 100_000_000}}))
    pertoken("budget", "set", "month", "--limit", "100", "--tz", "Europe/Berlin")
    pertoken("budget", "set", "ever", "--limit", "20", "--window", "total")
    shown = pertoken("budget", "status").stdout
    (month,) = [row for row in pertoken.json("budget", "status")["budgets"] if row["name"] == "month"]

    assert Decimal(month["limit"]) == 100
    assert "-01 Europe/Berlin" in shown
    assert "███░░  75%" in shown
    assert "never ends" in shown


def test_without_budgets_the_next_command_is_named(pertoken: Pertoken) -> None:
    """An empty status says how to set the first budget."""
    assert "next: pertoken budget set" in pertoken("budget", "status").stdout


def test_a_budget_says_what_it_cannot_count(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Reports of unknown cost, or in another currency, are told by each budget they touch, until they are rated."""
    for name, more in (("all", ()), ("red", ("--scope", "team=red")), ("blue", ("--scope", "team=blue")),
                       ("teams", ("--each", "team")), ("calls", ("--axis", "requests"))):  # fmt: skip
        pertoken("budget", "set", name, "--limit", "100", "--window", "total", *more)
    pertoken(
        "price",
        "add",
        "--provider",
        "local",
        "--model",
        "m",
        "--input",
        "2",
        "--currency",
        "EUR",
        "--from",
        "2026-01-01",
    )
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    at = {"at": "2026-11-20T12:00:00Z", "team": "red", "usage": usage}
    lines = [
        {**at, "id": "unknown", "provider": "acme", "model": "m"},
        {**at, "id": "euros", "provider": "local", "model": "m"},
        {**at, "id": "tier", "provider": "openai", "model": "gpt-4o-mini", "service_tier": "scale"},
    ]
    assert pertoken.json("ingest", write_lines(*lines))["accepted"] == 3

    def uncounted() -> dict[str, int]:
        return {row["name"]: row["uncounted"] for row in pertoken.json("budget", "status")["budgets"]}

    assert uncounted() == {"all": 2, "red": 2, "blue": 0, "teams": 2, "calls": 0}
    notes = [line for line in pertoken("budget", "status").stdout.splitlines() if "is not counted" in line]
    assert [line.partition(" is not")[0].strip() for line in notes] == ["all, red, teams: the cost of 2 calls"]
    totals = pertoken.json("usage", "--since", "2026-11-01")["totals"]
    assert sum(total["uncounted_calls"] for total in totals) == 1
    pertoken("price", "add", "--provider", "acme", "--model", "m", "--input", "3", *SINCE)
    pertoken("rerate", "--from", "2026-11-01", "--to", "2026-12-01")
    assert uncounted() == {"all": 1, "red": 1, "blue": 0, "teams": 1, "calls": 0}
    assert pertoken.json("verify")["ok"]
