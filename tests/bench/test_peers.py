"""Peers are installed once, outside of the repository, and one that cannot be had says why."""

from pathlib import Path

import platformdirs
import pytest
from peers import cache
from peers.peer import Absent


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_names, **_options: tmp_path)


def test_what_is_installed_is_installed_once(tmp_path: Path) -> None:
    """The second run finds what the first one made."""
    made: list[Path] = []

    folders = [cache.installed("peer-1", made.append) for _ in range(2)]

    assert made == [tmp_path / "peer-1"]
    assert folders == [made[0], made[0]]


def test_a_refusal_is_remembered_with_its_reason() -> None:
    """A registry that said no is not asked again at every run."""
    asked: list[Path] = []

    def install(folder: Path) -> None:
        asked.append(folder)
        raise Absent("no such version")

    for _ in range(2):
        with pytest.raises(Absent, match="no such version"):
            cache.installed("peer-2", install)
    assert len(asked) == 1


def test_an_installation_that_was_interrupted_is_begun_anew() -> None:
    """Half an installation is none."""
    asked: list[Path] = []

    def interrupted(_folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.installed("peer-3", interrupted)
    cache.installed("peer-3", asked.append)
    assert len(asked) == 1


def test_a_reason_names_no_address(tmp_path: Path) -> None:
    """What a program says of an address is of this network, not of the peer."""
    command = ["sh", "-c", "echo 'go: reading https://registry.example/x/v1.info: 403 Forbidden' >&2; exit 1"]

    with pytest.raises(Absent, match=r"^sh: 403 Forbidden$"):
        cache.run(command, tmp_path)
