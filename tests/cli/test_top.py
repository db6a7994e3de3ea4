"""`pertoken top`: what people and programs see of what happens now."""

import contextlib
import csv
import datetime as dt
import io
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tests.bad_inputs import RAW
from tests.cli.conftest import Pertoken
from tests.factories import CENT, WHO, event, hold

from pertoken import settings
from pertoken.cli import top
from pertoken.cli.top_view import draw_frame, fitted_frame
from pertoken.core.commands import OpenHold, Record
from pertoken.core.events import Event
from pertoken.core.refusals import RefusedCall, RefusedCalls
from pertoken.services.watch import LiveFrame, LiveHolds, LiveRefusals, LiveSpending
from pertoken.store import refusals
from pertoken.wiring.bookkeeper import make_bookkeeper
from pertoken.wiring.database import open_database

SECOND = 10**6
NOON = int(dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC).timestamp()) * SECOND
HOSTILE = "a\x1b[2J\x9b31m\u202eb\u2066"
WIDTHS = (40, 80, 200)


def call(name: str, picos: int = CENT, ended_us: int = NOON - SECOND, **who: Any) -> Event:
    """Return the event of a call that ended a second before noon."""
    made = event(hold(name, opened_at_us=ended_us - SECOND), picos, attribution=WHO._replace(**who))
    return made._replace(occurred_at_us=ended_us - SECOND, recorded_at_us=ended_us)


