"""What all tests share: hypothesis without deadlines, and a database of each kind."""

import functools
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from tests.postgresql import PostgresServer, running

from pertoken.settings import load
from pertoken.store.database import Database
from pertoken.wiring.database import open_database

DEEP = bool(os.environ.get("DEEP"))  # set by `make deep`: what chance decides is tried as often as it should be
settings.register_profile("default", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("deep", settings.get_profile("ci"), max_examples=100)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)  # for `make quick`
settings.load_profile("deep" if DEEP else "ci" if os.environ.get("CI") else "default")
deep = pytest.mark.deep  # on tests that `make deep` runs again, larger


def examples(number: int) -> settings:
    """Return settings for so many examples of a property in `make deep`; `make test` tries two fifths of them."""
    return settings(max_examples=max(1, number * settings.default.max_examples // 100))


STORES = ("sqlite", "postgresql")
Fill = Callable[[str], Any]  # fills the database of a URL


class MakeDatabase(Protocol):
    """Makes a database of a kind and returns its URL."""

    def __call__(self, store: str, folder: Path, fill: Fill | None = None) -> str:
        """Make an empty one, or a copy of one that was filled once; it is in the folder if it is a file."""


def with_schema(url: str) -> None:
    """Give a database the newest schema."""
    database = Database(url)
    database.migrate()
    database.close()


def with_prices(url: str) -> None:
    """Give a database the newest schema and the shipped prices, as the first start of the program does."""
    with open_database(load({"PERTOKEN_DATABASE_URL": url})):
        pass


def pytest_configure() -> None:
    """Refuse to test what is not the source: a compiled module that is older than its own.

    A shell starts what runs in the background deaf to Ctrl-C; what the tests start must hear it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for compiled in (Path(__file__).parents[1] / "src" / "pertoken").rglob("*.so"):
        source = compiled.with_name(compiled.name.partition(".")[0] + ".py")
        if source.stat().st_mtime > compiled.stat().st_mtime:
            raise pytest.UsageError(f"{source} is newer than its compiled module: `make compiled` or `make pure`")


@functools.cache
def _shipped() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory(prefix="pertoken-shipped-")  # gone with this process
    path = Path(folder.name) / "pertoken.db"
    with_prices(f"sqlite:///{path}")
    return folder, path


def put_prices(folder: Path) -> str:
    """Put a SQLite database with the shipped prices into a folder; return its URL."""
    path = folder / "pertoken.db"
    if not path.exists():
        shutil.copy(_shipped()[1], path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """Return a PostgreSQL server of this test process."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return the provider that all gateways of this test process share, one test after the other."""
    from tests.e2e.conftest import start

    process = start(["-m", "pertoken.simulator", "--port", "0"], {}, tmp_path_factory.mktemp("simulator") / "log")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeDatabase:
    """Return a function that makes databases; what fills one is run once, then copied."""
    numbers = itertools.count()

    @functools.cache
    def filled(store: str, fill: Fill) -> str:
        url = make(store, tmp_path_factory.mktemp("filled"))
        fill(url)
        return str(sa.make_url(url).database)

    def make(store: str, folder: Path, fill: Fill | None = None) -> str:
        original = None if fill is None else filled(store, fill)
        if store == "sqlite":
            if original is not None:
                shutil.copy(original, folder / "pertoken.db")
            return f"sqlite:///{folder}/pertoken.db"
        server = request.getfixturevalue("postgresql")
        made = f"pertoken_{next(numbers)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {made} TEMPLATE {original or 'template1'}")  # type: ignore[call-overload]
        url: str = server.get_uri(database=made)
        return url

    return make


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    return make_database(request.param, tmp_path)


@pytest.fixture(params=STORES)
def migrated_url(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> str:
    """Return the URL of a database with the newest schema, of each kind in turn."""
    return make_database(request.param, tmp_path, with_schema)


@pytest.fixture(params=STORES)
def priced_url(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> str:
    """Return the URL of a database with the newest schema and the shipped prices, of each kind in turn."""
    return make_database(request.param, tmp_path, with_prices)
