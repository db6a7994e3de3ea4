import gzip
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines
from tests.factories import event_line as event

from pertoken.api.routes.events import EventBody
from pertoken.cli.ingest_notes import EVENT_FIELDS
from pertoken.services.ingest import BATCH, NOT_TAKEN_MAX

GPT = ("--format", "azure-trace", "--provider", "openai", "--model", "gpt-4o-mini")
TRACE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951690,396,109\r\n"
    "2023-11-16 18:15:50.9951690,396,109\r\n"
)


def counts(found: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return how many were accepted, duplicate, conflicting and rejected."""
    return found["accepted"], found["duplicate"], found["conflicting"], len(found["rejected"])


def test_a_second_run_adds_nothing(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """The same file twice is the same events once, in the counts and in the books."""
    path = write_lines(event("a"), event("b", customer="acme", tags={"x": "y"}, service_tier="default", batch=False))

    assert counts(pertoken.json("ingest", path)) == (2, 0, 0, 0)
    assert counts(pertoken.json("ingest", path)) == (0, 2, 0, 0)
    assert pertoken.json("usage", "--since", "2026-11-20", "--until", "2026-11-20")["total"]["calls"] == 2
    assert pertoken.json("verify")["ok"]


def test_the_same_id_with_other_content_is_a_conflict(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """It changes nothing, is named by its line, and ends with 1; of another source it is another event."""
    pertoken("ingest", write_lines(event("a")))
    other = event("a", usage={"input_tokens": 1})
    found = pertoken.json("ingest", write_lines(event("b"), other, event("a", source="elsewhere")), code=1)

    assert counts(found) == (2, 0, 1, 0)
    assert found["conflicting_lines"] == [2]
    assert pertoken.json("usage", "--since", "2026-11-20", "--until", "2026-11-20")["total"]["cost"] == "0.45"


@pytest.mark.parametrize(("limit", "accepted"), [(None, 1), ("0.15", 1), ("0.149", 0), ("1000", 2)])
def test_an_event_costs_what_the_operator_allows_at_most(
    pertoken: Pertoken, write_lines: WriteLines, limit: str | None, accepted: int
) -> None:
    """A line that says more than limits.reported_event, 100 without it, is rejected by number; the others are taken."""
    path = write_lines(event("a"), event("b", usage={"input_tokens": 10**9}))  # 0.15 and 150 USD
    environ = {} if limit is None else {"PERTOKEN_LIMITS__REPORTED_EVENT": limit}
    found = pertoken.json("ingest", path, code=int(accepted < 2), **environ)

    assert found["accepted"] == accepted
    assert [problem["line"] for problem in found["rejected"]] == [1, 2][accepted:]
    assert {problem["code"] for problem in found["rejected"]} <= {"above_limit"}


def test_bad_lines_are_rejected_and_the_rest_taken(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Each rejected line has its number and a code; the good ones are in the books; the exit is 1."""
    lines: list[Any] = [
        event("a"),
        "not json",
        "",
        "[]",
        event("contradiction", usage={"input_tokens": 1, "cache_read_tokens": 2}),
        event("no-time", at=None),
        event("b"),
    ]
    found = pertoken.json("ingest", write_lines(*lines), code=1)

    assert counts(found) == (2, 0, 0, 4)
    assert [(problem["line"], problem["code"]) for problem in found["rejected"]] == [
        (2, "invalid_json"),
        (4, "invalid_event"),
        (5, "contradictory_usage"),
        (6, "invalid_event"),
    ]
    shown = pertoken("ingest", write_lines(*lines), code=1)
    assert shown.stdout == "0 accepted, 2 duplicate, 0 conflicting, 4 rejected\n"
    assert "line 6: invalid_event: at is missing" in shown.stderr


def test_options_fill_what_lines_leave_out(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`--provider`, `--model`, `--customer`, `--team` and `--key` hold for lines that name none."""
    line = {"id": "a", "at": "2026-11-20T12:00:00Z", "usage": {"input_tokens": 1}, "customer": "mine"}
    defaults = ("--provider", "openai", "--model", "gpt-4o-mini", "--customer", "theirs", "--team", "t", "--key", "k")
    pertoken("ingest", write_lines(line), *defaults)
    attribution = pertoken.json("explain", "a")["attribution"]

    assert {name: attribution[name] for name in ("provider", "model", "customer", "team", "key")} == {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "customer": "mine",
        "team": "t",
        "key": "k",
    }


def test_it_counts_against_budgets_of_its_time(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What came in late counts in the window in which it occurred, not in today's."""
    pertoken("budget", "set", "day", "--limit", "1", "--window", "day")
    pertoken("budget", "set", "ever", "--limit", "1", "--window", "total")
    pertoken("ingest", write_lines(event("a", at="2024-11-20T12:00:00Z")))
    spent = {row["name"]: row["spent"] for row in pertoken.json("budget", "status")["budgets"]}

    assert spent == {"day": "0", "ever": "0.15"}
    assert pertoken.json("verify")["ok"]


def test_prices_are_those_of_its_time(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """An event is rated at the price in force when it occurred, to the microsecond of the change."""
    stated = ("--provider", "openai", "--model", "gpt-4o-mini", "--input", "1")
    pertoken("price", "add", *stated, "--from", "2026-11-20T12:00:00Z")
    pertoken("ingest", write_lines(event("before", at="2026-11-20T11:59:59.999999Z"), event("after")))

    assert pertoken.json("explain", "before")["cost"] == "0.15"
    assert pertoken.json("explain", "after")["cost"] == "1"


def test_a_later_price_changes_no_past_event(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What was rated stays as it was, and the same line stays a duplicate, when a price changes afterwards."""
    path = write_lines(event("a"))
    pertoken("ingest", path)
    pertoken("price", "add", "--provider", "openai", "--model", "gpt-4o-mini", "--input", "9", "--from", "2026-01-01")

    assert counts(pertoken.json("ingest", path)) == (0, 1, 0, 0)
    assert pertoken.json("explain", "a")["cost"] == "0.15"
    assert pertoken.json("verify")["ok"]


@pytest.mark.parametrize("packed", [False, True])
def test_an_azure_trace_is_read(pertoken: Pertoken, tmp_path: Path, packed: bool) -> None:
    """Rows alike are events of their own, for they are lines of their own; packed or not, they are the same usage."""
    path = tmp_path / ("trace.csv.gz" if packed else "trace.csv")
    path.write_bytes(gzip.compress(TRACE.encode()) if packed else TRACE.encode())
    found = pertoken.json("ingest", str(path), *GPT, "--customer", "azure")
    total = pertoken.json("usage", "--since", "2023-11-16", "--until", "2023-11-16")["total"]

    assert counts(found) == (3, 0, 0, 0)
    assert (total["calls"], total["input_tokens"], total["output_tokens"]) == (3, 1166, 262)
    assert total["cost"] == "0.0003321"  # (1,166 x 0.15 + 262 x 0.60) / 1,000,000
    assert counts(pertoken.json("ingest", str(path), *GPT, "--customer", "azure")) == (0, 3, 0, 0)


def test_a_bad_row_is_rejected_by_its_line(pertoken: Pertoken, tmp_path: Path) -> None:
    """A row that is torn, negative or no number is rejected; the others count."""
    path = tmp_path / "trace.csv"
    rows = ["2023-11-16 18:15:46,1,2", "2023-11-16 18:15:46,1", "noon,1,2", "2023-11-16 18:15:46,-1,2", '"', "x,1e3,2"]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    found = pertoken.json("ingest", str(path), *GPT, code=1)

    assert counts(found) == (1, 0, 0, 5)
    assert [problem["line"] for problem in found["rejected"]] == [3, 4, 5, 6, 7]


def test_a_torn_file_keeps_what_came_before(pertoken: Pertoken, tmp_path: Path) -> None:
    """A .gz that breaks off is a problem of its last line, not the loss of the lines before it."""
    path = tmp_path / "events.jsonl.gz"
    lines = "".join(json.dumps(event(f"{number}", conversation=f"{number:064}")) + "\n" for number in range(3_000))
    whole = gzip.compress(lines.encode())
    path.write_bytes(whole[: len(whole) // 2])
    torn = pertoken.json("ingest", str(path), code=1)
    path.write_bytes(whole)
    mended = pertoken.json("ingest", str(path))

    assert torn["accepted"] > 100
    assert [problem["code"] for problem in torn["rejected"]][-1] == "unreadable"
    assert mended["accepted"] + mended["duplicate"] == 3_000
    assert mended["duplicate"] == torn["accepted"]


def test_what_is_no_gz_is_said(pertoken: Pertoken, tmp_path: Path) -> None:
    """A file that only has the name of one is rejected in its first line."""
    path = tmp_path / "events.gz"
    path.write_bytes(b"plain text")

    assert "Not a gzipped file" in pertoken("ingest", str(path), code=1).stderr


def test_a_trace_needs_a_model(pertoken: Pertoken, tmp_path: Path) -> None:
    """A trace that names no model cannot be priced: wrong use, before anything is taken in."""
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)

    assert "--provider and --model" in pertoken("ingest", str(path), "--format", "azure-trace", code=2).stderr


def test_a_real_hour_of_traffic(pertoken: Pertoken, azure_trace: Path) -> None:
    """19,366 real requests come in once, sum to the file by the hour, and the books are sound."""
    with gzip.open(azure_trace, "rt") as file:
        rows = [line.rstrip().split(",") for line in file][1:]
    read, made = (sum(int(row[column]) for row in rows) for column in (1, 2))
    first = pertoken.json("ingest", str(azure_trace), *GPT)
    again = pertoken.json("ingest", str(azure_trace), *GPT)
    report = pertoken.json("usage", "--by", "hour", "--since", "2023-11-16", "--until", "2023-11-16")

    assert counts(first) == (len(rows), 0, 0, 0) == (19_366, 0, 0, 0)
    assert counts(again) == (0, len(rows), 0, 0)
    assert [row["calls"] for row in report["rows"]] == [
        sum(row[0].startswith(f"2023-11-16 {hour}") for row in rows) for hour in (18, 19)
    ]
    total = report["total"]
    assert (total["calls"], total["input_tokens"], total["output_tokens"]) == (len(rows), read, made)
    assert total["cost"] == f"{(read * 15 + made * 60) / 10**8:.8f}".rstrip("0")
    assert pertoken.json("verify")["ok"]


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("events", TRACE, "line 1 is 'TIMESTAMP,ContextTokens,GeneratedTokens'; try --format azure-trace"),
        ("events", json.dumps([event("a"), event("b")], indent=2), "a JSON object a line"),
        ("events", '{"specversion": "1.0", "data": {"usage": 1}}\n' * 20, "a JSON object a line"),
        ("events", "\x1b[2J plain text\n" * 1_000, "line 1 is '\\x1b[2J plain text'"),
        ("azure-trace", (json.dumps(event("a")) + "\n") * 2, "try --format events"),
        ("azure-trace", "a;b;c\n1;2;3\n", "rows of TIMESTAMP,ContextTokens,GeneratedTokens"),
    ],
    ids=["a trace", "an array", "other objects", "plain text", "events", "other rows"],
)
def test_a_file_of_another_format_stops_with_one_line(
    pertoken: Pertoken, tmp_path: Path, form: str, text: str, said: str
) -> None:
    """A file of another format than was said is not begun: one line says what was expected and what is there."""
    path = tmp_path / "file"
    path.write_text(text)
    result = pertoken("ingest", str(path), *GPT[2:], "--format", form, code=1)

    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert pertoken.json("verify")["checked"]["events"] == 0


def test_one_good_line_makes_a_format(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A file that begins with bad lines is still taken where one of the first has the right shape."""
    found = pertoken.json("ingest", write_lines("torn", "[1]", event("a")), code=1)

    assert counts(found) == (1, 0, 0, 2)


def test_odd_lines_are_taken_and_told(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Unknown fields, times without a zone and times in the future are counted, and the first line of each is named."""
    lines = [
        event("a"),
        event("b", "2026-11-20T12:00:00", costumer="acme"),
        event("c", "2026-11-20 12:00", zone="UTC"),
        event("d", "2090-01-01T00:00:00+01:00"),
        event("e", at="2090-01-01", usage={"bad": 1}),
    ]
    shown = pertoken("ingest", write_lines(*lines), code=1).stderr.splitlines()
    found = pertoken.json("ingest", write_lines(*lines), code=1)

    assert counts(found) == (0, 4, 0, 1)
    assert found["notes"] == [
        {"code": "unknown_field", "lines": 2, "first_line": 2, "example": "costumer"},
        {"code": "time_without_zone", "lines": 2, "first_line": 2, "example": "2026-11-20T12:00:00"},
        {"code": "future_time", "lines": 1, "first_line": 4, "example": "2089-12-31T23:00:00Z"},
    ]
    assert shown[0] == "note: 2 lines have unknown fields, which were ignored; the first is line 2: costumer"
    assert shown[2].startswith("note: 1 line has a time in the future")


def test_a_plain_file_has_no_notes(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A file with every field that is read, and times with their zones, is taken without a word."""
    full = event(
        "a", "2026-11-20T12:00:00+02:00", source="s", key="k", team="t", customer="c", user="u", conversation="v",
        tags={"x": "y"}, service_tier="default", batch=False, speed=None, region=None,
        by_model=[{"model": "gpt-4o-mini", "usage": {"input_tokens": 1_000_000}}],
    )  # fmt: skip
    result = pertoken("ingest", write_lines(full))

    assert (result.stderr, "1 accepted" in result.stdout) == ("", True)
    assert set(full) == EVENT_FIELDS
    assert set(EventBody.__struct_fields__) == EVENT_FIELDS - {"by_model"}


def test_names_that_look_alike_are_one(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What a report names is counted without invisible characters and blanks around it, in the composed form."""
    lines = [
        event(f"e{at}", customer=name, tags={"n": name})
        for at, name in enumerate(("café", "cafe\u0301", " ca\u200bfé"))
    ]
    pertoken("ingest", write_lines(*lines))
    span = ("--since", "2026-11-20", "--until", "2026-11-20")

    found = pertoken.json("usage", "--by", "customer,tag:n", *span)["rows"]
    assert [(row["customer"], row["tag:n"], row["calls"]) for row in found] == [("café", "café", 3)]
    assert pertoken.json("usage", "--customer", "cafe\u0301", *span)["total"]["calls"] == 3


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
def test_a_file_of_bad_lines_is_not_read_to_its_end(pertoken: Pertoken, tmp_path: Path, packed: bool) -> None:
    """A few KB that unpack to a million bad lines end after ten thousand of them; what was good before is taken in."""
    path = tmp_path / ("events.jsonl.gz" if packed else "events.jsonl")
    text = json.dumps(event("a")).encode() + b"\n" + b"x\n" * 1_000_000
    path.write_bytes(gzip.compress(text) if packed else text)
    said = json.loads(pertoken("ingest", str(path), "--json", code=1).stdout)

    assert said["accepted"] == 1
    assert said["gave_up"]
    assert NOT_TAKEN_MAX <= len(said["rejected"]) < NOT_TAKEN_MAX + BATCH
    assert "was not read to its end" in pertoken("ingest", str(path), code=1).stderr
    assert pertoken.json("verify")["ok"]


def test_blank_lines_and_endless_lines_take_no_memory(pertoken: Pertoken, tmp_path: Path) -> None:
    """64 MB of blank lines, and one line of 64 MB, packed to a thousandth: the events around them are taken in."""
    lines = [json.dumps(event(name)).encode() + b"\n" for name in "ab"]
    path = tmp_path / "events.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(lines[0])
        for _ in range(64):
            file.write(b" " * 1_048_575 + b"\n")
        for _ in range(64):
            file.write(b"x" * 1_048_576)
        file.write(b"\n" + lines[1])
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = json.loads(pertoken("ingest", str(path), "--json", code=1).stdout)

    assert path.stat().st_size < 1_000_000
    assert counts(found) == (2, 0, 0, 1)
    assert "longer than" in found["rejected"][0]["message"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000
