"""One class, one name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "pertoken"
NO_TYPES = {"TypeVar", "ParamSpec"}  # what they return is a name for its module alone


def types_of(module: ast.Module) -> Iterator[str]:
    """Yield the names of a module's classes, and of its types that are other names for others."""
    for node in module.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                is_made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in NO_TYPES
                if name[0].isupper() and not name.isupper() and not is_made:
                    yield name


def test_each_type_has_a_name_of_its_own() -> None:
    """A name stands for one class or one other type; a port and what wiring puts there may share theirs."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in SRC.rglob("*.py"):
        for name in types_of(ast.parse(path.read_text())):
            if not name.startswith("_"):
                places[name].append(path.relative_to(SRC).parts[0])

    shared = {name: rooms for name, rooms in places.items() if len(rooms) > 1}
    assert {name for name, rooms in shared.items() if len(rooms) > 2 or "ports" not in rooms} == set()


def test_other_names_of_types_are_found() -> None:
    """A type that is assigned counts as a class does; constants, functions' results and TypeVars do not."""
    made = (
        "class One: ...\nTwo = tuple[int, str]\nSix: type = int | None\nName = TypeVar('Name')\nMAX = 5\nmade = f()\n"
    )

    assert list(types_of(ast.parse(made))) == ["One", "Two", "Six"]
