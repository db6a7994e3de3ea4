"""All tables are in one place, and each stands with its owner."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pertoken

STORE = Path(pertoken.__file__).parent / "store"
MODULES = {path.stem: ast.parse(path.read_text()) for path in STORE.glob("*.py")}
SHOW = "from pertoken.store.tables import metadata; print(*metadata.tables)"


def made_in(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the variable and the name of each table that a module makes."""
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("sa.Table("):
            assert isinstance(node.value, ast.Call)
            yield ast.unparse(node.targets[0]), ast.literal_eval(node.value.args[0])


def imported_by(module: ast.Module) -> set[str]:
    """Return the names that a module imports from the schema."""
    froms = [one for one in ast.walk(module) if isinstance(one, ast.ImportFrom)]
    return {name.name for one in froms if one.module == "pertoken.store.schema" for name in one.names}


def test_no_table_is_forgotten() -> None:
    """Whoever makes or compares all tables has each that any module makes, also where it imports nothing else."""
    written = [name for module in MODULES.values() for _, name in made_in(module)]
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)

    assert sorted(done.stdout.split()) == sorted(written)


def test_a_table_of_one_module_stands_there() -> None:
    """The schema has tables that several modules use, and no others."""
    uses = [imported_by(module) for module in MODULES.values()]

    assert [name for name, _ in made_in(MODULES["schema"]) if sum(name in one for one in uses) < 2] == []
