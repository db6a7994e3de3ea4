"""A database for tests of services."""

from collections.abc import Iterator

import pytest

from pertoken.store.database import Database


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """Return an empty database of each kind."""
    database = Database(migrated_url)
    yield database
    database.close()
