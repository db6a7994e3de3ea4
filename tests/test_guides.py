"""The guides tell the truth: their files and commands are taken from the page, run, and answer as the page says."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from pertoken.cli.main import cli

GUIDES = sorted((Path(__file__).parents[1] / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command of a page, and what it answers there."""

    words: list[str]
    answer: list[str]


def files(page: str) -> dict[str, str]:
    """Return the files of a page."""
    return {name: content for _, name, content in BLOCK.findall(page) if name}


def commands(page: str) -> Iterator[Command]:
    """Yield the commands of a page in order."""
    for language, _, content in BLOCK.findall(page):
        if language == "console":
            for one in content.split("$ ")[1:]:
                line, *answer = one.splitlines()
                yield Command(shlex.split(line), lines(answer))


def lines(answer: list[str]) -> list[str]:
    """Return lines as they are compared: without blank ones, and whatever the width of columns and rules."""
    return [re.sub(r"─+", "─", " ".join(line.split())) for line in answer if line.strip()]


def is_as_said(line: str, expected: str) -> bool:
    """Tell whether a line is what the page says; `...` on the page stands for what differs each time."""
    return re.fullmatch(re.escape(expected).replace(re.escape("..."), ".+"), line) is not None


@pytest.mark.parametrize("guide", GUIDES, ids=[guide.stem for guide in GUIDES])
def test_a_guide(guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command in an empty folder with the page's files answers what the page says."""
    page = guide.read_text()
    monkeypatch.chdir(tmp_path)
    for name, content in files(page).items():
        Path(name).write_text(content)
    environ = {"COLUMNS": "100", "XDG_DATA_HOME": str(tmp_path), "PERTOKEN_DATABASE_URL": None, "PERTOKEN_CONFIG": None}
    found = list(commands(page))
    for command in found:
        assert command.words[0] == "pertoken"
        result = CliRunner().invoke(cli, command.words[1:], env=environ, prog_name="pertoken")
        answer = lines(result.output.splitlines())
        assert len(answer) == len(command.answer), result.output
        for line, expected in zip(answer, command.answer, strict=True):
            assert is_as_said(line, expected), result.output
    assert found
