"""`pertoken bill` and `pertoken plan check`, on files alone."""

import csv
import gzip
import json
import os
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Pertoken, WriteLines
from tests.factories import event_line as event

MONTH = ("--from", "2026-11-01", "--to", "2026-12-01")
TOKENS = {"name": "tokens in", "meter": {"unit": "input_tokens"}, "model": "unit", "price": "0.30", "per": 1_000_000}
FEE = {"name": "fee", "model": "flat", "price": "20"}
AT_COST = {"name": "at cost", "meter": {"unit": "cost"}, "model": "markup", "price": "0.25"}


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """Return a function that writes a plan and returns its path."""

    def write(*charges: dict[str, Any], **more: Any) -> str:
        fields = {"plan": "growth", "version": 3, "currency": "USD", "charges": list(charges), **more}
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(fields, sort_keys=False))
        return str(path)

    return write


def test_a_bill(bare: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """A bill needs no database; it says quantity, price and amount of each line, and their sum."""
    events = write_lines(event("a", usage={"input_tokens": 1_000_001}), event("b", usage={"input_tokens": 2}))
    found = bare.json("bill", "--events", events, "--plan", plan(TOKENS, FEE))

    said = [
        {name: line[name] for name in ("description", "quantity", "unit_amount", "amount")} for line in found["lines"]
    ]
    assert said == [
        {"description": "tokens in", "quantity": "1000003", "unit_amount": "0.0000003", "amount": "0.3000009"},
        {"description": "fee", "quantity": "1", "unit_amount": "20", "amount": "20"},
    ]
    assert (found["currency"], found["total"], found["events"]) == ("USD", "20.3000009", 2)
    assert "20.3000009" in bare("bill", "--events", events, "--plan", plan(TOKENS, FEE)).stdout


def test_whose_events_and_when(bare: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """--customer, --from and --to say which events are billed; the end does not belong to the period."""
    events = write_lines(
        event("a", customer="acme", at="2026-11-01T00:00:00Z"),
        event("b", customer="acme", at="2026-12-01T00:00:00Z"),
        event("c", customer="other", at="2026-11-02T00:00:00Z"),
    )
    calls = {"name": "calls", "meter": {"unit": "calls"}, "model": "unit", "price": "1"}
    ask = ("bill", "--events", events, "--plan", plan(calls))

    assert bare.json(*ask)["total"] == "3"
    assert bare.json(*ask, "--customer", "acme")["total"] == "2"
    assert bare.json(*ask, "--customer", "acme", *MONTH)["total"] == "1"
    assert bare.json(*ask, "--customer", "nobody")["total"] == "0"


@pytest.mark.parametrize(("zone", "months"), [("UTC", 2), ("Asia/Tokyo", 1), ("America/Los_Angeles", 2)])
def test_months(bare: Pertoken, plan: Any, write_lines: WriteLines, zone: str, months: int) -> None:
    """Without a period, each calendar month of the zone is one, with its own fee; with one, there is one fee."""
    events = write_lines(event("a", at="2026-11-30T20:00:00Z"), event("b", at="2026-12-01T12:00:00Z"))
    ask = ("bill", "--events", events, "--plan", plan(FEE), "--tz", zone)

    assert bare.json(*ask)["total"] == str(20 * months)
    assert bare.json(*ask, "--from", "2026-11-15", "--to", "2026-12-15")["total"] == "20"


def test_a_period_without_events(bare: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """A period that is asked for has its fees, whoever used nothing in it."""
    events = write_lines(event("a", at="2026-11-30T20:00:00Z"))
    found = bare.json("bill", "--events", events, "--plan", plan(FEE), "--from", "2027-01-01", "--to", "2027-02-01")

    assert found["total"] == "20"


def test_a_line_counts_once(bare: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """The same event twice is charged once; another one under its id stops the bill."""
    first = event("a", usage={"input_tokens": 1_000_000})
    ask = ("--plan", plan(TOKENS))
    found = bare.json("bill", "--events", write_lines(first, first), *ask)
    other = bare("bill", "--events", write_lines(first, event("a", usage={"input_tokens": 1})), *ask, code=1)

    assert (found["total"], found["duplicates"]) == ("0.3", 1)
    assert "line 2: cannot_bill: conflict: id 'a' was used before with other content" in other.stderr
    assert "no bill: 1 event cannot be charged" in other.stderr


BAD_LINES = [
    ("{", "line 1: invalid_json"),
    (json.dumps(event("a", usage={"input_tokens": -1})), "line 1: invalid_event: input_tokens is not a count"),
    (json.dumps(event("a", usage={"input_tokens": 1.5})), "line 1: invalid_event: input_tokens is not a count"),
    (json.dumps(event("a", at="soon")), "line 1: invalid_event: not a time"),
    (json.dumps(event("a", model="nobody-knows")), "line 1: cannot_bill: its cost is not known"),
]


@pytest.mark.parametrize(("line", "says"), BAD_LINES, ids=[says for _, says in BAD_LINES])
def test_a_line_that_cannot_be_charged(bare: Pertoken, plan: Any, tmp_path: Path, line: str, says: str) -> None:
    """There is no bill that leaves out what it does not understand."""
    events = tmp_path / "events.jsonl"
    events.write_text(line + "\n" + json.dumps(event("z")) + "\n")
    refused = bare("bill", "--events", str(events), "--plan", plan(TOKENS, AT_COST), code=1)

    assert says in refused.stderr
    assert refused.stdout == ""


def test_a_markup_is_on_what_the_provider_charges(bare: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """A million tokens of gpt-4o-mini cost 0.15 USD; with a quarter on top, 0.1875."""
    events = write_lines(event("a", usage={"input_tokens": 1_000_000}))
    [line] = bare.json("bill", "--events", events, "--plan", plan(AT_COST))["lines"]

    assert (line["quantity"], line["unit_amount"], line["amount"]) == ("0.15", "1.25", "0.1875")


def test_events_before_the_plan(bare: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """A plan that began later is applied, and that is said."""
    ask = ("bill", "--events", write_lines(event("a")), "--plan", plan(FEE, **{"from": "2027-01-01"}))

    assert "1 event occurred before this version of the plan" in bare(*ask).stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", "2026-12-01", "--to", "2026-11-01"), "must be after --from"),
        (("--from", "soon"), "not a time"),
        (("--tz", "Nowhere"), "unknown time zone"),
    ],
)
def test_wrong_options(bare: Pertoken, plan: Any, write_lines: WriteLines, options: tuple[str, ...], says: str) -> None:
    """What is asked wrongly ends with 2."""
    asked = bare("bill", "--events", write_lines(event("a")), "--plan", plan(FEE), *options, code=2)

    assert says in asked.stderr


def test_check(bare: Pertoken, plan: Any) -> None:
    """A plan is shown with what decides each charge; a wrong one is refused with file, line and reason."""
    found = bare.json("plan", "check", plan(TOKENS, {**TOKENS, "name": "beyond", "included": 5}, FEE))
    wrong = bare("plan", "check", plan({**TOKENS, "price": "much"}), code=1)

    assert [(one["name"], one["decided_by"]) for one in found["charges"]] == [
        ("tokens in", "event"),
        ("beyond", "period"),
        ("fee", "period"),
    ]
    assert "plan.yaml: line 9: charges[0].price: not a decimal amount: 'much'" in wrong.stderr


def test_what_is_recorded(pertoken: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """Recorded events make the bill that their file makes, whatever was corrected since."""
    usage = {"input_tokens": 1_000}
    events = write_lines(
        event("a", customer="acme", usage=usage, model="new-model"),
        event("b", customer="acme", usage={"input_tokens": 3}),
        event("c", customer="other"),
        event("d", customer="acme", at="2026-12-01T00:00:00Z"),
    )
    pertoken("ingest", events)
    model = ("--provider", "openai", "--model", "new-model")
    pertoken("price", "add", *model, "--input", "0.40", "--from", "2026-11-01")
    pertoken("rerate", "--from", "2026-11-01")
    ask = ("--plan", plan(TOKENS, AT_COST, FEE), "--customer", "acme", *MONTH)
    of_file, recorded = (pertoken.json("bill", *ask, *more) for more in (("--events", events), ()))

    assert recorded["lines"] == of_file["lines"]
    assert recorded["total"] == "20.0008014625"
    assert recorded["provisional"] == 0


def test_a_provisional_cost(pertoken: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """A cost that is not certain is charged as it stands, and the bill says so."""
    pertoken("ingest", write_lines(event("a", model="new-model", usage={"input_tokens": 1})))
    found = pertoken.json("bill", "--plan", plan(AT_COST), *MONTH)

    assert found["provisional"] == 1


def test_a_customer_is_charged_by_its_plan(pertoken: Pertoken, plan: Any, write_lines: WriteLines) -> None:
    """From the instant of its subscription on, each event of a customer has a price beside its cost."""
    file = plan(TOKENS, AT_COST, FEE)
    early = write_lines(event("a", customer="acme"))
    pertoken("ingest", early)
    pertoken("plan", "apply", file)
    pertoken("subscribe", "acme", "growth")
    now = datetime.now(UTC).isoformat()
    pertoken("ingest", write_lines(event("b", at=now, customer="acme"), event("c", at=now, customer="other")))
    rows = pertoken.json("usage", "--since", "2026-11-20", "--by", "customer")["rows"]
    prices = {row["customer"]: (row["cost"], row["price"]) for row in rows}

    assert prices == {"acme": ("0.3", "0.4875"), "other": ("0.15", None)}
    assert pertoken.json("verify")["ok"]


def test_plans_are_applied_and_shown(pertoken: Pertoken, plan: Any) -> None:
    """A version is applied once, listed, shown as it was written, and compared with a file."""
    first = plan(TOKENS)
    content = Path(first).read_text()
    applied, again = (pertoken.json("plan", "apply", first)["new"] for _ in range(2))
    same = pertoken.json("plan", "diff", first)["lines"]
    changed = pertoken.json("plan", "diff", plan(FEE), code=1)["lines"]
    refused = pertoken("plan", "apply", plan(FEE), code=1)

    assert (applied, again) == (True, False)
    assert pertoken("plan", "show", "growth").stdout.strip() == content.strip()
    assert [row["version"] for row in pertoken.json("plan", "list")["plans"]] == [3]
    assert same == []
    assert "+- name: fee" in changed
    assert "version 3 of plan 'growth' was applied with other content; raise `version`" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("plan", "show", "grwth"), 1, "no plan 'grwth'; did you mean 'growth'?"),
        (("plan", "show", "growth", "--version", "9"), 1, "plan 'growth' has no version 9; it has: 3"),
        (("subscribe", "acme", "nothing"), 1, "no version of plan 'nothing' is in force"),
        (("subscribe", "acme", "growth", "--from", "2026-01-01"), 1, "must not be past"),
        (("subscribe", "acme"), 2, "name a plan, or write --end"),
        (("subscribe", "acme", "growth", "--end"), 2, "name a plan, or write --end"),
    ],
)
def test_what_does_not_go(pertoken: Pertoken, plan: Any, words: tuple[str, ...], code: int, says: str) -> None:
    """What is wrong is said, with what is right where that is known."""
    pertoken("plan", "apply", plan(TOKENS))

    assert says in pertoken(*words, code=code).stderr


PLANS: dict[str, list[dict[str, Any]]] = {
    "per token": [TOKENS, {**TOKENS, "name": "tokens out", "meter": {"unit": "output_tokens"}, "price": "1.20"}],
    "graduated": [
        {
            "name": "tokens in",
            "meter": {"unit": "input_tokens"},
            "model": "graduated",
            "per": 1_000_000,
            "tiers": [{"up_to": 1_000_000, "price": "0.5"}, {"up_to": 5_000_000, "price": "0.3"}, {"price": "0.1"}],
        }
    ],
    "volume": [
        {
            "name": "calls",
            "meter": {"unit": "calls"},
            "model": "volume",
            "tiers": [{"up_to": 1_000, "price": "0.01"}, {"price": "0.004"}],
        }
    ],
    "package": [
        {
            "name": "out",
            "meter": {"unit": "output_tokens"},
            "model": "package",
            "per": 100_000,
            "price": "2",
            "included": 50_000,
        }
    ],
    "at cost": [AT_COST, FEE],
}


def slowly(name: str, read: list[int], made: list[int]) -> Decimal:
    """Return what a plan makes of the tokens of some calls, computed another way."""
    million, total = Decimal(1_000_000), Decimal(0)
    if name == "per token":
        return (sum(read) * Decimal("0.30") + sum(made) * Decimal("1.20")) / million
    if name == "graduated":
        for low, high, price in ((0, 10**6, "0.5"), (10**6, 5 * 10**6, "0.3"), (5 * 10**6, 10**15, "0.1")):
            total += max(0, min(sum(read), high) - low) * Decimal(price) / million
        return total
    if name == "volume":
        return len(read) * Decimal("0.01" if len(read) <= 1_000 else "0.004")
    if name == "package":
        left = sum(made) - 50_000
        while left > 0:
            left, total = left - 100_000, total + 2
        return total
    for one, other in zip(read, made, strict=True):
        total += (Decimal("0.15") * one + Decimal("0.6") * other) / million * Decimal("1.25")
    return total + 20


@pytest.mark.parametrize("name", PLANS)
def test_real_tenants(bare: Pertoken, plan: Any, tmp_path: Path, name: str) -> None:
    """Real requests under five plans come to what an independent calculator says, to the last digit."""
    folder = Path(os.environ.get("PERTOKEN_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    trace = folder / "traces" / "azure_llm_2023_conv.csv.gz"
    if not trace.exists():
        pytest.skip(f"the real traces are not here: {trace}; set PERTOKEN_DATA")
    tokens: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    with gzip.open(trace, "rt") as rows, (tmp_path / "events.jsonl").open("w") as events:
        for at, (_, read, made) in enumerate(islice(csv.reader(rows), 1, 4_001)):
            customer = f"tenant {at % 3}"
            tokens[customer][0].append(int(read))
            tokens[customer][1].append(int(made))
            usage = {"input_tokens": int(read), "output_tokens": int(made)}
            line = event(str(at), customer=customer, at=f"2026-11-{at % 30 + 1:02d}T12:00:00Z", usage=usage)
            events.write(json.dumps(line) + "\n")
    for customer, (read_all, made_all) in tokens.items():
        ask = ("--events", str(tmp_path / "events.jsonl"), "--plan", plan(*PLANS[name]), "--customer", customer)
        found = bare.json("bill", *ask, *MONTH)

        assert Decimal(found["total"]) == slowly(name, read_all, made_all)
        assert found["events"] == len(read_all)
