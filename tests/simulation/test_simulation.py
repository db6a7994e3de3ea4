"""Whole runs of the gateway in virtual time, each from one seed, with a store that fails at a step of the run.

`make simulate SEEDS=1000` runs many; `make simulate SEEDS=1 SIMULATE_FIRST=17` makes one again, all of it the same way.
A fifth of the seeds, and a few in any case, are played on PostgreSQL as well.
"""

import functools
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.conftest import DEEP, STORES, MakeDatabase, deep
from tests.postgresql import PostgresServer
from tests.simulation.story import MODELS, Faults, Mix, Story

from pertoken.store import catalog
from pertoken.store.database import Database
from pertoken.wiring.prices import shipped_prices

FIRST = int(os.environ.get("SIMULATE_FIRST", "1"))
SEEDS = int(os.environ.get("SIMULATE_SEEDS", "30"))
POINTS = int(os.environ.get("SIMULATE_POINTS", "1"))  # steps at which the store fails, spread over each run
STRIDE = 1 if "SIMULATE_SEEDS" in os.environ else 13  # of the steps of a short run, each one fails, or one of so many
FEW = (*range(1, 16), 19, 29)  # what `make test` plays: some, and all in which a mistake of mutants.yaml is found
PLAYED = range(FIRST, FIRST + SEEDS) if DEEP or "SIMULATE_SEEDS" in os.environ else FEW
ON_A_SERVER = max(5, len(PLAYED) // 5)
SHORT_SEED = 33  # four calls that are served, one with a name, and a change to budgets: about 120 steps
SHORT = Mix(workers=1, calls=4, spread_s=8.0, crashes=0, changes=1, hang_ups=0, faulty=0, named=0.3)
RUNS = [("sqlite", seed) for seed in PLAYED]
RUNS += [("postgresql", seed) for seed in PLAYED[:ON_A_SERVER]]


class FileTemplate:
    """A SQLite file to begin each run with."""

    def __init__(self, url: str, prices: dict[str, Fraction]) -> None:
        self.prices = prices
        self._path = Path(url.removeprefix("sqlite:///"))
        self._folder = self._path.parent

    @contextmanager
    def copy(self) -> Iterator[str]:
        """Yield the URL of a copy, gone afterwards."""
        path = self._folder / "run.db"
        shutil.copy(self._path, path)
        try:
            yield f"sqlite:///{path}"
        finally:
            for leftover in self._folder.glob(f"{path.name}*"):
                leftover.unlink()


class ServerTemplate:
    """A database of a PostgreSQL server to begin each run with."""

    def __init__(self, url: str, prices: dict[str, Fraction], server: PostgresServer) -> None:
        self.prices = prices
        self._name = sa.make_url(url).database
        self._server = server
        self._numbers = itertools.count()

    @contextmanager
    def copy(self) -> Iterator[str]:
        """Yield the URL of a copy, gone afterwards."""
        name = f"{self._name}_{next(self._numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {self._name}")
        try:
            yield self._server.get_uri(database=name)
        finally:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


Template = FileTemplate | ServerTemplate


@pytest.fixture(scope="session")
def make_template(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Template]:
    """Return a function that makes a database with the prices of a few models, once of each kind."""

    @functools.cache
    def make(store: str) -> Template:
        url = make_database(store, tmp_path_factory.mktemp("simulation"))
        database = Database(url)
        database.migrate()
        rows = [row for row in shipped_prices(0) if row.model in MODELS.values()]
        with database.write() as connection:
            catalog.add_rows(connection, rows)
        database.close()
        prices = {row.price_id: Fraction(row.amount_picos, row.per) for row in rows}
        if store == "sqlite":
            return FileTemplate(url, prices)
        return ServerTemplate(url, prices, request.getfixturevalue("postgresql"))

    return make


@pytest.fixture
def template(request: pytest.FixtureRequest, make_template: Callable[[str], Template]) -> Template:
    """Return a database to begin with, of the kind that is asked for."""
    return make_template(request.param)


@deep
@pytest.mark.parametrize(("template", "seed"), RUNS, indirect=["template"])
def test_a_run(template: Template, seed: int) -> None:
    """Whatever fails and whenever, the books are right, every service is charged once, and nothing stays held."""
    steps = play(seed, template, Faults())
    for point in range(POINTS):
        first = 1 + (steps * point + seed * 7919 % steps) // POINTS
        play(seed, template, Faults(first, again=(seed % 4) * 0.03, seed=seed))


@pytest.mark.parametrize("template", STORES, indirect=True)
def test_a_short_run_whose_store_fails_at_each_step(template: Template) -> None:
    """Step 1, 2, 3, ... until the run is over: whichever fails, the books are right."""
    steps = play(SHORT_SEED, template, Faults(), SHORT)
    for step in range(1, steps + 1, STRIDE):
        faults = Faults(step)
        play(SHORT_SEED, template, faults, SHORT)
        assert faults.met


def play(seed: int, template: Template, faults: Faults, mix: Mix | None = None) -> int:
    """Play one story; return how many steps its store took."""
    again = f"make simulate SEEDS=1 SIMULATE_FIRST={seed}"
    print(f"seed {seed}, the store fails from step {faults._first} on: {again}")  # noqa: T201 - shown where a run fails
    with template.copy() as url:
        Story(url, seed, faults, template.prices, mix).play()
    return faults.steps
