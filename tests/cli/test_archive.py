"""`pertoken archive`: old months to files, checked, and back."""

import json
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Pertoken, WriteLines

EVENT = {"provider": "openai", "model": "gpt-4o-mini", "usage": {"input_tokens": 1_000_000}}
SPRING = ("--since", "2026-03-01", "--until", "2026-04-30")


@pytest.fixture
def house(pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path) -> Pertoken:
    """Return an installation with events of March and April, and one of now."""
    times = {"m1": "2026-03-05T10:00:00Z", "m2": "2026-03-31T23:59:59Z", "a1": "2026-04-01T00:00:00Z"}
    times["now"] = "2026-11-20T00:00:00Z"
    lines = [{**EVENT, "id": name, "at": at, "conversation": "talk"} for name, at in times.items()]
    pertoken("ingest", write_lines(*lines))
    return pertoken


def test_months_go_and_come_back(house: Pertoken, tmp_path: Path) -> None:
    """The command says each file; reports stay; verify counts what is archived; import brings it back."""
    folder = str(tmp_path / "archive")
    report = house.json("usage", "--by", "month", *SPRING)
    said = house("archive", "--before", "2026-05", "--to", folder).stdout
    assert "2026-03.parquet: 2 events archived" in said
    assert "2026-04.parquet: 1 events archived" in said
    assert f"pertoken archive verify {folder}" in said

    assert house.json("usage", "--by", "month", *SPRING) == report
    assert house.json("verify")["checked"]["archived_events"] == 3
    proven = house.json("verify", "--archive", folder)
    assert (proven["ok"], proven["checked"]["events"]) == (True, 4)
    assert "checked 2 files, 3 events\nno fault" in house("archive", "verify", folder).stdout
    assert "no events before 2026-05 are left" in house("archive", "--before", "2026-05", "--to", folder).stdout
    [moved] = house.json("archive", "import", folder, "--month", "2026-03")["imported"]
    assert (moved["file"], moved["moved"], moved["known"], moved["cost"]) == ("2026-03.parquet", 2, 0, {"USD": "0.3"})
    assert "2026-03.parquet: 0 events brought back, 2 were there" in house("archive", "import", folder).stdout
    assert house.json("usage", "--by", "month", *SPRING) == report
    assert house.json("verify")["ok"]


def test_files_go_beside_the_database_unless_told(house: Pertoken, tmp_path: Path) -> None:
    """Without `--to` they are in a folder named for the database; a date is taken for its month."""
    done = house.json("archive", "--before", "2026-04-15")

    assert done["folder"] == str(tmp_path / "pertoken.db.archive")
    assert [(one["file"], one["month"], one["moved"]) for one in done["archived"]] == [
        ("2026-03.parquet", "2026-03", 2)
    ]
    assert json.loads((tmp_path / "pertoken.db.archive" / "manifest.json").read_text())["files"][0]["events"] == 2


def test_what_is_archived_says_where_it_is(house: Pertoken, tmp_path: Path) -> None:
    """A call, a correction, a conversation and a price comparison of that time name the file and the way back."""
    folder = str(tmp_path / "archive")
    house("archive", "--before", "2026-05", "--to", folder)
    back = f"pertoken archive import {folder} --month 2026-03"
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    told = house("explain", "m1")

    assert told.stdout == f"archived 2026-03.parquet in {folder}\nnext: {back}\n"
    assert f"2026-03.parquet is not in {folder}" in told.stderr
    assert house.json("explain", "m1")["status"] == "archived"
    assert house.json("explain", "now")["archived"] == []
    for words in (
        ("rerate", "--from", "2026-03-01"),
        ("conversation", *SPRING),
        ("usage", "--since", "2026-03-05T10:00:01Z", "--until", "2026-03-06"),
        ("price", "diff", "shipped", "book", "--since", "2026-03-01"),
    ):
        assert back in house(*words, code=1).stderr
    house("rerate", "--from", "2026-05-01")
    duplicate = {**EVENT, "id": "m1", "at": "2026-03-05T10:00:00Z", "conversation": "talk"}
    path = tmp_path / "again.jsonl"
    path.write_text(json.dumps(duplicate) + "\n")
    assert house.json("ingest", str(path))["duplicate"] == 1


def test_an_archived_call_is_explained_from_its_file(house: Pertoken, tmp_path: Path) -> None:
    """What `explain` says is the same as before, with the file it comes from; the folder may have moved."""
    folder = tmp_path / "archive"
    before = house.json("explain", "m1")
    house("archive", "--before", "2026-05", "--to", str(folder))
    after = house.json("explain", "m1")
    shown = house("explain", "m1").stdout
    folder.rename(tmp_path / "moved")

    assert [one["file"] for one in after["archived"]] == ["2026-03.parquet"]
    assert {**after, "archived": []} == before
    assert shown.startswith(f"archived 2026-03.parquet in {folder}\ncall     m1 at 2026-03-")
    assert house.json("explain", "m1", "--archive", str(tmp_path / "moved")) == after


