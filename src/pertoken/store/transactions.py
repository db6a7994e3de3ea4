"""Transactions of the control plane on one database."""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.store import Opened
from pertoken.store.admin_keys import AdminKeys
from pertoken.store.administration import Administration
from pertoken.store.answers import Answers
from pertoken.store.archive import Archive
from pertoken.store.audit import AuditLog
from pertoken.store.database import Database
from pertoken.store.sessions import Sessions


class Transactions:
    """Opens transactions; each is used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.contextmanager
    def read(self) -> Iterator[Opened]:
        """Yield one consistent view of everything stored. Raises StoreUnavailable."""
        with _failing(), self._database.read() as connection:
            yield _opened(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[Opened]:
        """Yield one durable transaction; what is raised in it undoes it. Raises StoreUnavailable."""
        with _failing(), self._database.write() as connection:
            yield _opened(connection)


def _opened(connection: sa.Connection) -> Opened:
    return Opened(
        Archive(connection),
        Administration(connection),
        AdminKeys(connection),
        Answers(connection),
        Sessions(connection),
        AuditLog(connection),
    )


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except StoreFailed as failure:
        raise StoreUnavailable(str(failure)) from failure
