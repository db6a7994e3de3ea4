"""`pertoken ingest`: each event once, at the price of its time, and clear words for every bad line."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.cli.conftest import Pertoken, WriteLines


def event(number: int, **fields: Any) -> dict[str, Any]:
    """Return a line of pertoken's own format."""
    return {
        "source": "batch",
        "id": f"e{number}",
        "at": "2025-06-09T12:00:00Z",
        "provider": "openai",
        "model": "o3",
        "usage": {"input_tokens": 1_000, "output_tokens": 100},
        **fields,
    }


def test_an_hour_of_real_conversations(pertoken: Pertoken, azure_trace: Path) -> None:
    """19,366 requests go in once; a second run adds nothing; the hours sum to what the file itself says."""
    command = ("ingest", str(azure_trace), "--format", "azure-trace", "--provider", "openai", "--model", "gpt-4o-mini")
    first, second = pertoken.json(*command), pertoken.json(*command)
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    with gzip.open(azure_trace, "rt") as lines:
        for row in csv.DictReader(lines):
            hour = expected[row["TIMESTAMP"][:13].replace(" ", "T")]
            for at, amount in enumerate((1, int(row["ContextTokens"]), int(row["GeneratedTokens"]))):
                hour[at] += amount
    report = pertoken.json("usage", "--by", "hour", "--since", "2023-11-16", "--until", "2023-11-16")
    hours = {row["hour"][:13]: [row["calls"], row["input_tokens"], row["output_tokens"]] for row in report["rows"]}

    assert (first["accepted"], first["duplicate"]) == (19_366, 0)
    assert (second["accepted"], second["duplicate"]) == (0, 19_366)
    assert hours == dict(expected)
    assert pertoken.json("verify")["ok"] is True


def test_events_are_rated_at_the_price_of_their_time(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """The same usage a day apart costs five times less when the price fell between."""
    pertoken.json("ingest", write_lines(event(1), event(2, at="2025-06-10T12:00:00Z")))
    report = pertoken.json("usage", "--by", "day", "--since", "2025-06-09", "--until", "2025-06-10")

    assert [row["cost"] for row in report["rows"]] == ["0.014", "0.0028"]


def test_a_conflict_is_no_overwrite(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """The same id with other content is refused with its line; what was there stays."""
    pertoken.json("ingest", write_lines(event(1)))
    changed = event(1, usage={"input_tokens": 9, "output_tokens": 9})
    result = pertoken.json("ingest", write_lines(event(1), changed, event(2)), code=1)

    assert (result["accepted"], result["duplicate"], result["conflicting"]) == (1, 1, 1)
    total = pertoken.json("usage", "--since", "2025-06-09", "--until", "2025-06-09")["total"]
    assert (total["calls"], total["input_tokens"]) == (2, 2_000)


def test_bad_lines_are_named_and_the_rest_is_done(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Each bad line is rejected with its number and why; the good ones around it are taken in."""
    lines: list[Any] = [
        event(1),
        "not json",
        event(2, id=None),
        event(3, at="yesterday"),
        event(4, usage={"input_tokens": -1}),
        event(5, usage={"input_tokens": 5, "cache_read_tokens": 6}),
        event(6, usage={"input_tokns": 5}),
        event(7),
    ]
    result = pertoken.json("ingest", write_lines(*lines), code=1)

    assert result["accepted"] == 2
    assert [problem["line"] for problem in result["rejected"]] == [2, 3, 4, 5, 6, 7]
    assert all(problem["code"] and problem["message"] for problem in result["rejected"])


def test_an_unknown_price_is_visible(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """An event without price is kept and counted as unpriced, not as free."""
    pertoken.json("ingest", write_lines(event(1, model="never-heard-of")))
    total = pertoken.json("usage", "--since", "2025-06-09", "--until", "2025-06-09")["total"]

    assert (total["calls"], total["unpriced_calls"]) == (1, 1)
    assert pertoken.json("verify")["ok"] is True
