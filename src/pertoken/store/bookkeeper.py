"""One transaction of the ledger: read the directory, load the rows, let `core.ledger` decide, write what changed."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from pertoken.core.directory import Directory
from pertoken.core.ledger import Command, Hold, Result
from pertoken.core.prices import PriceBook
from pertoken.store import catalog, directory
from pertoken.store.database import Database, StoreFailed
from pertoken.store.ledger import LedgerTables, read_hold
from pertoken.store.schema import holds, series

EXPIRED_MAX = 1_000  # let go in one transaction


class Bookkeeper:
    """Keeps the books of one process. Used by one thread at a time."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database.fork()  # a write connection of its own, so that every other writer is noticed
        self._now_us = now_us
        self._tables = LedgerTables()
        self.directory = Directory(0, (), ())
        self.prices = PriceBook(())

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def refresh(self) -> None:
        """Read keys, budgets and prices if they changed. Raises StoreFailed."""
        with self._database.read() as connection:
            self._read_if_changed(connection)

    def transact(self, commands: Sequence[Command]) -> list[Result]:
        """Decide and write `commands` in one durable transaction. Raises StoreFailed; then nothing was done."""
        try:
            with self._database.hot_write() as (cursor, changed_by_others):
                if changed_by_others:
                    self._tables.forget_rows()
                    self.refresh()  # nobody can commit while we hold the lock: what is read is what holds
                books = self._tables.load(cursor, self.directory, commands)
                results = [books.apply(command) for command in commands]
                self._tables.save(cursor, books, self._now_us())
        except StoreFailed:
            self._tables.forget()
            raise
        self._tables.keep(books)
        return results

    def expired_holds(self, now_us: int) -> list[Hold]:
        """Return open holds whose time is over, the oldest first. Raises StoreFailed."""
        with self._database.read() as connection:
            return [read_hold(row) for row in connection.execute(_EXPIRED, {"now_us": now_us})]

    def _read_if_changed(self, connection: sa.Connection) -> None:
        if directory.read_revision(connection) != self.directory.revision:
            self.prices = catalog.read_book(connection)
            self.directory = directory.read(connection)


_EXPIRED = (
    sa.select(holds, series)
    .join(series, series.c.series_id == holds.c.series_id)
    .where(holds.c.state == "open", holds.c.expires_at_us <= sa.bindparam("now_us"))
    .order_by(holds.c.expires_at_us)
    .limit(EXPIRED_MAX)
)
