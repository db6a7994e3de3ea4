"""Whole runs of the gateway in virtual time, each from one seed, with a store that fails at a step of the run.

`make simulate SEEDS=1000` runs many; `make simulate SEEDS=1 SIMULATE_FIRST=17` makes one again, all of it the same way.
"""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from tests.simulation.story import MODELS, Faults, Story

from pertoken.store import catalog
from pertoken.store.database import Database
from pertoken.wiring import shipped_prices

FIRST = int(os.environ.get("SIMULATE_FIRST", "1"))
SEEDS = int(os.environ.get("SIMULATE_SEEDS", "30"))
POINTS = int(os.environ.get("SIMULATE_POINTS", "1"))  # steps at which the store fails, spread over each run


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Fraction]]:
    """Return a database with the prices of a few models, and those prices as fractions."""
    path = tmp_path_factory.mktemp("simulation") / "template.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    rows = [row for row in shipped_prices(0) if row.model in MODELS.values()]
    with database.write() as connection:
        catalog.add_rows(connection, rows)
    database.close()
    return path, {row.price_id: Fraction(row.amount_picos, row.per) for row in rows}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_run(seed: int, template: tuple[Path, dict[str, Fraction]], tmp_path: Path) -> None:
    """Whatever fails and whenever, the books are right, every service is charged once, and nothing stays held."""
    steps = play(seed, template, tmp_path, Faults())
    for point in range(POINTS):
        first = 1 + (steps * point + seed * 7919 % steps) // POINTS
        play(seed, template, tmp_path, Faults(first, again=(seed % 4) * 0.03, seed=seed))


def play(seed: int, template: tuple[Path, dict[str, Fraction]], folder: Path, faults: Faults) -> int:
    """Play one story; return how many steps its store took."""
    path = folder / f"{faults._first}.db"
    shutil.copy(template[0], path)
    again = f"make simulate SEEDS=1 SIMULATE_FIRST={seed}"
    print(f"seed {seed}, the store fails from step {faults._first} on: {again}")  # noqa: T201 - shown where a run fails
    Story(path, seed, faults, template[1]).play()
    for leftover in folder.glob(f"{path.name}*"):
        leftover.unlink()
    return faults.steps
