import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.bad_inputs import LONG, RAW, TABLE, lacking, rows
from tests.cli.conftest import Pertoken

KEPT = ("prices", "keys", "admin_keys", "budgets", "events")


def kept(path: Path) -> dict[str, int]:
    """Return how many rows each table has; none where there is no database."""
    if not path.exists():
        return {}
    connection = sqlite3.connect(path)
    try:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in KEPT}  # noqa: S608
    finally:
        connection.close()


def words_of(said: Any, tmp_path: Path) -> list[str]:
    """Return the words of a command, its placeholders filled in."""
    words = shlex.split(said) if isinstance(said, str) else said
    for name, value in (("{file}", str(tmp_path / "input")), ("{dir}", str(tmp_path)), ("{long}", LONG)):
        words = [word.replace(name, value) for word in words]
    return words


@pytest.mark.parametrize("row", rows("cli"))
def test_commands(request: pytest.FixtureRequest, tmp_path: Path, row: dict[str, Any]) -> None:
    """A bad command ends with its exit code, says what is wrong and what to do, and changes nothing."""
    pertoken: Pertoken = request.getfixturevalue("bare" if row.get("bare") else "pertoken")
    if "file" in row:
        (tmp_path / "input").write_text(row["file"])
    for command in row.get("before", []):
        pertoken(*words_of(command, tmp_path))
    before = kept(tmp_path / "pertoken.db")
    result = pertoken(*words_of(row["words"], tmp_path), code=row["exit"])

    assert lacking(row, result.output) == [], result.output
    assert RAW.findall(result.output) == []
    assert row["exit"] == 0 or kept(tmp_path / "pertoken.db") == before
    assert not (tmp_path / "misspelt.db").exists()


@pytest.mark.parametrize("row", rows("settings"))
def test_settings(pertoken: Pertoken, tmp_path: Path, row: dict[str, Any]) -> None:
    """A bad setting ends every command with one line that names it, what is wrong and what to do."""
    environ = {name: value.replace("{dir}", str(tmp_path)) for name, value in row.get("env", {}).items()}
    if "config" in row:
        (tmp_path / "config.yaml").write_text(row["config"])
        environ["PERTOKEN_CONFIG"] = str(tmp_path / "config.yaml")
    result = pertoken(*row.get("words", "usage").split(), code=1, **environ)

    assert lacking(row, result.stderr) == [], result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_table_is_long() -> None:
    """It has at least a hundred rows."""
    assert sum(map(len, TABLE.values())) >= 100
