"""PostgreSQL: several workers, on one machine or many, share one database.

Writers take one lock of the database (pg_advisory_xact_lock) before they read, so that, as in SQLite, one writes at a
time; docs/decisions/0007 says why that costs little. Each statement sees what was committed before it (READ COMMITTED),
and the lock is let go only after the commit can be seen: what a writer reads cannot change before it writes.
"""

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.string import StrDumperUnknown
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.periods import DAY_US, US_PER_SECOND
from pertoken.ports.failures import StoreFailed
from pertoken.store.backend import WAIT_S_MAX
from pertoken.store.schema import PARTITIONED_FROM_US, PARTITIONED_TO_US
from pertoken.store.statement import POSTGRESQL

LOCK = 5_783_209_117  # a number of our own among the advisory locks of one database
CONNECT_S = 5
IDLE_S_MAX = 30  # a writer that stopped inside its transaction loses it, and others go on
_LOCK = f"SELECT pg_advisory_xact_lock({LOCK})"
_WHICH = """
SELECT CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
       THEN (SELECT system_identifier FROM pg_control_system()) END, oid
FROM pg_database WHERE datname = current_database()
"""
_BEGIN = f"BEGIN; {_LOCK}"  # one way to the server and back


class Postgresql:
    """A database on a server."""

    sql = POSTGRESQL

    def __init__(self, url: sa.URL, *, synced: bool) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self.place = url.render_as_string(hide_password=True)
        self.writer = _engine(self._url, synced=synced, statement_s=WAIT_S_MAX * 6)
        self.reader = _engine(self._url, synced=synced, isolation_level="REPEATABLE READ")
        self._hot = _engine(self._url, synced=synced, statement_s=WAIT_S_MAX * 2, isolation_level="AUTOCOMMIT")
        same = _SameDatabase()
        for engine in (self.writer, self.reader, self._hot):
            sa.event.listen(engine, "connect", same.check)
        sa.event.listen(self.writer, "begin", lambda connection: connection.exec_driver_sql(_LOCK))

    def hot_writer(self) -> "PostgresqlWriter":
        """Return a writer on a connection of its own."""
        return PostgresqlWriter(self._hot, self.place)

    def exists(self) -> bool:
        """Tell that it may be opened: whether it can be, opening it will tell."""
        return True

    def prepare(self) -> None:
        """Do nothing: whoever runs the server has made the database."""

    def failure(self, error: sa.exc.DBAPIError) -> StoreFailed:
        """Return why a transaction failed."""
        return _failure(error.orig or error, self.place)

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()
        self._hot.dispose()


class _SameDatabase:
    """Knows the database that was opened: an address may come to lead to another server, or a database be made anew."""

    def __init__(self) -> None:
        self._opened: tuple[Any, ...] | None = None  # the server's identifier, which copies share, and the database's

    def check(self, connection: Any, _record: object) -> None:
        """Learn which database a connection leads to, the first time. Raises OperationalError where it is another."""
        found = connection.execute(_WHICH).fetchone()
        connection.rollback()
        if self._opened is None:
            self._opened = found
        elif self._opened != found:
            raise psycopg.OperationalError("this is not the database that was in use; restore that one, or restart")


