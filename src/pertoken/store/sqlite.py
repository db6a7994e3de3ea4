"""SQLite: one file, in WAL mode. Writers begin IMMEDIATE, so one writes at a time."""

import contextlib
import operator
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.ports.failures import StoreFailed
from pertoken.store.backend import WAIT_S_MAX
from pertoken.store.statement import SQLITE

BUSY_POLL_S = 0.001

# Before it binds one of these as it is, the driver looks for two methods that could say otherwise; an adapter, which
# gives back what it is given, it finds sooner: 0.1 us instead of 0.2 for each None or bool, 1.6 us of an event.
sqlite3.register_adapter(type(None), {}.get)  # type: ignore[arg-type]  # it gives None
sqlite3.register_adapter(bool, operator.index)
sqlite3.register_adapter(bytes, bytes)


class Sqlite:
    """A file, with its write-ahead log beside it."""

    sql = SQLITE

    def __init__(self, url: sa.URL, *, synced: bool) -> None:
        if not url.database or url.database == ":memory:":
            raise StoreFailed("the ledger needs a file, not memory; use sqlite:///PATH")
        self._path = Path(url.database)
        self.place = str(self._path)
        self._same = SameFile(self._path)
        self.writer = _engine(url, "BEGIN IMMEDIATE", synced=synced)
        self.reader = _engine(url, "BEGIN", synced=synced)
        sa.event.listen(self.writer, "commit", lambda _: self._same.check())
        for engine in (self.writer, self.reader):  # SQLite would make a file that is not there
            sa.event.listen(engine, "do_connect", lambda *_: self._same.check())

    def hot_writer(self) -> "SqliteWriter":
        """Return a writer on a connection of its own."""
        return SqliteWriter(self.writer, self.place, self._same)

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self._path.exists()

    def prepare(self) -> None:
        """Make the folder, and a file that nobody else may read; its write-ahead log gets the same mode.

        Raises StoreFailed.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFailed(f"cannot make the folder of the database: {error}") from error
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise StoreFailed(f"cannot make the database: {self.place}: {error.strerror}") from error

    def failure(self, error: sa.exc.DBAPIError) -> StoreFailed:
        """Return why a transaction failed."""
        return StoreFailed(_reason(str(error.orig), self.place))

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()


class SameFile:
    """Knows the file that was opened: what is written once it was moved or replaced is lost to who opens it next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None  # device and inode

    def check(self) -> None:
        """Learn which file stands in the place, the first time. Raises StoreFailed where it is another one later."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - 1 us instead of 3, before every commit
        except OSError as error:
            if self._opened is None:
                return
            raise self._gone() from error
        if self._opened is None:
            self._opened = found.st_dev, found.st_ino
        elif self._opened != (found.st_dev, found.st_ino):
            raise self._gone()

    def _gone(self) -> StoreFailed:
        what = "was moved, removed or replaced while it was in use"
        return StoreFailed(f"the database {what}: {self._path}; put it back, or restart with the one that is there")


class SqliteWriter:
    """Short durable transactions on the driver's own cursor."""

    error: type[Exception] = sqlite3.Error

    def __init__(self, engine: sa.Engine, place: str, same: SameFile) -> None:
        self._engine = engine
        self._place = place
        self._same = same
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
        deadline = time.monotonic() + WAIT_S_MAX
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

    def cover(self, times_us: Iterable[int]) -> None:
        """Do nothing: all events are in one table."""

    def commit(self) -> None:
        """Make the transaction durable, in the file that was opened first."""
        try:
            self._same.check()
        except StoreFailed:
            self.close()
            raise
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

    def failed(self, error: Exception) -> StoreFailed:
        """Drop the connection, which undoes its transaction, and return the failure by name."""
        self.close()
        one_row = isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
        return StoreFailed(_reason(str(error), self._place), is_one_row=one_row)

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
    arguments = {"timeout": WAIT_S_MAX, "check_same_thread": False, "cached_statements": 256}
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


def _reason(text: str, place: str) -> str:
    if "readonly" in text:
        return f"the database is read-only: {place}"
    if "full" in text:
        return f"the disk of the database is full: {place}"
    if "locked" in text:
        return f"another process keeps the database locked: {place}"
    if "unable to open" in text:
        return f"cannot open the database: {place}"
    if "not a database" in text:
        mend = "name another, --db sqlite:///PATH, or put a copy in its place"
        return f"the file is not a database, or the database is damaged: {place}; {mend}"
    if "malformed" in text or "decode to UTF-8" in text:
        return f"the database is damaged, put a copy of it in its place: {place}: {text}"
    return f"the database failed: {text}"
