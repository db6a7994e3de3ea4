"""The drawing of the house in docs/ARCHITECTURE.md, made from what imports what: `make drawing`.

An arrow says that something in one room imports from another. One that follows from others is left out: where A imports
from B and B from C, A may import from C as well. Exit 1 with --check where the page has another drawing.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import grimp

PAGE = Path(__file__).parents[1] / "docs" / "ARCHITECTURE.md"
BEGIN, END = "```mermaid\n", "```\n"
ROOT = "pertoken"

Rooms = dict[str, set[str]]  # room -> those that it imports from


def read_rooms() -> Rooms:
    """Return what each room imports from."""
    graph = grimp.build_graph(ROOT)
    rooms: Rooms = {child.partition(".")[2]: set() for child in graph.find_children(ROOT)}
    for name, imported in rooms.items():
        room = f"{ROOT}.{name}"
        for module in {room} | graph.find_descendants(room):
            imported |= {
                other.split(".")[1] for other in graph.find_modules_directly_imported_by(module) if "." in other
            }
        imported.discard(name)
    return rooms


def without_implied(rooms: Mapping[str, set[str]]) -> Rooms:
    """Return the imports that do not follow from others."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        pending = [start]
        while pending:
            new = rooms[pending.pop()] - found
            found |= new
            pending += new
        return found

    return {
        name: {one for one in to if not any(one in reached(two) for two in to - {one})} for name, to in rooms.items()
    }


def draw(rooms: Mapping[str, set[str]]) -> str:
    """Return the drawing as Mermaid reads it."""
    arrows = [f"  {name} --> {other}" for name, to in sorted(without_implied(rooms).items()) for other in sorted(to)]
    return "\n".join(["flowchart TD", *arrows]) + "\n"


def main(words: list[str]) -> int:
    """Write the drawing into the page, or with --check compare."""
    page = PAGE.read_text()
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    drawing = draw(read_rooms())
    if "--check" in words:
        return int(old != drawing)
    PAGE.write_text(before + begin + drawing + end + after)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
