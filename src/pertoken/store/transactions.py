"""Transactions of the control plane on one database.

A field of `Opened` is a noun. The module of the store that has the field's name says in `OPENS` what opens it on a
connection; so a new noun changes nothing here.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import sqlalchemy as sa

from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.store import Opened
from pertoken.store.database import Database


class Transactions:
    """Opens transactions; each is used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.contextmanager
    def read(self) -> Iterator[Opened]:
        """Yield one consistent view of everything stored. Raises StoreUnavailable."""
        with _failing(), self._database.read() as connection:
            yield opened(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[Opened]:
        """Yield one durable transaction; what is raised in it undoes it. Raises StoreUnavailable."""
        with _failing(), self._database.write() as connection:
            yield opened(connection)


def opened(connection: sa.Connection) -> Opened:
    """Return what the transaction of a connection can be used for."""
    return Opened(**{field: opens(connection) for field, opens in _OPENS.items()})


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except StoreFailed as failure:
        raise StoreUnavailable(str(failure)) from failure


def find_opens(nouns: type) -> dict[str, Callable[[sa.Connection], Any]]:
    """Return what opens each field. `OPENS` must be typed as the field is: so mypy has compared class and protocol."""
    found = {}
    for field, noun in get_type_hints(nouns).items():
        module = importlib.import_module(f"pertoken.store.{field}")
        said, needed = get_type_hints(module).get("OPENS"), Callable[[sa.Connection], noun]
        assert said == needed, f"the type of OPENS in {module.__name__} must be {needed}, not {said}"
        found[field] = module.OPENS
    return found


_OPENS = find_opens(Opened)
