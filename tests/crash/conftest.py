"""A gateway under test on each kind of store, in front of a simulator of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import start


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the url of an empty database."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path}/pertoken.db"


@pytest.fixture
def simulator_url(tmp_path: Path) -> Iterator[str]:
    """Return where a provider answers that has served nothing yet."""
    process = start(["-m", "pertoken.simulator", "--port", "0"], {}, tmp_path / "simulator.log")
    try:
        yield process.url
    finally:
        process.stop()