def post(url: str, *events: Event, holds: int = 0, refused: tuple[str, ...] = ()) -> None:
    """Write calls, open holds and refusals as a gateway does."""
    with open_database(settings.load({"PERTOKEN_DATABASE_URL": url})) as opened:
        books = make_bookkeeper(opened)
        revision = books.directory.revision
        opening = [OpenHold(hold(f"h{at}", opened_at_us=NOON - (at + 5) * SECOND), revision) for at in range(holds)]
        books.transact([*(Record(one) for one in events), *opening])
        books.close()
        waiting = RefusedCalls()
        for number, code in enumerate(refused):
            waiting.add(RefusedCall(f"r{number}", NOON - SECOND, code, "no room", "day", WHO))
        batch = waiting.take()
        if batch is not None:
            with opened.database.write() as connection:
                refusals.save(connection, opened.database.sql, batch)


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be noon for commands in this process; those in processes of their own know the real time."""
    monkeypatch.setattr(top, "now_us", lambda: NOON)


@pytest.fixture
def of_store(bare: Pertoken, priced_url: str) -> Pertoken:
    """Return the command line on an empty database of each kind."""
    bare.url = priced_url
    return bare


def shown(pertoken: Pertoken, width: int, *arguments: str) -> list[str]:
    """Return the lines of one frame on a terminal of some width."""
    environ = {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": str(width), "LINES": "30"}
    return pertoken("top", "--once", *arguments, **environ).stdout.splitlines()


def test_a_frame_of_a_small_installation(of_store: Pertoken) -> None:
    """One frame has rate, spending by key and by model, holds and refusals; both forms say the same."""
    key = of_store.json("key", "create", "my-app")["id"]
    calls = [
        call("a", 3 * CENT, key=key),
        call("b", CENT, key="key_9", model="gpt-4o"),
        call("c", ended_us=NOON - 600 * SECOND),
    ]
    post(of_store.url, *calls, holds=2, refused=("rate_limited", "budget_exceeded", "budget_exceeded"))
    frame = of_store.json("top", "--once")
    lines = [line.split() for line in of_store("top", "--once").stdout.splitlines()]

    assert {name: frame[name] for name in ("at", "timezone", "window_seconds", "calls_per_second")} == {
        "at": "2026-11-27T12:00:00Z", "timezone": "UTC", "window_seconds": 60, "calls_per_second": 0.2,
    }  # fmt: skip
    [total] = frame["totals"]
    assert total == {
        "window_calls": 2,
        "window_cost": "0.04",
        "today_calls": 3,
        "today_cost": "0.05",
        "currency": "USD",
    }
    assert [(one["key"], one["key_name"], one["window_cost"]) for one in frame["keys"]] == [
        (key, "my-app", "0.03"), ("key_9", None, "0.01"), ("key_1", None, "0"),
    ]  # fmt: skip
    assert [(one["model"], one["today_cost"]) for one in frame["models"]] == [
        ("gpt-4o-mini", "0.04"),
        ("gpt-4o", "0.01"),
    ]
    assert frame["holds"] == {
        "count": 2, "amounts": [{"currency": "USD", "amount": "0.02"}], "oldest": "2026-11-27T11:59:54Z",
    }  # fmt: skip
    assert [(one["code"], one["window_calls"]) for one in frame["refused"]] == [
        ("budget_exceeded", 2),
        ("rate_limited", 1),
    ]
    for line in (
        "pertoken top 2026-11-27 12:00:00 UTC",
        "0.2 calls a second",
        "2 open holds, 0.020 USD, the oldest 6 s",
        "last 60 s today",
        "calls USD calls USD",
        "all 2 0.040 3 0.050",
        "my-app 1 0.030 1 0.030",
        "key_9 1 0.010 1 0.010",
        "gpt-4o-mini 1 0.030 2 0.040",
        "budget_exceeded 2 2",
    ):
        assert line.split() in lines


def test_an_empty_installation_has_a_frame(pertoken: Pertoken) -> None:
    """Where nothing happened it says so."""
    said = pertoken("top", "--once").stdout

    assert "0.0 calls a second\nno open holds\n" in said
    assert "no calls today" in said
    assert "no call was refused today" in said
    assert pertoken.json("top", "--once")["keys"] == []
    assert pertoken("top", "--once", "--csv").stdout == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_a_frame_fits_its_terminal(pertoken: Pertoken, width: int) -> None:
    """No line is wider than the terminal, costs are whole, long names end in dots, wide letters count as two."""
    names = ["a-model-" + "long-" * 20 + "end", "模型" * 10, "x"]
    calls = [call(str(at), 123456 * CENT, model=name) for at, name in enumerate(names)]
    post(pertoken.url, *calls, holds=3)
    lines = shown(pertoken, width)

    assert max(map(cell_len, lines)) <= width
    costs = [line for line in lines if line.split()[-1:] == ["1,234.56"]]
    assert len(costs) == 3
    assert len({cell_len(line) for line in costs}) == 1
    assert sum("…" in line for line in costs) == (2 if width == 40 else 1)


@pytest.mark.parametrize("width", [1, 5, 20])
def test_a_terminal_of_no_use_has_a_frame(pertoken: Pertoken, width: int) -> None:
    """However narrow it is, nothing fails."""
    post(pertoken.url, call("a"), holds=1)

    assert shown(pertoken, width)


def test_a_narrow_terminal_keeps_costs(pertoken: Pertoken) -> None:
    """Where large figures have no room beside a name, the calls of the minute go first."""
    post(pertoken.url, *(call(str(number), 10**8 * CENT) for number in range(3)))
    wide, narrow = (next(line.split() for line in shown(pertoken, width) if line[:3] == "all") for width in (80, 40))

    assert wide == ["all", "3", "3,000,000.00", "3", "3,000,000.00"]
    assert narrow == ["all", "3,000,000.00", "3,000,000.00"]


def test_small_amounts_are_never_shown_as_zero(pertoken: Pertoken) -> None:
    """Amounts have two digits that matter; what is less than the last decimal is marked so."""
    post(pertoken.url, call("a", 25 * CENT // 10**5, model="small"), call("b", 1, model="least"))
    rows = {line.split()[0]: line.split()[-1] for line in shown(pertoken, 80) if line[:3] == "  l" or line[:3] == "  s"}

    assert rows == {"small": "0.000002", "least": "<0.000001"}


def test_currencies_are_not_added_up(pertoken: Pertoken) -> None:
    """Each currency has a total, and each row says its own."""
    post(pertoken.url, call("a"), call("b")._replace(currency="EUR", cost_picos=2 * CENT))
    lines = [line.split() for line in shown(pertoken, 80)]

    assert ["all", "EUR", "1", "0.020", "1", "0.020"] in lines
    assert ["all", "USD", "1", "0.010", "1", "0.010"] in lines
    assert ["gpt-4o-mini", "USD", "1", "0.010", "1", "0.010"] in lines


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_no_name_moves_a_terminal(pertoken: Pertoken, tmp_path: Path, form: list[str]) -> None:
    """Names of keys, of models and reasons are shown escaped, as an older version may have stored them."""
    key = pertoken.json("key", "create", "x1")["id"]
    post(pertoken.url, call("a", model="x1", key=key), refused=("x1",))
    with contextlib.closing(sqlite3.connect(tmp_path / "pertoken.db")) as connection, connection:
        for table, column in (("keys", "name"), ("series", "model"), ("refused_counts", "code")):
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = 'x1'", (HOSTILE,))  # noqa: S608
    said = pertoken("top", "--once", *form, TTY_COMPATIBLE="1", TERM="dumb").stdout

    assert RAW.findall(said) == []
    assert said.count("\\u202e" if form else "\\x1b[2J") >= (2 if form == ["--csv"] else 3)


def test_an_output_without_such_letters_gets_plain_ones(pertoken: Pertoken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the output is ASCII, other letters are written as their escapes, and what is cut ends in three dots."""
    post(pertoken.url, call("a", model="m" * 60), call("b", model="模型"))
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    top.top.main(["--once", "--db", pertoken.url], standalone_mode=False)

    assert b"\\u6a21\\u578b" in written.getvalue()
    assert b"mmm... " in written.getvalue()