def test_another_installation_takes_it_in(house: Pertoken, bare: Pertoken, tmp_path: Path) -> None:
    """An empty database has the same events afterwards, with the prices they were charged at, for the record alone."""
    folder = str(tmp_path / "archive")
    house(
        "price",
        "add",
        "--provider",
        "acme",
        "--model",
        "alpha",
        "--input",
        "3",
        "--output",
        "0",
        "--from",
        "2026-01-01",
    )
    path = tmp_path / "acme.jsonl"
    path.write_text(json.dumps({**EVENT, "id": "x", "at": "2026-03-07", "provider": "acme", "model": "alpha"}) + "\n")
    house("ingest", str(path))
    explained = house.json("explain", "x")
    house("archive", "--before", "2026-05", "--to", folder)
    other = Pertoken(f"sqlite:///{tmp_path}/other.db", bare.environ)
    assert "there is no database" in other("archive", "import", folder, code=1).stderr
    other("key", "create", "reader")

    assert sum(one["moved"] for one in other.json("archive", "import", folder)["imported"]) == 4
    assert sum(one["known"] for one in other.json("archive", "import", folder)["imported"]) == 4
    there = other.json("explain", "x")
    assert there["lines"] == explained["lines"]
    assert [{**one, "recorded_at": ""} for one in there["attempts"]] == [
        {**one, "recorded_at": ""} for one in explained["attempts"]
    ]
    assert other.json("verify")["ok"]
    path.write_text(path.read_text().replace('"x"', '"y"'))
    other("ingest", str(path))
    assert other.json("explain", "y")["status"] == "unpriced"  # the price came for the record alone


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("archive",), 2, "--before 2026-09"),
        (("archive", "--before", "soon"), 2, "--before"),
        (("archive", "--before", "2026-13"), 2, "--before"),
        (("archive", "--before", "2999-01"), 1, "this month and the last one stay"),
        (("archive", "--before", "2026-05", "--to", "/proc/no/such"), 1, "cannot open the folder"),
        (("archive", "--before", "2026-05", "verify", "x"), 2, "options go after the subcommand"),
        (("archive", "verify", "/no/such/folder"), 1, "no archive in /no/such/folder"),
        (("archive", "import", "/no/such/folder"), 1, "cannot open the folder"),
        (("archive", "verify"), 2, "DIR"),
        (("verify", "--archive", "/no/such/folder"), 2, "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_words_are_answered(house: Pertoken, words: tuple[str, ...], code: int, said: str) -> None:
    """Wrong use ends with 2, what cannot be done with 1, and each says what to do instead."""
    result = house(*words, code=code)

    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_month_that_is_not_there(house: Pertoken, tmp_path: Path) -> None:
    """Importing a month that no file has is refused by name; a folder with something else in it is no archive."""
    folder = tmp_path / "archive"
    house("archive", "--before", "2026-04", "--to", str(folder))
    assert (
        "no file of 2025-01 is listed" in house("archive", "import", str(folder), "--month", "2025-01", code=1).stderr
    )
    (folder / "manifest.json").write_text("{")
    assert "cannot read" in house("archive", "verify", str(folder), code=1).stderr
    (folder / "manifest.json").write_text('{"format": 9, "files": []}')
    assert "format 9" in house("archive", "import", str(folder), code=1).stderr


def test_a_tampered_file_ends_with_1(house: Pertoken, tmp_path: Path) -> None:
    """Both checks name the file; the import takes nothing in."""
    folder = tmp_path / "archive"
    house("archive", "--before", "2026-05", "--to", str(folder))
    path = folder / "2026-03.parquet"
    path.write_bytes(path.read_bytes().replace(b"m1", b"m9"))

    assert "FAULT 2026-03.parquet: its hash" in house("archive", "verify", str(folder), code=1).stdout
    assert house.json("archive", "verify", str(folder), code=1)["faults"][0]["file"] == "2026-03.parquet"
    assert "2026-03.parquet: its hash" in house("archive", "import", str(folder), code=1).stderr
    found = house.json("verify", "--archive", str(folder), code=1)["differences"]
    assert {"archive", "rollup"} <= {one["kind"] for one in found}
    assert house.json("verify")["ok"]


def test_without_pyarrow_it_says_what_to_install(house: Pertoken, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads and writes Parquet is an extra; everything else works without it."""
    for name in [name for name in sys.modules if name.startswith(("pyarrow", "pertoken.store.month_"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    assert "pip install pyarrow" in house("archive", "--before", "2026-05", code=1).stderr
    assert house.json("verify")["ok"]
