"""`pertoken calls`: calls one by one, from the database and from archived months."""

import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines, in_folder
from tests.factories import WHO
from tests.factories import event_line as event

from pertoken.core.refusals import RefusedCall, RefusedCalls
from pertoken.store import refusals
from pertoken.store.database import Database

ALL = ("--since", "2026-01-01", "--until", "2026-12-31")


def listed(pertoken: Pertoken, *arguments: str) -> list[dict[str, Any]]:
    """Return the calls that a command lists."""
    shown = pertoken("calls", *ALL, *arguments, "--json")
    return [json.loads(line) for line in shown.stdout.splitlines()]


def ids(pertoken: Pertoken, *arguments: str) -> list[str]:
    """Return the ids of the calls that a command lists."""
    return [row["call_id"] for row in listed(pertoken, *arguments)]


def calls_of_three_months() -> list[dict[str, Any]]:
    """Return calls of three months, of several owners, one of them without a price."""
    return [
        event("mar-1", "2026-03-05T10:00:00Z", team="red", conversation="talk"),
        event("mar-2", "2026-03-31T23:59:59.999999Z", team="blue"),
        event("apr-1", "2026-04-01T00:00:00Z", team="red", customer="acme", usage={"input_tokens": 2_000_000}),
        event("apr-2", "2026-04-01T00:00:00Z", team="red"),
        event("nov-1", "2026-11-20T10:00:00Z", user="ann", conversation="talk"),
        event("nov-2", "2026-11-20T10:00:00Z", provider="acme", model="nobody-knows"),
    ]


@pytest.fixture
def house(pertoken: Pertoken, write_lines: WriteLines) -> Pertoken:
    """Return an installation with these calls."""
    pertoken("ingest", write_lines(*calls_of_three_months()))
    return pertoken


@pytest.fixture(scope="module", params=["database", "archive", "some of each"])
def stored(request: pytest.FixtureRequest, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Pertoken:
    """Return an installation to read, its calls in the database, the old months archived, or one of them."""
    folder = tmp_path_factory.mktemp("stored")
    shutil.copy(template, folder / "pertoken.db")
    made = in_folder(folder)
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in calls_of_three_months()))
    made("ingest", str(file))
    if request.param != "database":
        made("archive", "--before", "2026-05" if request.param == "archive" else "2026-04")
    return made


def test_a_line_has_what_was_asked(house: Pertoken) -> None:
    """A JSON line has who, what, status, tokens, cost and duration; what others report has no duration."""
    [row] = listed(house, "--team", "red", "--customer", "acme")

    assert {name: row[name] for name in ("call_id", "at", "team", "customer", "model", "status", "input_tokens")} == {
        "call_id": "apr-1", "at": "2026-04-01T00:00:00Z", "team": "red", "customer": "acme", "model": "gpt-4o-mini",
        "status": "ok", "input_tokens": 2_000_000,
    }  # fmt: skip
    assert (row["cost"], row["currency"], row["ms"], row["refusal"]) == ("0.3", "USD", None, None)


def test_the_newest_come_first_wherever_they_are(stored: Pertoken) -> None:
    """Calls are listed by time, the newest first, whether they are in the database or in a file."""
    times = [row["at"] for row in listed(stored)]

    assert sorted(ids(stored)) == ["apr-1", "apr-2", "mar-1", "mar-2", "nov-1", "nov-2"]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("--team", "red"), {"mar-1", "apr-1", "apr-2"}),
        (("--user", "ann"), {"nov-1"}),
        (("--conversation", "talk"), {"mar-1", "nov-1"}),
        (("--provider", "acme"), {"nov-2"}),
        (("--model", "nobody-knows"), {"nov-2"}),
        (("--status", "unpriced"), {"nov-2"}),
        (("--status", "ok"), {"mar-1", "mar-2", "apr-1", "apr-2", "nov-1"}),
        (("--status", "ok", "--team", "blue"), {"mar-2"}),
        (("--min-cost", "0.15"), {"mar-1", "mar-2", "apr-1", "apr-2", "nov-1"}),
        (("--min-cost", "0.1500001"), {"apr-1"}),
        (("--since", "2026-04-01", "--until", "2026-04-30"), {"apr-1", "apr-2"}),
        (("--until", "2026-03-31T23:59:59.999999Z"), {"mar-1"}),
        (("--key", "no-such-key"), set()),
    ],
)
def test_filters_find_the_same_everywhere(stored: Pertoken, asked: tuple[str, ...], found: set[str]) -> None:
    """Each filter finds the same calls in the database and in files."""
    assert set(ids(stored, *asked)) == found


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_hold_every_call_once(stored: Pertoken, limit: int) -> None:
    """From page to page, by the cursor that each page ends with, every call comes once and in order."""
    pages: list[str] = []
    cursor: tuple[str, ...] = ()
    while len(pages) < 20:  # there are 6
        shown = stored("calls", *ALL, "--limit", str(limit), "--json", *cursor)
        rows = [json.loads(line) for line in shown.stdout.splitlines()]
        pages += [row["call_id"] for row in rows]
        more = re.search(r"--cursor (\S+)", shown.stderr)
        if more is None:
            break
        assert len(rows) == limit
        cursor = ("--cursor", more[1])

    assert pages == ids(stored)


