import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.cli.conftest import Pertoken

from pertoken.cli.main import COMMANDS, cli


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*path, name)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


@pytest.mark.parametrize("words", list(every_command(cli)), ids=" ".join)
def test_every_command_explains_itself(bare: Pertoken, words: tuple[str, ...]) -> None:
    """`--help` of every command works, and says what it does."""
    shown = bare(*words, "--help").stdout

    assert shown.startswith("Usage: pertoken " + " ".join(words))
    assert len(shown.splitlines()) > 4


def test_the_list_of_commands_says_each_in_one_line(bare: Pertoken) -> None:
    """`--help` lists every command of the table, in its order."""
    shown = bare("--help").stdout
    listed = [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines()]

    assert listed == list(COMMANDS)


def test_help_loads_nothing_heavy() -> None:
    """`pertoken --help` imports neither the database, nor tables, nor price data, nor a server."""
    program = (
        "import sys\n"
        "from pertoken.cli.main import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "heavy = {'sqlalchemy', 'alembic', 'rich', 'genai_prices', 'uvicorn', 'tiktoken', 'starlette'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "Commands:" in done.stdout
    assert done.stderr.strip() == "[]"


def test_it_runs_as_a_module() -> None:
    """`python -m pertoken --version` names the program."""
    done = subprocess.run([sys.executable, "-m", "pertoken", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("pertoken, version ")


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("usage", "--by", "weather"),
        ("usage", "--since", "tomorrow"),
        ("usage", "--tz", "Nowhere/Land"),
        ("usage", "--since", "2026-02-02", "--until", "2026-02-01"),
        ("key", "create", "a", "--tag", "no-value"),
        ("budget", "set", "a", "--limit", "1", "--axis", "weather"),
        ("budget", "set", "a"),
        ("price", "import", "litellm"),
        ("price", "add", "--provider", "p", "--model", "m", "--input", "cheap"),
        ("price", "show", "gpt-4o", "--at", "noon"),
        ("ingest", "no-such-file"),
        ("count",),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_2(pertoken: Pertoken, words: tuple[str, ...]) -> None:
    """What cannot be meant ends with 2, before anything is done, and says how to use it on stderr."""
    result = pertoken(*words, code=2)

    assert result.stdout == ""
    assert "Usage: pertoken" in result.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "write sqlite:///PATH"),
        ("mysql://somewhere/else", "unsupported database"),
        ("sqlite:////proc/no/such/place.db", "there is no database at"),
    ],
)
@pytest.mark.parametrize("words", [("usage",), ("verify",), ("key", "list"), ("rate",)], ids=" ".join)
def test_a_database_that_cannot_be_is_one_line(bare: Pertoken, words: tuple[str, ...], url: str, said: str) -> None:
    """An address that is none, or that cannot be opened, is one line on stderr and exit 1, for every command."""
    if words == ("rate",) and url.startswith("sqlite"):
        pytest.skip("rate works without a database")
    result = bare(*words, "--db", url, code=1)

    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_database_that_cannot_be_made_is_one_line(bare: Pertoken) -> None:
    """A command that makes the database says in one line why it cannot."""
    result = bare("key", "create", "app", "--db", "sqlite:////proc/no/such/place.db", code=1)

    assert "cannot make the folder" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_database_of_another_version_is_one_line(pertoken: Pertoken, tmp_path: Path) -> None:
    """Tables that this version does not know end a command with one line that says what to install."""
    connection = sqlite3.connect(tmp_path / "pertoken.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    result = pertoken("usage", code=1)

    assert "the database belongs to another version of pertoken; install that version: " in result.stderr
    assert "9999" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_damaged_database_is_one_line(bare: Pertoken, tmp_path: Path) -> None:
    """A file that is no database ends a command with one line."""
    (tmp_path / "pertoken.db").write_bytes(b"this is not a database, it only has its name" * 40)
    result = bare("usage", code=1)

    assert "file is not a database" in result.stderr
    assert "pertoken doctor" in result.stderr


def test_bad_settings_are_one_line(pertoken: Pertoken, tmp_path: Path) -> None:
    """A configuration file that cannot be read as YAML ends every command with one line that names it."""
    config = tmp_path / "config.yaml"
    config.write_text("models: [")
    result = pertoken("usage", code=1, PERTOKEN_CONFIG=str(config))

    assert str(config) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_option_wins_over_the_environment(pertoken: Pertoken, tmp_path: Path) -> None:
    """`--db` names the database, whatever the environment says."""
    pertoken("key", "create", "elsewhere", "--db", f"sqlite:///{tmp_path}/other.db")

    assert pertoken.json("key", "list")["keys"] == []
    assert pertoken.json("key", "list", "--db", f"sqlite:///{tmp_path}/other.db")["keys"][0]["name"] == "elsewhere"


@pytest.mark.parametrize("words", list(every_command(cli)), ids=" ".join)
def test_csv_is_beside_json(bare: Pertoken, words: tuple[str, ...]) -> None:
    """Every command that has a JSON document has CSV as well; those that speak JSON lines alone have none."""
    shown = bare(*words, "--help").stdout
    speaks_lines = words in {("serve",), ("extract",), ("rate",)}

    assert ("--csv" in shown) == ("--json" in shown and not speaks_lines)


@pytest.mark.parametrize("words", [(), ("key",), ("budget",)], ids=" ".join)
def test_a_group_alone_shows_its_help(bare: Pertoken, words: tuple[str, ...]) -> None:
    """Who types a group without a command is shown what there is, a line each, and exit 2."""
    done = bare(*words, code=2)

    assert "\nCommands:\n" in done.stderr
    assert "\\x" not in done.stderr
