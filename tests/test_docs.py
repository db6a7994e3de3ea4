"""The pages tell the truth: every command, setting, room and code stands where it should."""

import ast
import re
import tomllib
from pathlib import Path

import pertoken
from pertoken import settings
from pertoken.api.problem import MEANINGS
from pertoken.api.table import ROUTES
from pertoken.catalogs.providers import registry
from pertoken.cli.main import COMMANDS
from pertoken.core.access import GRANTS, Role
from pertoken.core.bounds import FAMILIES
from pertoken.core.errors import STATUS, Code
from pertoken.simulator import behaviour

ROOT = Path(__file__).parent.parent
PACKAGE = Path(pertoken.__file__).parent
STEPS = PACKAGE / "services" / "call"
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()


def test_every_command_is_in_the_readme() -> None:
    """A command that README does not name does not exist for its reader."""
    assert [name for name in COMMANDS if f"{name}" not in README] == []


def test_every_room_is_in_the_architecture() -> None:
    """The house's plan shows every folder of the package."""
    rooms = [path.name for path in Path(pertoken.__file__).parent.iterdir() if path.is_dir() and path.name[0] != "_"]

    assert [room for room in rooms if f"  {room}/" not in ARCHITECTURE] == []


def test_the_layers_are_those_of_the_contract() -> None:
    """The plan names every layer in the order that `lint-imports` enforces."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one["type"] == "layers"]

    assert f"`{' > '.join(layers)}`" in ARCHITECTURE


def steps() -> dict[str, dict[str, str]]:
    """Return the rows of the table of steps, by their numbers."""
    lines = ARCHITECTURE.split("## One call, top to bottom")[1].split("\n## ")[0].splitlines()
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def quoted(text: str) -> list[str]:
    """Return what stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def test_the_steps_have_one_numbering() -> None:
    """The docstring of each module of a step begins with the number of the row that names it."""
    modules = {path.stem: ast.parse(path.read_text()) for path in STEPS.glob("*.py")}
    said = {name: re.match(r"Step (\d)[:,]", ast.get_docstring(module) or "") for name, module in modules.items()}
    numbers = {name: found[1] for name, found in said.items() if found is not None}

    assert numbers == {name: number for number, row in steps().items() for name in quoted(row["module"])}


def test_what_each_step_returns() -> None:
    """The table has what the function of each step returns."""
    for row in steps().values():
        name = quoted(row["module"])[0]
        module = ast.parse((STEPS / f"{name}.py").read_text())
        [step] = [
            one
            for one in module.body
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name and one.returns
        ]
        assert step.returns is not None
        assert set(quoted(row["returns"])) == set(ast.unparse(step.returns).split(" | ")), name


def test_how_each_step_may_end_the_call() -> None:
    """Each code has its status; what a module of a step, or what decides for it, refuses with stands in its row.

    What a stream is cut with (step 7) is given at the end of the call (step 9).
    """
    rows = steps()
    for number, row in rows.items():
        ending = rows["9"] if number == "7" else row
        ends = dict(re.findall(r"`([a-z_]+)` (\d{3})", ending["may end the call with"]))
        assert ends == {code: str(STATUS[Code(code)]) for code in ends}, number
        files = [STEPS / f"{name}.py" for name in quoted(row["module"])]
        files += [(PACKAGE / name.replace(".", "/")).with_suffix(".py") for name in quoted(row["decided in"])]
        texts = [path.read_text() for path in files if path.is_file()]
        made = {
            Code[name].value for text in texts for name in re.findall(r"(?:Refusal\(|= |else )Code\.([A-Z_]+)", text)
        }
        assert made <= set(ends), number


def test_the_page_on_the_control_plane() -> None:
    """It has every route with its action, every error with its status, and every role's actions as they are granted."""
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    granted: dict[str, set[str]] = {role: set() for role in Role}
    for row in rows:
        if len(row) == len(Role) + 1 and row[0] != "action":
            for role, cell in zip(Role, row[1:], strict=True):
                granted[role] |= set(re.findall(r"`(.+?)`", row[0])) if cell != "-" else set()

    routes = {f"`{route.method} {route.path}`": f"`{route.action}`" for route in ROUTES}
    assert {row[0]: row[1] for row in rows if row[0].startswith("`") and "/api/" in row[0]} == routes
    errors = {f"`{code}`": str(meaning.status) for code, meaning in MEANINGS.items()}
    assert {row[0]: row[1] for row in rows if len(row) == 3 and row[1].isdigit()} == errors
    assert granted == {role: set(actions) for role, actions in GRANTS.items()}


def test_the_page_on_the_simulator() -> None:
    """It has every header that is read, and every fault."""
    page = (ROOT / "docs" / "reference" / "simulator.md").read_text()
    read = set(re.findall(r"x-sim-[a-z-]+[a-z]", Path(behaviour.__file__).read_text()))

    assert set(re.findall(r"\| `(x-sim-[a-z-]+)` \|", page)) == read
    assert [fault for fault in behaviour.FAULTS if f"`{fault}`" not in page] == []


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


def test_the_page_on_limits() -> None:
    """It has every limit that can be set."""
    page = (ROOT / "docs" / "reference" / "limits.md").read_text()

    assert [name for name in settings.LimitSettings.__struct_fields__ if f"| `{name}` |" not in page] == []


def test_the_page_on_providers(tmp_path: Path) -> None:
    """It names every provider with its usual variables and every setting; each of its examples loads."""
    page = (ROOT / "docs" / "how-to" / "providers.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}

    for name, row in registry().items():
        assert name in rows
        assert not row.callable or all(f"`{variable}`" in rows[name] for variable in row.key_variables[:1])
        assert rows[name].split("|")[4].split(";")[0].strip() == row.stops_billing_on_abort
    assert set(settings.ProviderSetting.__struct_fields__) <= set(rows)
    for number, example in enumerate(page.split("```yaml\n")[1:]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(example.split("```")[0])
        assert settings.load({"PERTOKEN_CONFIG": str(path)}).providers