def test_a_late_call_stands_among_archived_ones(house: Pertoken, write_lines: WriteLines) -> None:
    """A call that is reported after its month was archived has its place in time, on whatever page."""
    house("archive", "--before", "2026-05")
    house("ingest", write_lines(event("late", "2026-03-20T00:00:00Z")))
    shown = house("calls", *ALL, "--limit", "5", "--json")
    cursor = re.search(r"--cursor (\S+)", shown.stderr)

    assert ids(house)[-3:] == ["mar-2", "late", "mar-1"]
    assert cursor is not None
    assert ids(house, "--cursor", cursor[1]) == ["late", "mar-1"]


def test_costs_add_up_to_usage(stored: Pertoken) -> None:
    """What the listed calls cost together is what usage reports."""
    costs = [Decimal(row["cost"]) for row in listed(stored)]

    assert sum(costs) == Decimal(stored.json("usage", *ALL)["total"]["cost"])
    assert len(costs) == stored.json("usage", *ALL)["total"]["calls"]


def test_a_key_is_asked_for_by_its_name(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """`--key` takes a key's id or its name."""
    made = pertoken.json("key", "create", "app")
    pertoken("ingest", write_lines(event("a", key=made["id"]), event("b")))

    assert ids(pertoken, "--key", "app") == ids(pertoken, "--key", made["id"]) == ["a"]
    assert listed(pertoken, "--key", "app")[0]["key_name"] == "app"


def test_a_correction_is_listed_as_one(house: Pertoken) -> None:
    """A correction has a line of its own that names the call, and is no call that went well."""
    price = ("--provider", "acme", "--model", "nobody-knows", "--input", "1", "--from", "2026-01-01")
    house("price", "add", *price)
    house("rerate", "--from", "2026-11-01")
    [row] = [row for row in listed(house) if row["status"] == "correction"]

    assert row["corrects"] == "nov-2"
    assert set(ids(house, "--status", "correction")) == {row["call_id"]}
    assert row["call_id"] not in ids(house, "--status", "ok")
    total = sum(Decimal(row["cost"]) for row in listed(house))
    assert total == Decimal(house.json("usage", *ALL)["total"]["cost"])


def test_a_file_that_is_gone_is_told(house: Pertoken, tmp_path: Path) -> None:
    """Where the files of a month cannot be found the command fails and says which; newer times need none of them."""
    house("archive", "--before", "2026-05")
    for file in (tmp_path / "pertoken.db.archive").iterdir():
        file.unlink()

    assert "2026-04.parquet" in house("calls", *ALL, code=1).stderr
    assert ids(house, "--since", "2026-05-01") == ["nov-2", "nov-1"]


def test_people_see_a_table(house: Pertoken) -> None:
    """Without --json a table has the names of columns that anybody has, and says how to go on."""
    shown = house("calls", *ALL, "--limit", "3", COLUMNS="200")

    assert "nobody-knows" in shown.stdout
    assert "customer" not in shown.stdout.splitlines()[2]
    assert "--cursor" in shown.stderr
    assert "no such calls" in house("calls", "--since", "2026-05-01", "--until", "2026-05-31").stdout


def test_csv_holds_what_json_holds(house: Pertoken) -> None:
    """`--csv` has the rows of `--json`, a column each field."""
    rows = list(csv.DictReader(io.StringIO(house("calls", *ALL, "--csv").stdout)))

    assert [row["call_id"] for row in rows] == ids(house)
    assert [row["cost"] for row in rows] == [row["cost"] for row in listed(house)]
    assert rows[0]["marks"] == json.dumps(listed(house)[0]["marks"]).replace(" ", "")


@pytest.mark.parametrize("arguments", [("--cursor", "x"), ("--cursor", "1.x"), ("--min-cost", "x"), ("--limit", "0")])
def test_what_is_none_is_refused(pertoken: Pertoken, arguments: tuple[str, str]) -> None:
    """A cursor, an amount or a limit that is none ends the command as wrong use, naming the option."""
    assert arguments[0] in pertoken("calls", *arguments, code=2).stderr


def refuse(pertoken: Pertoken, *made: RefusedCall) -> None:
    """Write refused calls as a gateway does."""
    waiting = RefusedCalls()
    for call in made:
        waiting.add(call)
    database = Database(pertoken.url)
    with database.write() as connection:
        batch = waiting.take()
        assert batch is not None
        refusals.save(connection, database.sql, batch)
    database.close()


def test_refused_calls_are_listed(pertoken: Pertoken) -> None:
    """`--status refused` lists the refused calls that are kept, the newest first, page by page, by every filter."""
    now_us = time.time_ns() // 1_000
    talk = WHO._replace(provider="acme", conversation="talk")
    made = [RefusedCall(f"call_{n}", now_us + n, "budget_exceeded", "no room", "day", WHO) for n in range(3)]
    made.append(RefusedCall("call_9", now_us - 9, "unknown_key", "unknown", None))
    made.append(RefusedCall("call_8", now_us - 9, "budget_exceeded", "no room", "day", talk))
    refuse(pertoken, *made)

    def found(*arguments: str) -> list[str]:
        shown = pertoken("calls", "--status", "refused", *arguments, "--json").stdout
        return [json.loads(line)["call_id"] for line in shown.splitlines()]

    everything = ["call_2", "call_1", "call_0", "call_9", "call_8"]
    assert found() == everything
    assert found("--team", "growth", "--limit", "2") == ["call_2", "call_1"]
    assert found("--provider", "acme") == found("--conversation", "talk") == ["call_8"]
    assert found("--min-cost", "0.1") == []
    pages, cursor = [], []
    while True:
        shown = pertoken("calls", "--status", "refused", "--limit", "2", "--json", *cursor)
        pages += [json.loads(line)["call_id"] for line in shown.stdout.splitlines()]
        more = re.search(r"--cursor (\S+)", shown.stderr)
        if more is None:
            break
        cursor = ["--cursor", more[1]]
    assert pages == everything
    assert "--cursor" in pertoken("calls", "--status", "refused", "--cursor", "1", code=2).stderr
    row = json.loads(pertoken("calls", "--status", "refused", "--limit", "1", "--json").stdout)
    assert (row["refusal"], row["status"], row["model"], row["cost"]) == ("budget_exceeded", "refused", WHO.model, "0")
    assert "budget_exceeded" in pertoken("calls", "--status", "refused").stdout


@contextlib.contextmanager
def followed(pertoken: Pertoken, *arguments: str) -> Iterator[IO[str]]:
    """Yield what `calls --follow` prints, once it waits for calls."""
    environ = {name: value for name, value in pertoken.environ.items() if value is not None}
    command = [sys.executable, "-m", "pertoken", "calls", "--follow", *arguments, "--db", pertoken.url]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "waiting" in process.stderr.readline()
        yield process.stdout
    finally:
        process.kill()
        process.communicate()


def test_refused_calls_are_followed(pertoken: Pertoken) -> None:
    """`--status refused --follow` shows those that are wanted as they are written, and none from before."""
    now_us = time.time_ns() // 1_000
    of = {"a": WHO, "b": WHO._replace(team="blue"), "c": WHO}
    calls = {n: RefusedCall(n, now_us, "budget_exceeded", "no room", "day", who) for n, who in of.items()}
    refuse(pertoken, calls["a"])
    with followed(pertoken, "--status", "refused", "--team", "growth") as printed:
        refuse(pertoken, calls["b"], calls["c"])
        line = printed.readline()

    assert " c refused " in line
    assert "refusal=budget_exceeded" in line


def test_new_calls_are_followed(house: Pertoken, write_lines: WriteLines) -> None:
    """`--follow` shows the calls that are wanted as they are stored, whenever they occurred, and none from before."""
    with followed(house, "--json", "--team", "red") as printed:
        house("ingest", write_lines(event("new-1", team="blue"), event("new-2", "2026-01-01T00:00:00Z", team="red")))
        assert json.loads(printed.readline())["call_id"] == "new-2"