def test_rows_that_are_left_out_are_counted(pertoken: Pertoken) -> None:
    """`--rows` limits keys and models, and says how many more there are."""
    post(pertoken.url, *(call(str(at), (at + 1) * CENT, key=f"key_{at}", model=f"m{at}") for at in range(5)))
    frame = pertoken.json("top", "--once", "--rows", "2")

    assert [one["key"] for one in frame["keys"]] == ["key_4", "key_3"]
    assert (len(frame["models"]), frame["more_keys"], frame["more_models"]) == (2, 3, 3)
    assert shown(pertoken, 80, "--rows", "2").count("  3 more") == 2


@pytest.mark.parametrize(
    ("height", "keys", "models", "lines"),
    [(60, 20, 3, 38), (30, 11, 3, 29), (24, 5, 3, 23), (20, 2, 2, 20), (5, 1, 1, 18)],
)
def test_a_frame_is_not_higher_than_its_terminal(height: int, keys: int, models: int, lines: int) -> None:
    """The longer list loses rows first; each keeps one, and says how many more there are."""
    made = {
        name: [LiveSpending(f"{name}{at}", "USD", 1, CENT, 1, CENT) for at in range(number)]
        for name, number in (("key", 20), ("model", 3))
    }
    total = [LiveSpending("", "USD", 1, CENT, 1, CENT)]
    refused = [LiveRefusals("rate_limited", 1, 1)]
    frame = LiveFrame(NOON, "UTC", 60, 0.1, total, made, {"key": 7, "model": 0}, LiveHolds(0, {}, None), refused, False)
    fitted = fitted_frame(frame, height)

    assert {name: len(rows) for name, rows in fitted.by.items()} == {"key": keys, "model": models}
    assert fitted.others == {"key": 27 - keys, "model": 3 - models}
    assert len(draw_frame(fitted, {}, 80, "utf-8")) == lines <= max(height, 18)


