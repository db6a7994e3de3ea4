"""The pages tell the truth: every command, setting, room and code stands where it should."""

from pathlib import Path

import pertoken
from pertoken import settings
from pertoken.cli.main import COMMANDS
from pertoken.core.bounds import FAMILIES
from pertoken.core.errors import STATUS, Code

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()


def test_every_command_is_in_the_readme() -> None:
    """A command that README does not name does not exist for its reader."""
    assert [name for name in COMMANDS if f"{name}" not in README] == []


def test_every_room_is_in_the_architecture() -> None:
    """The house's plan shows every folder of the package."""
    rooms = [path.name for path in Path(pertoken.__file__).parent.iterdir() if path.is_dir() and path.name[0] != "_"]

    assert [room for room in rooms if f"  {room}/" not in ARCHITECTURE] == []


def test_every_tokenizer_family_is_explained() -> None:
    """Each family stands in the page on tokens, with what it counts as."""
    page = (ROOT / "docs" / "concepts" / "tokens.md").read_text()

    assert [name for name in FAMILIES if f" {name}" not in page] == []


def test_every_refusal_has_a_status() -> None:
    """No code is without the HTTP status it is answered with."""
    assert set(STATUS) == set(Code)


def test_every_top_setting_is_a_field() -> None:
    """The example in README is a configuration that loads."""
    example = README.split("```yaml\n")[1].split("```")[0]
    path = ROOT / ".pytest_cache" / "readme.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(example)

    assert settings.load({"PERTOKEN_CONFIG": str(path)}).models["fast"].model == "gpt-4o-mini"
