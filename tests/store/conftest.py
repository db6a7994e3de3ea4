"""A database of each kind for the tests of the store."""

from collections.abc import Iterator

import pytest

from pertoken.store.database import Database


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """Return a fresh database, of each kind in turn."""
    database = Database(migrated_url)
    yield database
    database.close()
