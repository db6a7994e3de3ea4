"""One class, one name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "pertoken"
# Ports with one class that implements them. Its other name could only be "the stored ones", which says no more.
IMPLEMENTED = {
    "AdminKeys": "store",
    "Administration": "store",
    "Answers": "store",
    "Archive": "store",
    "AuditLog": "store",
    "Customers": "store",
    "ModelLimits": "catalogs",
    "SavedViews": "store",
    "Sessions": "store",
    "Tokenizers": "counting",
}
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
    """A name stands for one class or one other type, but for a port and the class of the room that implements it."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in SRC.rglob("*.py"):
        for name in types_of(ast.parse(path.read_text())):
            if not name.startswith("_"):
                places[name].append(path.relative_to(SRC).parts[0])
    shared = {name: sorted(rooms) for name, rooms in places.items() if len(rooms) > 1}

    assert shared == {name: sorted(("ports", room)) for name, room in IMPLEMENTED.items()}


@pytest.mark.parametrize("name", IMPLEMENTED)
def test_a_port_that_shares_its_name_is_a_protocol(name: str) -> None:
    """What is exempt is a port and its class: nobody but wiring knows the class, so no reader meets both."""
    [port] = [
        node
        for path in (SRC / "ports").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name == name
    ]

    assert "Protocol" in {ast.unparse(base) for base in port.bases}


def test_other_names_of_types_are_found() -> None:
    """A type that is assigned counts as a class does; constants, functions' results and TypeVars do not."""
    made = (
        "class One: ...\nTwo = tuple[int, str]\nSix: type = int | None\nName = TypeVar('Name')\nMAX = 5\nmade = f()\n"
    )

    assert list(types_of(ast.parse(made))) == ["One", "Two", "Six"]
