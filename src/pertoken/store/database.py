"""Opening the database: engine, pragmas, transactions, migrations, and its failures by name."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

BUSY_MS_MAX = 10_000  # how long a writer waits for another process' transaction


class StoreFailed(Exception):
    """The database could not do what was asked: full, read-only, locked, damaged or gone."""


class Database:
    """One database. Writers begin IMMEDIATE, so that what they read cannot change before they write."""

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        if self.url.get_backend_name() != "sqlite":
            raise StoreFailed(f"unsupported database: {self.url.get_backend_name()!r}; use sqlite:///PATH")
        if not self.url.database or self.url.database == ":memory:":
            raise StoreFailed("the ledger needs a file, not memory; use sqlite:///PATH")
        self.path = Path(self.url.database)
        self._writer = _engine(self.url, "BEGIN IMMEDIATE")
        self._seen: tuple[int, int] | None = None
        self._reader = _engine(self.url, "BEGIN")

    def fork(self) -> "Database":
        """Return the same database with connections of its own."""
        return Database(self.url.render_as_string(hide_password=False))

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in one durable transaction. Raises StoreFailed; nothing is half done then."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreFailed(_reason(error, self.path)) from error

    def changed_by_others(self, connection: sa.Connection) -> bool:
        """Tell whether another connection may have written since this was last asked on a write connection.

        SQLite counts the commits of others for each connection (PRAGMA data_version), so that inside a write
        transaction "no" is certain: rows remembered from the last one are the rows on disk.
        """
        version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        seen = (id(connection.connection.dbapi_connection), version)
        changed, self._seen = seen != self._seen, seen
        return changed

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees one state of the database throughout. Raises StoreFailed."""
        try:
            with self._reader.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreFailed(_reason(error, self.path)) from error

    def migrate(self) -> None:
        """Bring the database to the newest schema, creating it if it is not there. Raises StoreFailed."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFailed(f"cannot make the folder of the database: {error}") from error
        script = ScriptDirectory(str(Path(__file__).parent / "migrations"))
        with self.read() as connection:
            if MigrationContext.configure(connection).get_current_revision() == script.get_current_head():
                return
        config = Config()
        config.set_main_option("script_location", script.dir.replace("%", "%%"))
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close every connection."""
        self._writer.dispose()
        self._reader.dispose()


def _engine(url: sa.URL, begin: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_MS_MAX / 1000, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _reason(error: sa.exc.DBAPIError, path: Path) -> str:
    text = str(error.orig)
    if "readonly" in text:
        return f"the database is read-only: {path}"
    if "full" in text:
        return f"the disk of the database is full: {path}"
    if "locked" in text:
        return f"another process keeps the database locked: {path}"
    if "unable to open" in text:
        return f"cannot open the database: {path}"
    return f"the database failed: {text}"
