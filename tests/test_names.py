"""One class, one name."""

import ast
from collections import defaultdict
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "pertoken"


def test_each_class_has_a_name_of_its_own() -> None:
    """A name stands for one class; a port and what wiring puts there may share theirs."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in SRC.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(SRC).parts[0])

    shared = {name: rooms for name, rooms in places.items() if len(rooms) > 1}
    assert {name for name, rooms in shared.items() if len(rooms) > 2 or "ports" not in rooms} == set()
