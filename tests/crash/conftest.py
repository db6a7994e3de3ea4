"""A provider for the gateway under test: the one that all tests share, or one that counts for a test alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Process, start


@pytest.fixture
def simulator_url(simulator: Process) -> str:
    """Return where a provider answers."""
    return simulator.url


@pytest.fixture
def counting_url(tmp_path: Path) -> Iterator[str]:
    """Return where a provider answers that has served nothing yet, and serves nobody else."""
    process = start(["-m", "pertoken.simulator", "--port", "0"], {}, tmp_path / "simulator.log")
    try:
        yield process.url
    finally:
        process.stop()
