import logging
import re
import sqlite3
from pathlib import Path

import pytest
from tests.bad_inputs import RAW
from tests.cli.conftest import Pertoken, WriteLines

from pertoken.cli import serve
from pertoken.cli.serve import JsonLines, OneLine

HOSTILE = "a\x1b[2J\x9b31m\u202eb\u2066"
WEEK = ("--since", "2026-11-20", "--until", "2026-11-21")


@pytest.fixture
def hostile(pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path) -> Pertoken:
    """Return the command line on a database with hostile names, as an older version may have stored them."""
    named = {"customer": "x1", "user": "x1", "model": "x1", "team": "x1", "conversation": "x1", "tags": {"t": "x1"}}
    usage = {"input_tokens": 5, "output_tokens": 5}
    line = {"id": "call-1", "at": "2026-11-20T12:00:00Z", "provider": "openai", "usage": usage, **named}
    pertoken("ingest", write_lines(line))
    pertoken("key", "create", "x1", "--team", "x1", "--customer", "x1")
    pertoken("admin", "create", "x1", "--role", "admin")
    pertoken("budget", "set", "x1", "--limit", "1", "--window", "total", "--scope", "customer=x1")
    pertoken("price", "add", "--provider", "openai", "--model", "x1", "--input", "1")
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in list(connection.execute(f"PRAGMA table_info({table})")):
                if "CHAR" in kind or "TEXT" in kind or "JSON" in kind:
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = 'x1'", (HOSTILE,))  # noqa: S608
    connection.close()
    return pertoken


@pytest.mark.parametrize(
    "words",
    [
        ("usage", "--by", "model,customer,user,team,tag:t", *WEEK),
        ("conversation", *WEEK),
        ("explain", "call-1"),
        ("key", "list"),
        ("admin", "list"),
        ("budget", "status"),
        ("price", "history", HOSTILE),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["table", "json"])
def test_no_command_prints_what_a_terminal_obeys(
    hostile: Pertoken, words: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """ESC, C1 and bidirectional controls in any stored name are shown as escapes, in tables and in JSON."""
    shown = hostile(*words, *more).output

    assert RAW.findall(shown) == []
    assert "\\u202e" in shown


@pytest.mark.parametrize("formatter", [OneLine(), JsonLines()], ids=["line", "json"])
def test_no_record_of_the_log_has_them_raw(formatter: logging.Formatter) -> None:
    """A name that a client sent stands escaped in the log."""
    record = logging.LogRecord("pertoken", logging.WARNING, "", 0, "a call of %s\nand more", (HOSTILE,), None)
    line = formatter.format(record)

    assert RAW.findall(line) == []
    assert "\n" not in line
    assert "\\u202e" in line


def test_all_commands_print_by_one_function() -> None:
    """No command prints by itself: the demo alone does, which prints what it made up."""
    modules = Path(serve.__file__).parent.glob("*.py")
    own = {path.name for path in modules if re.search(r"click\.echo\(|(?<![.\w])print\(", path.read_text())}

    assert own == {"demo.py", "output.py"}


def test_a_message_has_them_escaped(pertoken: Pertoken) -> None:
    """What a refusal quotes of its words is escaped as well."""
    assert RAW.findall(pertoken("key", "revoke", HOSTILE, code=1).output) == []
