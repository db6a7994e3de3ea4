"""A provider of its own for each gateway under test; `database_url` gives each kind of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import start


@pytest.fixture
def simulator_url(tmp_path: Path) -> Iterator[str]:
    """Return where a provider answers that has served nothing yet."""
    process = start(["-m", "pertoken.simulator", "--port", "0"], {}, tmp_path / "simulator.log")
    try:
        yield process.url
    finally:
        process.stop()
