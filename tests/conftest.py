"""What all tests share: hypothesis without deadlines, and a database of each kind."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from tests.postgresql import PostgresServer, running

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)  # for `make quick`
settings.load_profile("ci" if os.environ.get("CI") else "default")


def examples(number: int) -> settings:
    """Return settings for so many examples of a property; `make quick` tries a fifth of them."""
    return settings(max_examples=max(1, number * settings.default.max_examples // 100))


STORES = ("sqlite", "postgresql")
MakeDatabase = Callable[[str, Path], str]


def pytest_configure() -> None:
    """Refuse to test what is not the source: a compiled module that is older than its own."""
    for compiled in (Path(__file__).parents[1] / "src" / "pertoken").rglob("*.so"):
        source = compiled.with_name(compiled.name.partition(".")[0] + ".py")
        if source.stat().st_mtime > compiled.stat().st_mtime:
            raise pytest.UsageError(f"{source} is newer than its compiled module: `make compiled` or `make pure`")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """Return a PostgreSQL server of this test process."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest) -> MakeDatabase:
    """Return a function that makes an empty database of a kind, in a folder if it is a file, and returns its URL."""
    numbers = itertools.count()

    def make(store: str, folder: Path) -> str:
        if store == "sqlite":
            return f"sqlite:///{folder}/pertoken.db"
        server = request.getfixturevalue("postgresql")
        name = f"pertoken_{next(numbers)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        url: str = server.get_uri(database=name)
        return url

    return make


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    return make_database(request.param, tmp_path)
