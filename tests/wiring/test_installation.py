from pathlib import Path

import pytest

from pertoken.core.directory import Key
from pertoken.services.keys import create_key
from pertoken.settings import Settings
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.hasher import make_hasher
from pertoken.wiring.installation import Installation, connect


def keys(installation: Installation) -> list[Key]:
    """Return the virtual keys that are stored."""
    with installation.archive() as stored:
        return stored.list_keys()


def test_a_change_is_seen_by_the_next_view(installation: Installation) -> None:
    """A key that is made in a transaction is in the archive after it."""
    hasher = make_hasher(installation)
    with installation.changes() as opened:
        made = create_key(opened.administration, SystemClock(), hasher, "app")

    assert keys(installation) == [made.key]


def test_a_change_that_fails_is_undone(installation: Installation) -> None:
    """What is raised in a transaction leaves nothing behind."""
    hasher = make_hasher(installation)

    def fail() -> None:
        with installation.changes() as opened:
            create_key(opened.administration, SystemClock(), hasher, "app")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert keys(installation) == []


def test_connecting_makes_nothing(settings: Settings, tmp_path: Path) -> None:
    """An installation can be looked at where there is no database: none is made."""
    with connect(settings) as found:
        assert not found.exists()
        assert found.place == str(tmp_path / "pertoken.db")

    assert list(tmp_path.iterdir()) == []
