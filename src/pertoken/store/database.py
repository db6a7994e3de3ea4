"""Opening the database: engine, pragmas, transactions, migrations, and its failures by name."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

BUSY_MS_MAX = 10_000  # how long a writer waits for another process' transaction
BUSY_POLL_S = 0.001


class StoreFailed(Exception):
    """The database could not do what was asked: full, read-only, locked, damaged or gone.

    `is_one_row`: a single row broke a rule; the other commands of its batch would have been fine.
    """

    def __init__(self, message: str, *, is_one_row: bool = False) -> None:
        super().__init__(message)
        self.is_one_row = is_one_row


class Database:
    """One database. Writers begin IMMEDIATE, so that what they read cannot change before they write."""

    def __init__(self, url: str, *, synced: bool = True) -> None:
        """Open lazily. Without `synced`, the last commits may be lost when the machine, not the process, stops."""
        self.url = sa.make_url(url)
        if self.url.get_backend_name() != "sqlite":
            raise StoreFailed(f"unsupported database: {self.url.get_backend_name()!r}; use sqlite:///PATH")
        if not self.url.database or self.url.database == ":memory:":
            raise StoreFailed("the ledger needs a file, not memory; use sqlite:///PATH")
        self.path = Path(self.url.database)
        self._writer = _engine(self.url, "BEGIN IMMEDIATE", synced=synced)
        self._reader = _engine(self.url, "BEGIN", synced=synced)

    def hot_writer(self) -> "HotWriter":
        """Return a writer on a connection of its own."""
        return HotWriter(self._writer, self.path)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in one durable transaction. Raises StoreFailed; nothing is half done then."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreFailed(_reason(str(error.orig), self.path)) from error

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
        self._writer.dispose()
        self._reader.dispose()


class HotWriter:
    """Short durable transactions on the driver's own cursor, on a connection kept for this alone.

    `begin`, statements on `cursor`, `commit` or `rollback`. Everything raises StoreFailed; nothing is half done then.
    """

    def __init__(self, engine: sa.Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._connection: sa.PoolProxiedConnection | None = None
        self._version: int | None = None
        self.cursor: Cursor
        self.changed_by_others = True

    def begin(self, *, wait: bool) -> bool:
        """Begin a transaction that alone may write. False: another process writes just now, and `wait` is not said.

        `changed_by_others` then tells whether another connection has committed since our last commit. SQLite counts
        those for each connection (PRAGMA data_version), so that inside a write transaction "no" is certain: rows
        remembered from the last one are the rows on disk.
        """
        deadline = time.monotonic() + BUSY_MS_MAX / 1000
        while True:
            try:
                if self._connection is None:
                    self._connect()
                self.cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or (wait and time.monotonic() > deadline):
                    raise self.failed(error) from error
                if not wait:
                    return False
                time.sleep(BUSY_POLL_S)
            except sqlite3.Error as error:
                raise self.failed(error) from error
            else:
                break
        [(version,)] = self.cursor.execute("PRAGMA data_version").fetchall()
        self.changed_by_others = version != self._version
        self._version = version
        return True

    def commit(self) -> None:
        """Make the transaction durable."""
        try:
            self.cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.failed(error) from error

    def rollback(self) -> None:
        """Undo the transaction. What others changed is told again by the next `begin`."""
        self._version = None
        try:
            self.cursor.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self.failed(error) from error

    def failed(self, error: sqlite3.Error) -> StoreFailed:
        """Drop the connection, which undoes its transaction, and return the failure by name."""
        self.close()
        return StoreFailed(_reason(str(error), self._path), is_one_row=isinstance(error, sqlite3.IntegrityError))

    def close(self) -> None:
        """Close the connection; the next `begin` opens another."""
        self._version = None
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a statement left open would keep the transaction alive
                self._connection.rollback()
            self.cursor.close()
            self._connection.invalidate()
            self._connection = None

    def _connect(self) -> None:
        try:
            self._connection = self._engine.raw_connection()
        except sa.exc.DBAPIError as error:
            raise sqlite3.OperationalError(str(error.orig)) from error
        self.cursor = self._connection.cursor()
        self.cursor.execute("PRAGMA busy_timeout=0")  # `begin` waits, or does not, by itself


def _engine(url: sa.URL, begin: str, *, synced: bool) -> sa.Engine:
    level = "FULL" if synced else "NORMAL"
    arguments = {"timeout": BUSY_MS_MAX / 1000, "check_same_thread": False, "cached_statements": 256}
    engine = sa.create_engine(url, connect_args=arguments)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", f"synchronous={level}", "cache_size=-16000", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # what extends it is in the high bits


def _reason(text: str, path: Path) -> str:
    if "readonly" in text:
        return f"the database is read-only: {path}"
    if "full" in text:
        return f"the disk of the database is full: {path}"
    if "locked" in text:
        return f"another process keeps the database locked: {path}"
    if "unable to open" in text:
        return f"cannot open the database: {path}"
    if "malformed" in text or "not a database" in text or "decode to UTF-8" in text:
        return f"the database is damaged, put a copy of it in its place: {path}: {text}"
    return f"the database failed: {text}"
