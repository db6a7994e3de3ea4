"""A database of each kind for the tests of the store."""

from collections.abc import Iterator

import pytest

from pertoken.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return a fresh database, of each kind in turn."""
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()
