"""One installation: its settings, its database, and the views of it that services and commands use."""

import contextlib
from collections.abc import Iterator

from pertoken.ports.archive import Archive
from pertoken.ports.store import Opened
from pertoken.settings import Settings
from pertoken.store import archive
from pertoken.store.database import Database
from pertoken.store.transactions import opened


class Installation:
    """Settings and their database. A transaction that raises StoreFailed has changed nothing."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database  # only for the modules of wiring

    @property
    def place(self) -> str:
        """Where the database is, for people: a file, or an address without its password."""
        return self.database.place

    def exists(self) -> bool:
        """Tell whether there is a database to open."""
        return self.database.exists()

    @contextlib.contextmanager
    def archive(self) -> Iterator[Archive]:
        """Yield one consistent view of everything stored."""
        with self.database.read() as connection:
            yield archive.Archive(connection)

    @contextlib.contextmanager
    def reads(self) -> Iterator[Opened]:
        """Yield the same as `changes`, in a transaction in which nothing may be changed."""
        with self.database.read() as connection:
            yield opened(connection)

    @contextlib.contextmanager
    def changes(self) -> Iterator[Opened]:
        """Yield keys, budgets, teams and admins for changes, in one transaction."""
        with self.database.write() as connection:
            yield opened(connection)


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[Installation]:
    """Yield an installation without creating or changing anything. Raises StoreFailed if its address is invalid."""
    database = Database(settings.database_url, synced=settings.durability == "full")
    try:
        yield Installation(settings, database)
    finally:
        database.close()
