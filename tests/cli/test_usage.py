import csv
import io
import re

import pytest
from tests.cli.conftest import Pertoken, WriteLines
from tests.factories import event_line as event

NOVEMBER = ("--since", "2026-11-01", "--until", "2026-11-30")


def test_usage_has_rows_total_and_zone(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`usage --json` sums each model, all of them, and says whose days it counts."""
    usage = {"input_tokens": 1000, "cache_read_tokens": 400, "output_tokens": 50, "reasoning_tokens": 20}
    pertoken("ingest", write_lines(event("a"), event("b", model="gpt-4o", usage=usage)))
    report = pertoken.json("usage", *NOVEMBER)

    assert [row["model"] for row in report["rows"]] == ["gpt-4o-mini", "gpt-4o"]  # the dearest first
    assert {name: report["rows"][1][name] for name in ("calls", *usage)} == {"calls": 1, **usage}
    assert report["total"]["calls"] == 2
    assert report["total"]["input_tokens"] == 1_001_000
    assert (report["rows"][0]["cost"], report["timezone"]) == ("0.15", "UTC")


@pytest.mark.parametrize("command", ["usage", "latency"])
def test_a_report_by_a_time_is_of_sixty_years_at_most(pertoken: Pertoken, command: str) -> None:
    """By day, a range of all times is refused and says which option to change; without a time it is summed."""
    span = ("--since", "1971-01-01", "--until", "9998-12-31")
    refused = pertoken(command, "--by", "day", *span, code=2)

    assert "--until" in refused.stderr
    assert "60 years at most" in refused.stderr
    assert pertoken.json(command, "--by", "model", *span)["rows"] == []


def test_a_key_is_shown_by_its_name(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """By key, the table has names; JSON has the id and the name; a call without key is shown as (none)."""
    made = pertoken.json("key", "create", "acme-app")
    pertoken("ingest", write_lines(event("a", key=made["id"]), event("b")))
    rows = pertoken.json("usage", "--by", "key", *NOVEMBER)["rows"]
    shown = pertoken("usage", "--by", "key", *NOVEMBER).stdout

    assert {(row["key"], row["key_name"]) for row in rows} == {(made["id"], "acme-app"), ("", None)}
    assert "acme-app" in shown
    assert "(none)" in shown
    assert made["id"] not in shown


@pytest.mark.parametrize(
    ("asked", "zone", "calls"),
    [
        (("2026-11-20", "2026-11-20"), "UTC", 2),  # a plain date is included to its end
        (("20261120", "20261120"), "UTC", 2),
        (("2026-11-20", "2026-11-20"), "Asia/Kolkata", 1),  # 23:30 UTC is the next day there
        (("2026-11-21", "2026-11-21"), "Asia/Kolkata", 1),
        (("2026-11-20", "2026-11-20T23:30:00Z"), "UTC", 1),  # an instant is not included
        (("2026-11-20", "2026-11-20T23:30:00.000001Z"), "UTC", 2),
        (("2026-11-20T12:00:00Z", "2026-11-21"), "UTC", 2),
        (("2026-11-20T12:00:01Z", "2026-11-21"), "UTC", 1),
    ],
)
def test_a_range_is_in_its_zone(
    pertoken: Pertoken, write_lines: WriteLines, asked: tuple[str, str], zone: str, calls: int
) -> None:
    """Dates begin and end in the zone that `--tz` names; since is included, an instant until is not."""
    pertoken("ingest", write_lines(event("noon"), event("late", "2026-11-20T23:30:00Z")))
    since, until = asked
    report = pertoken.json("usage", "--since", since, "--until", until, "--tz", zone)

    assert (report["total"]["calls"], report["timezone"]) == (calls, zone)


def test_days_weeks_and_months_have_commands(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`daily`, `weekly` and `monthly` group the same usage by their window."""
    lines = [event("a", "2026-11-01T00:00:00Z"), event("b", "2026-11-02T00:00:00Z"), event("c", "2026-11-08T23:00:00Z")]
    pertoken("ingest", write_lines(*lines))
    by = {name: pertoken.json(name, *NOVEMBER)["rows"] for name in ("daily", "weekly", "monthly")}

    assert [(row["day"], row["calls"]) for row in by["daily"]] == [
        ("2026-11-01", 1),
        ("2026-11-02", 1),
        ("2026-11-08", 1),
    ]
    assert [(row["week"], row["calls"]) for row in by["weekly"]] == [("2026-W44", 1), ("2026-W45", 2)]
    assert [(row["month"], row["calls"]) for row in by["monthly"]] == [("2026-11", 3)]


@pytest.mark.parametrize("command", [("usage", "--by", "conversation"), ("conversation",)])
def test_two_currencies_are_not_added_up(pertoken: Pertoken, write_lines: WriteLines, command: tuple[str, ...]) -> None:
    """Each currency has a total of its own; one that only corrections are in is not said to be of 0 calls."""
    for currency in ("EUR", "USD"):
        price = ("--input", "1", "--output", "2", "--currency", currency, "--from", "2026-11-01")
        pertoken("price", "add", "--provider", "here", "--model", f"model-{currency}", *price)
    lines = [event(f"{at}{model}", provider="here", model=model, conversation="c1")
             for model, calls in (("model-EUR", 2), ("model-USD", 1)) for at in range(calls)]  # fmt: skip
    pertoken("ingest", write_lines(*lines))
    report = pertoken.json(*command, *NOVEMBER)

    assert [(one["currency"], one["calls"]) for one in report["totals"]] == [("EUR", 2), ("USD", 1)]
    assert re.search(r"total 2\.00 EUR in 2 calls\n +total 1\.00 USD in 1 call\n", pertoken(*command, *NOVEMBER).stdout)

    change = ("--input", "3", "--output", "6", "--currency", "GBP", "--from", "2026-11-02")
    pertoken("price", "add", "--provider", "here", "--model", "model-USD", *change)
    pertoken("rerate", "--from", "2026-11-01", "--to", "2026-11-30")
    shown = pertoken(*command, *NOVEMBER).stdout
    assert re.search(r"total 3\.00 GBP in corrections of calls\n", shown)
    assert " 0 calls" not in shown


def test_a_session_is_a_conversation(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`conversation`, also called `session`, sums the calls of each conversation, from its first to its last."""
    pertoken(
        "ingest", write_lines(event("a", conversation="c1"), event("b", "2026-11-20T13:00:00Z", conversation="c1"))
    )
    (row,) = pertoken.json("conversation", *NOVEMBER)["rows"]

    assert (row["conversation"], row["calls"], row["cost"]) == ("c1", 2, "0.3")
    assert (row["first"], row["last"]) == ("2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z")
    assert "2026-11-20 13:00" in pertoken("session", *NOVEMBER).stdout


def test_tags_are_dimensions(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`--by tag:feature,model` groups by both."""
    pertoken("ingest", write_lines(event("a", tags={"feature": "chat"}), event("b")))
    rows = pertoken.json("usage", "--by", "tag:feature,model", *NOVEMBER)["rows"]

    assert [(row["tag:feature"], row["model"]) for row in rows] == [("", "gpt-4o-mini"), ("chat", "gpt-4o-mini")]


def test_what_has_no_price_is_never_shown_as_zero(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What no list knows has no cost in the table, is counted as unpriced, and the table says what mends it."""
    pertoken("ingest", write_lines(event("a"), event("b", provider="acme", model="nobody-knows")))
    shown = pertoken("usage", *NOVEMBER).stdout
    (line,) = [line for line in shown.splitlines() if "nobody-knows" in line]

    assert line.split()[1:3] == ["1", "1"]
    assert line.split()[-1] == "-"
    assert "1 unpriced: not charged; fix: pertoken price add, then pertoken rerate --from 2026-11-01" in shown


def test_currencies_are_not_added_up(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Money of two currencies has a row and a total each."""
    start = ("--provider", "local", "--model", "m", "--input", "2", "--from", "2026-01-01", "--currency", "EUR")
    pertoken("price", "add", *start)
    pertoken("ingest", write_lines(event("a"), event("b", provider="local", model="m")))
    shown = pertoken("usage", *NOVEMBER).stdout

    assert "total 0.1500 USD in 1 call" in shown
    assert "total 2.00 EUR in 1 call" in shown


def test_an_empty_time_says_where_to_look(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Without any usage the next command is to serve; where there is some at another time, it is named."""
    assert "next: pertoken serve" in pertoken("usage").stdout

    pertoken("ingest", write_lines(event("a", "2020-02-29T12:00:00Z")))

    assert "next: pertoken usage --since 2020-02-29 --until 2020-02-29" in pertoken("usage").stdout


def test_usage_takes_the_filters_of_calls(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Each filter leaves the usage of what fits, also where it is archived; `daily` takes them as well."""
    made = pertoken.json("key", "create", "app")
    pertoken(
        "ingest",
        write_lines(
            event("a", team="red", conversation="c1"),
            event("b", team="red", key=made["id"], usage={"input_tokens": 2_000_000}),
            event("c", provider="acme", model="nobody-knows"),
            event("old", "2026-03-05T10:00:00Z", team="red", conversation="c1"),
        ),
    )
    year = ("--since", "2026-01-01", "--until", "2026-12-31")
    asked = {
        ("--team", "red"): (3, "0.6"), ("--key", "app"): (1, "0.3"), ("--conversation", "c1"): (2, "0.3"),
        ("--status", "unpriced"): (1, "0"), ("--status", "ok"): (3, "0.6"), ("--min-cost", "0.2"): (1, "0.3"),
        ("--model", "gpt-4o-mini", "--min-cost", "0.1"): (3, "0.6"), ("--customer", "nobody"): (0, "0"),
    }  # fmt: skip
    for _ in range(2):
        for filters, (calls, cost) in asked.items():
            for command in ("usage", "daily"):
                total = pertoken.json(command, *year, *filters)["total"]
                assert (total["calls"], total["cost"]) == (calls, cost), (command, filters)
        rows = pertoken.json("usage", "--by", "conversation,model", "--model", "gpt-4o-mini", *year)["rows"]
        assert [(row["conversation"], row["calls"], row["cost"]) for row in rows] == [("", 1, "0.3"), ("c1", 2, "0.3")]
        pertoken("archive", "--before", "2026-05")


@pytest.mark.parametrize("arguments", [("--status", "lost"), ("--min-cost", "much")])
def test_a_filter_that_is_none_is_wrong_use(pertoken: Pertoken, arguments: tuple[str, str]) -> None:
    """A status or an amount that is none is refused, naming the option."""
    assert arguments[0] in pertoken("usage", *arguments, code=2).stderr


def test_refused_calls_have_no_usage(pertoken: Pertoken) -> None:
    """Refused calls used nothing, and the message says where they are."""
    assert "pertoken calls --status refused" in pertoken("usage", "--status", "refused", code=1).stderr


def test_usage_as_csv(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`--csv` has the rows of `--json` with their fields as columns, and nothing where there are no rows."""
    pertoken("ingest", write_lines(event("a", customer='=1+1,"x"'), event("b", customer="acme")))
    written = pertoken("usage", "--by", "customer", *NOVEMBER, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(written)))

    assert {row["customer"] for row in rows} == {'\'=1+1,"x"', "acme"}
    assert [row["cost"] for row in rows] == ["0.15", "0.15"]
    assert list(rows[0]) == list(pertoken.json("usage", "--by", "customer", *NOVEMBER)["rows"][0])
    assert pertoken("usage", "--csv", "--since", "2020-01-01", "--until", "2020-01-02").stdout.strip() == ""


@pytest.mark.parametrize(
    ("words", "name"),
    [(("usage",), "gpt-4o-mini"), (("daily",), "2026-11-20"), (("weekly",), "2026-W47"), (("monthly",), "2026-11")],
)
def test_a_chart_stands_beside_the_figures(
    pertoken: Pertoken, write_lines: WriteLines, words: tuple[str, ...], name: str
) -> None:
    """`--chart` draws each cost as a part of the largest; the figures are as without it."""
    usage = {"input_tokens": 1_000_001}
    lines = [event("a", usage=usage), event("b", "2026-10-31T00:00:00Z", model="gpt-4.1-nano", usage=usage)]
    pertoken("ingest", write_lines(*lines))
    since = ("--since", "2026-10-01", "--until", "2026-11-30")
    plain, charted = (pertoken(*words, *since, *more).stdout for more in ((), ("--chart",)))
    [row] = [line for line in charted.splitlines() if line.split()[:1] == [name]]

    assert row.split()[-2:] == ["0.1500", "█" * 60]
    assert [line.split() for line in charted.replace("█", "").splitlines() if "0." in line] == [
        line.split() for line in plain.splitlines() if "0." in line
    ]
    assert "█" not in plain


def test_bars_of_two_currencies_have_a_measure_each(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """The largest cost of each currency has the longest bar; what has no price, and no rows at all, have none."""
    start = ("--provider", "local", "--model", "m", "--input", "2", "--from", "2026-01-01", "--currency", "EUR")
    pertoken("price", "add", *start)
    unknown = event("c", provider="acme", model="nobody-knows")
    pertoken("ingest", write_lines(event("a"), event("b", provider="local", model="m"), unknown))
    shown = pertoken("usage", "--chart", *NOVEMBER).stdout

    assert [line.split()[0] for line in shown.splitlines() if "█" * 60 in line] == ["m", "gpt-4o-mini"]
    assert "█" not in pertoken("usage", "--chart", "--since", "2020-01-01", "--until", "2020-01-02").stdout


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_chart_is_for_people(pertoken: Pertoken, form: str) -> None:
    """With an output for programs it is wrong use."""
    assert "--chart" in pertoken("usage", "--chart", form, code=2).stderr
