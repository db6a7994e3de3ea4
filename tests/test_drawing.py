"""The drawing in docs/ARCHITECTURE.md."""

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "drawing.py"


def test_the_page_has_the_house_as_it_is() -> None:
    """What the page draws is what the code imports; else `make drawing` was not run."""
    assert subprocess.run([sys.executable, SCRIPT, "--check"], check=False).returncode == 0


def test_an_arrow_that_follows_is_left_out() -> None:
    """Arrows that follow from others are left out, and no other: what can be reached stays the same."""
    spec = importlib.util.spec_from_file_location("drawing", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)

    rooms = {"cli": {"services", "store", "core"}, "services": {"core"}, "store": {"core"}, "core": set()}
    assert drawing.without_implied(rooms) == {
        "cli": {"services", "store"}, "services": {"core"}, "store": {"core"}, "core": set(),
    }  # fmt: skip
    assert "  cli --> store\n" in drawing.draw(rooms)
