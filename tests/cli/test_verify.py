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


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET cost_picos = cost_picos + 1",
        "UPDATE rollups SET input_tokens = input_tokens - 1",
        "UPDATE counters SET spent = spent + 1",
        "UPDATE accounts SET balance_picos = balance_picos + 1",
        "DELETE FROM postings WHERE amount_picos > 0",
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
