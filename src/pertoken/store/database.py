"""Opening the database: which kind it is, transactions, migrations."""

import contextlib
import importlib
from collections.abc import Iterator

import sqlalchemy as sa

from pertoken.core.texts import meant
from pertoken.ports.failures import NotAnAddress, StoreFailed
from pertoken.store.backend import Backend, HotWriter
from pertoken.store.sqlite import Sqlite
from pertoken.store.statement import Sql
from pertoken.store.versions import newest_version, read_version


class Database:
    """One database. Writers exclude each other, so that what they read cannot change before they write."""

    def __init__(self, url: str, *, synced: bool = True) -> None:
        """Open lazily. Without `synced`, the last commits may be lost when the machine, not the process, stops.

        Raises NotAnAddress, and StoreFailed for a database of a kind that is not supported.
        """
        self.url = _read_address(url)
        self._backend = _backend(self.url, synced=synced)

    @property
    def sql(self) -> Sql:
        """How hot statements are written for it."""
        return self._backend.sql

    @property
    def place(self) -> str:
        """Where it is, for people: a file, or an address without its password."""
        return self._backend.place

    def exists(self) -> bool:
        """Tell whether there is something to open."""
        return self._backend.exists()

    def hot_writer(self) -> HotWriter:
        """Return a writer on a connection of its own."""
        return self._backend.hot_writer()

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in one durable transaction. Raises StoreFailed; nothing is half done then."""
        with self._failing(), self._backend.writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees one state of the database throughout. Raises StoreFailed."""
        with self._failing(), self._backend.reader.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the database to the newest schema, creating it if it is not there.

        Raises StoreFailed, and OtherVersion where only another version of pertoken knows its tables.
        """
        self._backend.prepare()
        with self.read() as connection:
            if read_version(connection) == newest_version():
                return
        from pertoken.store.upgrade import upgrade  # noqa: PLC0415 - alembic takes a quarter of a command's start

        with self.write() as connection:
            upgrade(connection)

    def close(self) -> None:
        """Close every connection."""
        self._backend.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self._backend.failure(error) from error


def _read_address(text: str) -> sa.URL:
    """Return the URL of an address. Raises NotAnAddress if it is invalid."""
    use = "write sqlite:///PATH or postgresql://USER@HOST/NAME"
    try:
        url = sa.make_url(text.replace("postgres://", "postgresql://", 1))
    except (sa.exc.ArgumentError, ValueError) as error:
        path = text.removeprefix("sqlite:")
        if not text or "@" in text or "//" in text or ":" in path:
            why = "its port is not a number" if isinstance(error, ValueError) else "it has no KIND:// before it"
            raise NotAnAddress(f"not the address of a database, {why if text else 'but empty'}; {use}") from error
        use = f"write sqlite:///PATH, such as sqlite:///{path}"
        raise NotAnAddress(f"not the address of a database: {text!r}; {use}") from error
    kind = url.get_backend_name()
    if kind == "sqlite" and url.host:
        near = f"sqlite:///{url.host}{'/' + url.database if url.database else ''}"
        raise NotAnAddress(f"the address of a file has three slashes; did you mean {near}?")
    return url.set(drivername="sqlite") if kind == "sqlite" else url


def _backend(url: sa.URL, *, synced: bool) -> Backend:
    kind = url.get_backend_name()
    if kind == "sqlite":
        return Sqlite(url, synced=synced)
    if kind != "postgresql":
        near = meant(kind, ("sqlite", "postgresql"))
        raise NotAnAddress(
            f"unsupported database: {kind!r}{near or ';'} use sqlite:///PATH or postgresql://USER@HOST/NAME"
        )
    try:
        postgresql = importlib.import_module("pertoken.store.postgresql")  # its driver need not be installed
    except ImportError as error:
        raise StoreFailed("PostgreSQL needs its driver: pip install 'psycopg[binary]'") from error
    backend: Backend = postgresql.Postgresql(url, synced=synced)
    return backend