class PostgresqlWriter:
    """Short durable transactions on the driver's own cursor."""

    error: type[Exception] = psycopg.Error

    def __init__(self, engine: sa.Engine, place: str) -> None:
        self._engine = engine
        self._place = place
        self._connection: sa.PoolProxiedConnection | None = None
        self.cursor: Cursor
        self.changed_by_others = True  # there is no telling
        self._covered_days: set[int] = set()  # whose partition is there, or made in this transaction

    def begin(self, *, wait: bool) -> bool:
        """Begin a transaction that alone may write. False without `wait`: asking a server takes long."""
        if not wait:
            return False
        try:
            if self._connection is None:
                self._connect()
            try:
                self.cursor.execute(_BEGIN)
            except psycopg.OperationalError:
                if not self._is_lost():
                    raise
                self.close()  # the server was restarted since the last transaction: nothing is lost by trying again
                self._connect()
                self.cursor.execute(_BEGIN)
        except psycopg.Error as error:
            raise self.failed(error) from error
        return True

    def cover(self, times_us: Iterable[int]) -> None:
        """See that the month (UTC) of each of these instants has a partition of events.

        It is made beside the table and then attached, which does not wait for readers of the table as making it inside
        would (PostgreSQL's manual, section 5.12.2.2).
        """
        days = {at_us // DAY_US for at_us in times_us} - self._covered_days
        for year, month in sorted({_month(day) for day in days}):
            start_us, end_us = _start_us(year, month), _start_us(year + month // 12, month % 12 + 1)
            if start_us < PARTITIONED_FROM_US or end_us > PARTITIONED_TO_US:
                continue  # the first and the last partition take what is older and younger
            name = f"events_{year}_{month:02}"
            self.cursor.execute("SELECT to_regclass(%s)", (name,))
            if self.cursor.fetchall() == [(None,)]:
                self.cursor.execute(f"CREATE TABLE {name} (LIKE events INCLUDING ALL)")
                within = f"FROM ({start_us}) TO ({end_us})"
                self.cursor.execute(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES {within}")
        self._covered_days |= days

    def commit(self) -> None:
        """Make the transaction durable."""
        try:
            self.cursor.execute("COMMIT")
        except psycopg.Error as error:
            raise self.failed(error) from error

    def rollback(self) -> None:
        """Undo the transaction."""
        self._covered_days.clear()
        try:
            self.cursor.execute("ROLLBACK")
        except psycopg.Error as error:
            raise self.failed(error) from error

    def failed(self, error: Exception) -> StoreFailed:
        """Drop the connection, which undoes its transaction, and return the failure by name."""
        self.close()
        return _failure(error, self._place)

    def close(self) -> None:
        """Close the connection; the next `begin` opens another."""
        self._covered_days.clear()
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self.cursor.close()
            self._connection.invalidate()
            self._connection = None

    def _is_lost(self) -> bool:
        assert self._connection is not None
        driver: Any = self._connection.dbapi_connection
        return bool(driver.closed)

    def _connect(self) -> None:
        try:
            self._connection = self._engine.raw_connection()
        except sa.exc.DBAPIError as error:
            raise psycopg.OperationalError(str(error.orig)) from error
        self.cursor = self._connection.cursor()


class _TextDumper(StrDumperUnknown):
    """Text without NUL, which PostgreSQL cannot store: a provider's strange answer must not stop its settlement."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "�") if "\0" in obj else obj)


class _IntegerLoader(psycopg.adapt.Loader):
    """Every NUMERIC of ours is a whole number, however large."""

    def load(self, data: Any) -> int:
        return int(bytes(data))


def _engine(url: sa.URL, *, synced: bool, statement_s: int = 0, isolation_level: Any = "READ COMMITTED") -> sa.Engine:
    """Return an engine whose connections give up in time, survive a restart of the server, and count in integers."""
    said = {
        "synchronous_commit": "on" if synced else "off",
        "lock_timeout": f"{WAIT_S_MAX}s",
        "statement_timeout": f"{statement_s}s",
        "idle_in_transaction_session_timeout": f"{IDLE_S_MAX}s" if statement_s else "0",
        "timezone": "UTC",
        "jit": "off",  # it takes longer than our statements do
    }
    arguments = {
        "connect_timeout": CONNECT_S,
        "application_name": "pertoken",
        "options": " ".join(f"-c {name}={value}" for name, value in said.items()),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    engine = sa.create_engine(url, connect_args=arguments, pool_pre_ping=True, isolation_level=isolation_level)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.adapters.register_dumper(str, _TextDumper)
        connection.adapters.register_loader("numeric", _IntegerLoader)

    return engine


def _month(day: int) -> tuple[int, int]:
    at = datetime.fromtimestamp(day * DAY_US // US_PER_SECOND, UTC)
    return at.year, at.month


def _start_us(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * US_PER_SECOND


def _failure(error: BaseException, place: str) -> StoreFailed:
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None  # its details quote the row
    text = " ".join((said or str(error)).split())
    one_row = isinstance(error, psycopg.IntegrityError | psycopg.DataError)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return StoreFailed(f"another process keeps the database locked: {place}")
    if isinstance(error, psycopg.errors.DiskFull):
        return StoreFailed(f"the disk of the database is full: {place}")
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return StoreFailed(f"the database is read-only: {place}")
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return StoreFailed(f"cannot reach the database {place}: {text}")
    return StoreFailed(f"the database failed: {text}", is_one_row=one_row)
