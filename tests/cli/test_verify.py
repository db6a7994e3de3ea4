import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Pertoken, WriteLines

EVENT = {
    "id": "a",
    "at": "2026-11-20T12:00:00Z",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "usage": {"input_tokens": 1_000_000},
}


def test_sound_books_are_ok(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """After usage came in, everything agrees, and what was checked is counted."""
    pertoken("budget", "set", "ever", "--limit", "1", "--window", "total")
    pertoken("ingest", write_lines(EVENT))
    verdict = pertoken.json("verify")

    assert verdict["ok"] is True
    assert verdict["differences"] == []
    assert (verdict["checked"]["events"], verdict["checked"]["counters"]) == (1, 1)


def test_a_budget_counts_from_the_window_it_was_set_in(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Usage of months before a budget was set is none of its, also where it is reported afterwards."""
    last_year = {**EVENT, "id": "b", "at": "2025-11-20T12:00:00Z"}
    pertoken("ingest", write_lines(last_year))
    pertoken("budget", "set", "monthly", "--limit", "1", "--window", "month")
    pertoken("ingest", write_lines({**last_year, "id": "c"}))

    assert pertoken.json("verify")["differences"] == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET cost_picos_low = cost_picos_low + 1",
        "UPDATE rollups SET input_tokens_low = input_tokens_low - 1",
        "UPDATE day_rollups SET calls = calls + 1",
        "UPDATE rollups SET failed_calls = failed_calls + 1",
        """UPDATE day_rollups SET latency = '{"140":1}'""",
        "DELETE FROM day_rollups",
        "UPDATE events SET entry_id = entry_id + 1",
        "UPDATE counters SET spent_low = spent_low + 1",
        "UPDATE accounts SET balance_picos_high = balance_picos_high + 1",
        "DELETE FROM postings WHERE amount_picos_high >= 0",
        "DELETE FROM events",
    ],
)
def test_every_change_by_hand_is_found(
    pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path, tampering: str
) -> None:
    """A changed event, roll-up, counter, balance or posting ends with 1 and is named."""
    pertoken("budget", "set", "ever", "--limit", "1", "--window", "total")
    pertoken("ingest", write_lines(EVENT))
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        connection.execute(tampering)
    connection.close()
    verdict = pertoken.json("verify", code=1)

    assert verdict["ok"] is False
    assert verdict["differences"]
    assert "DIFFERENCE" in pertoken("verify", code=1).stdout


def test_what_is_owed_to_somebody_else_is_found(pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path) -> None:
    """An entry that is whole in itself, on the accounts of another provider than its events', ends with 1."""
    pertoken("ingest", write_lines(EVENT))
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        for table in ("postings", "accounts"):
            connection.execute(f"UPDATE {table} SET account = replace(account, 'openai', 'anthropic')")  # noqa: S608
    connection.close()
    verdict = pertoken.json("verify", code=1)

    assert {(one["kind"], one["id"]) for one in verdict["differences"]} == {
        ("account", "('anthropic', 'USD')"),
        ("account", "('openai', 'USD')"),
    }


def test_a_damaged_file_is_found(pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path) -> None:
    """A page that nothing leads to any more ends with 1, though every sum agrees."""
    pertoken("ingest", write_lines(EVENT))
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'ix_events_occurred_at_us'")
    connection.close()
    verdict = pertoken.json("verify", code=1)

    assert [difference["kind"] for difference in verdict["differences"]] == ["file"]
    assert "never used" in verdict["differences"][0]["difference"]


@pytest.mark.parametrize(
    "damage", ["quantities = '{\"input_tokens\":'", "lines = '[[1]]'", "status = 'pricfd'", "context = '[]'"]
)
def test_an_event_that_cannot_be_read_is_named(
    pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path, damage: str
) -> None:
    """A row that is not as it was written ends with 1 and one line that names the event."""
    pertoken("ingest", write_lines(EVENT))
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        connection.execute(f"UPDATE events SET {damage}")  # noqa: S608 - one of the four above
    connection.close()
    refused = pertoken("verify", code=1)

    assert "event 'a' cannot be read, the database is damaged" in refused.stderr
    assert "Traceback" not in refused.stderr
