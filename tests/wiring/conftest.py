"""A new installation for a test of wiring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pertoken.settings import Settings, load
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings that name a database which is not there yet."""
    return load({"PERTOKEN_DATABASE_URL": f"sqlite:///{tmp_path}/pertoken.db"})


@pytest.fixture
def installation(settings: Settings) -> Iterator[Installation]:
    """Yield an installation with a new database."""
    with open_database(settings) as opened:
        yield opened