def test_a_frame_as_csv(pertoken: Pertoken) -> None:
    """`--csv` has a row for each currency, key and model, under one head."""
    post(pertoken.url, call("a"))
    rows = list(csv.DictReader(io.StringIO(pertoken("top", "--once", "--csv").stdout)))

    assert [(row["by"], row["value"], row["today_calls"]) for row in rows] == [
        ("all", "", "1"), ("key", "key_1", "1"), ("model", "gpt-4o-mini", "1"),
    ]  # fmt: skip


def test_it_only_reads(pertoken: Pertoken, tmp_path: Path) -> None:
    """After a frame every row of the database is as it was."""

    def everything() -> list[str]:
        with contextlib.closing(sqlite3.connect(tmp_path / "pertoken.db")) as connection:
            return list(connection.iterdump())

    post(pertoken.url, call("a"), holds=1, refused=("rate_limited",))
    before = everything()
    pertoken("top", "--once")

    assert everything() == before


@pytest.mark.parametrize(
    "arguments", [("--every", "0"), ("--every", "soon"), ("--rows", "0"), ("--rows", "1001"), ("--tz", "Nowhere/At")]
)
def test_an_option_that_is_none_is_wrong_use(pertoken: Pertoken, arguments: tuple[str, str]) -> None:
    """A wrong value is refused with exit 2, naming its option."""
    assert arguments[0] in pertoken("top", "--once", *arguments, code=2).stderr


@contextlib.contextmanager
def followed(pertoken: Pertoken, *arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that follows; at the end it is gone."""
    environ = {name: value for name, value in pertoken.environ.items() if value is not None} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "pertoken", "top", "--every", "0.2", *arguments, "--db", pertoken.url]
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Interrupt a process as Ctrl-C does; return its exit code and what it said on stderr."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_frames_follow_as_json_lines(pertoken: Pertoken) -> None:
    """`--json` prints one line a frame, with what is posted between two of them; Ctrl-C ends it quietly with exit 0."""
    with followed(pertoken, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["totals"] == []
        now_us = int(dt.datetime.now(dt.UTC).timestamp()) * SECOND
        post(pertoken.url, call("a", ended_us=now_us + 3600 * SECOND)._replace(occurred_at_us=now_us))
        seen = next(frame for line in process.stdout if (frame := json.loads(line))["totals"])

        assert (seen["totals"][0]["window_calls"], seen["keys"][0]["key"]) == (1, "key_1")
        assert interrupt(process) == (0, "")


def test_piped_frames_have_no_control_codes(pertoken: Pertoken) -> None:
    """What is not a terminal gets one plain frame after the other, a blank line between them."""
    with followed(pertoken) as process:
        assert process.stdout is not None
        heads, lines = 0, []
        for line in process.stdout:
            heads += line.startswith("pertoken top")
            lines.append(line)
            if heads == 3:
                break

        assert RAW.findall("".join(lines).replace("\n", "")) == []
        assert [before for before, line in pairwise(lines) if line[:12] == "pertoken top"] == ["\n"] * 2
        assert interrupt(process) == (0, "")


def test_a_terminal_is_drawn_over(pertoken: Pertoken) -> None:
    """A terminal shows frames on a screen of their own; Ctrl-C brings back what was there, and the cursor."""
    ours, theirs = pty.openpty()
    try:
        with followed(pertoken, stdout=theirs) as process:
            os.close(theirs)
            drawn = b""
            while drawn.count(b"calls a second") < 2:
                drawn += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the terminal ends with its last process
                while piece := os.read(ours, 65536):
                    drawn += piece
            _, said = process.communicate(timeout=60)
    finally:
        os.close(ours)

    assert (process.returncode, said) == (0, "")
    assert re.search(rb"^\x1b\[\?1049h.*\x1b\[\?1049l", drawn, re.DOTALL)
    assert drawn.rfind(b"\x1b[?25h") > drawn.rfind(b"\x1b[?25l") >= 0
    assert b"Aborted" not in drawn
