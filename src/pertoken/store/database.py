"""Opening the database: engine, pragmas, transactions, migrations, and its failures by name."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

BUSY_MS_MAX = 10_000  # how long a writer waits for another process' transaction


class StoreFailed(Exception):
    """The database could not do what was asked: full, read-only, locked, damaged or gone.

    `is_one_row`: a single row broke a rule; the other commands of its batch would have been fine.
    """

    def __init__(self, message: str, *, is_one_row: bool = False) -> None:
        super().__init__(message)
        self.is_one_row = is_one_row


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
        self._hot: sa.PoolProxiedConnection | None = None
        self._hot_version: int | None = None
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
            raise StoreFailed(_reason(str(error.orig), self.path)) from error

    @contextlib.contextmanager
    def hot_write(self) -> Iterator[tuple[Cursor, bool]]:
        """Yield the driver's cursor in one durable transaction on a connection kept for this alone.

        Also yields whether another connection has committed since the last hot write. SQLite counts the commits of
        others for each connection (PRAGMA data_version), so that inside a write transaction "no" is certain: rows
        remembered from the last one are the rows on disk. Raises StoreFailed; nothing is half done then.
        """
        try:
            if self._hot is None:
                self._hot = self._writer.raw_connection()
            cursor = self._hot.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.execute("PRAGMA data_version")
                version = cursor.fetchall()[0][0]
                yield cursor, version != self._hot_version
                cursor.execute("COMMIT")
                self._hot_version = version
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self._drop_hot()
            raise StoreFailed(
                _reason(str(error), self.path), is_one_row=isinstance(error, sqlite3.IntegrityError)
            ) from error

    def _drop_hot(self) -> None:
        self._hot_version = None
        if self._hot is not None:
            self._hot.invalidate()
            self._hot = None

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees one state of the database throughout. Raises StoreFailed."""
        try:
            with self._reader.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreFailed(_reason(str(error.orig), self.path)) from error

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
        self._drop_hot()
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


def _reason(text: str, path: Path) -> str:
    if "readonly" in text:
        return f"the database is read-only: {path}"
    if "full" in text:
        return f"the disk of the database is full: {path}"
    if "locked" in text:
        return f"another process keeps the database locked: {path}"
    if "unable to open" in text:
        return f"cannot open the database: {path}"
    return f"the database failed: {text}"
