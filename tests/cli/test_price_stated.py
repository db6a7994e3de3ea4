"""`pertoken price stated`: the sum of statements, the sum of the price book, and the difference, to the last digit."""

from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines

USAGE = {"input_tokens": 20, "output_tokens": 50}  # 0.000033 by the price book
SPRING = ("--since", "2026-03-01", "--until", "2026-04-30")


def line(ident: str, cost: str | None, model: str = "openai/gpt-4o-mini", **fields: Any) -> dict[str, Any]:
    """Return an event that states a cost, or none."""
    usage = USAGE if cost is None else {**USAGE, "reported_cost": cost}
    at = "2026-03-05T10:00:00Z"
    return {"id": ident, "at": at, "provider": "openrouter", "model": model, "usage": usage, **fields}


@pytest.fixture
def house(pertoken: Pertoken, write_lines: WriteLines) -> Pertoken:
    """Return an installation with calls of March and April, some of which state what they cost."""
    pertoken(
        "ingest",
        write_lines(
            line("a", "0.0160614"),
            line("b", "0.000000000001", at="2026-04-01T00:00:00Z"),
            line("c", "0.5", model="nobody/knows-this"),
            line("d", None),  # charged by the price book
            line("e", "9", provider="openai", model="gpt-4o-mini"),  # who does not charge as stated
            line("f", "0.1", provider="xai", model="grok-4.3"),
            line("g", "7", at="2026-05-01T00:00:00Z"),  # later
        ),
    )
    return pertoken


def test_the_difference_is_told_by_provider_and_model(house: Pertoken) -> None:
    """Each row has what was stated and what the book says of the same calls; those without a price stand apart."""
    report = house.json("price", "stated", *SPRING)
    rows = {row["model"]: row for row in report["rows"]}

    assert rows["openai/gpt-4o-mini"] == {
        "provider": "openrouter", "model": "openai/gpt-4o-mini", "calls": 2, "stated": "0.016061400001",
        "calls_without_book": 0, "stated_without_book": "0", "book": "0.000066", "difference": "0.015995400001",
        "currency": "USD",
    }  # fmt: skip
    assert rows["nobody/knows-this"]["stated_without_book"] == rows["nobody/knows-this"]["stated"] == "0.5"
    assert rows["nobody/knows-this"]["difference"] == "0"
    assert rows.keys() == {"openai/gpt-4o-mini", "nobody/knows-this", "grok-4.3"}
    assert report["rows"][0]["model"] == "grok-4.3", "the largest difference comes first"
    [total] = report["totals"]
    assert (total["calls"], total["calls_without_book"], total["stated"]) == (4, 1, "0.616061400001")


def test_people_see_a_table(house: Pertoken) -> None:
    """The table has the sums and a total; where nothing was stated it says so."""
    said = house("price", "stated", *SPRING).stdout

    for word in ("openai/gpt-4o-mini", "0.015995400001", "0.616061400001", "total"):
        assert word in said
    assert "no call in this time" in house("price", "stated", "--since", "2026-06-01", "--until", "2026-06-02").stdout


def test_archived_calls_are_counted_from_their_files(house: Pertoken, tmp_path: Path) -> None:
    """The report over archived months is the same from their files; without them it says where they are."""
    folder = str(tmp_path / "archive")
    before = house.json("price", "stated", *SPRING)
    assert house.json("price", "stated", *SPRING, "--archive", str(tmp_path)) == before
    house("archive", "--before", "2026-04", "--to", folder)

    assert f"2026-03.parquet in {folder}" in house("price", "stated", *SPRING, code=1).stderr
    assert house.json("price", "stated", *SPRING, "--archive", folder) == before
    elsewhere = house("price", "stated", *SPRING, "--archive", str(tmp_path), code=1).stderr
    assert "2026-03.parquet is not in" in elsewhere
    file = Path(folder) / "2026-03.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert "2026-03.parquet" in house("price", "stated", *SPRING, "--archive", folder, code=1).stderr
