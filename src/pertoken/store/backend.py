"""What differs between the kinds of database, and how the store fails."""

from collections.abc import Iterable
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.ports.failures import StoreFailed
from pertoken.store.statement import Sql

WAIT_S_MAX = 10  # how long a writer waits for another process' transaction


class HotWriter(Protocol):
    """Short durable transactions on the driver's own cursor, on a connection kept for this alone.

    `begin`, statements on `cursor`, `commit` or `rollback`. Everything raises StoreFailed; nothing is half done then.
    """

    cursor: Cursor
    changed_by_others: bool  # whether, as far as `begin` can tell, another connection wrote since our last commit
    error: type[Exception]  # what `cursor` raises

    def begin(self, *, wait: bool) -> bool:
        """Begin a transaction that alone may write. False, without `wait`: that would take long."""

    def cover(self, times_us: Iterable[int]) -> None:
        """See that events of these instants have a place to go: the database may keep each month apart."""

    def commit(self) -> None:
        """Make the transaction durable."""

    def rollback(self) -> None:
        """Undo the transaction. What others changed is told again by the next `begin`."""

    def failed(self, error: Exception) -> StoreFailed:
        """Drop the connection, which undoes its transaction, and return the failure by name."""

    def close(self) -> None:
        """Close the connection; the next `begin` opens another."""


class Backend(Protocol):
    """One kind of database at one place."""

    sql: Sql
    place: str  # for people: where it is, without a password
    writer: sa.Engine  # its transactions write alone: what they read cannot change before they write
    reader: sa.Engine  # its transactions see one state throughout

    def hot_writer(self) -> HotWriter:
        """Return a writer on a connection of its own."""

    def exists(self) -> bool:
        """Tell whether there is something to open."""

    def prepare(self) -> None:
        """Make what must be there before tables can be made. Raises StoreFailed."""

    def failure(self, error: sa.exc.DBAPIError) -> StoreFailed:
        """Return why a transaction failed."""

    def close(self) -> None:
        """Close every connection."""
