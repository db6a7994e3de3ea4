"""A database of its own for each test, the command line to run on it, and the real data where it is at hand."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pertoken import settings
from pertoken.cli.main import cli
from pertoken.wiring.database import open_database

WriteLines = Callable[..., str]


@dataclass
class Pertoken:
    """The command line on one database, with nothing of this machine's environment."""

    url: str
    environ: dict[str, str | None]

    def __call__(self, *arguments: str, code: int = 0, stdin: str | bytes = "", **environ: str) -> Result:
        """Run a command and insist on its exit code."""
        env = {**self.environ, "PERTOKEN_DATABASE_URL": self.url, **environ}
        result = CliRunner().invoke(cli, arguments, input=stdin, env=env, prog_name="pertoken")
        problem = result.exception if not isinstance(result.exception, SystemExit) else None
        assert problem is None, problem
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: str, code: int = 0, **environ: str) -> dict[str, Any]:
        """Run a command with --json and return its one document."""
        document: dict[str, Any] = json.loads(self(*arguments, "--json", code=code, **environ).stdout)
        return document

    def lines(self, *arguments: str, stdin: list[Any], code: int = 0) -> list[dict[str, Any]]:
        """Run a command on JSON lines and return the lines it answers."""
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in stdin)
        return [json.loads(line) for line in self(*arguments, stdin=text, code=code).stdout.splitlines()]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new database with the shipped prices, made once and copied for each test."""
    path = tmp_path_factory.mktemp("template") / "pertoken.db"
    with open_database(settings.load({"PERTOKEN_DATABASE_URL": f"sqlite:///{path}"})):
        pass
    return path


def in_folder(folder: Path) -> Pertoken:
    """Return the command line in a folder, with no provider key."""
    machine = {name: None for name in os.environ if name.startswith("PERTOKEN_") or name.endswith("_API_KEY")}
    environ: dict[str, str | None] = {**machine, "PORT": None, "COLUMNS": "100", "XDG_DATA_HOME": str(folder)}
    return Pertoken(f"sqlite:///{folder}/pertoken.db", environ)


@pytest.fixture
def bare(tmp_path: Path) -> Pertoken:
    """Return the command line where nothing was installed yet: no database, no provider key."""
    return in_folder(tmp_path)


@pytest.fixture
def pertoken(bare: Pertoken, template: Path, tmp_path: Path) -> Pertoken:
    """Return the command line on a new database with the shipped prices."""
    shutil.copy(template, tmp_path / "pertoken.db")
    return bare


@pytest.fixture
def write_lines(tmp_path: Path) -> WriteLines:
    """Return a function that writes JSON lines to a file and returns its path."""

    def write(*lines: Any, name: str = "events.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return str(path)

    return write


@pytest.fixture
def azure_trace() -> Path:
    """Return one hour of real conversations, 19,366 requests (Azure/AzurePublicDataset, CC BY 4.0)."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("PERTOKEN_DATA", beside))
    path = folder / "traces" / "azure_llm_2023_conv.csv.gz"
    if not path.exists():
        pytest.skip(f"the real traces are not here: {path}; set PERTOKEN_DATA")
    return path
