"""The secret key: made once, kept to its owner, and known for the right one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pertoken.ports.failures import StoreFailed
from pertoken.store.database import Database
from pertoken.store.secret_key import open_hasher, read_file

TEXT = "a secret key that is long enough, in words"


def test_the_file_is_made_once_by_whoever_comes_first(tmp_path: Path) -> None:
    """Many that start at once end with one key, which its owner alone can read, and no draft is left."""
    path = tmp_path / "new" / "pertoken.db.key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: read_file(path), range(64)))

    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The message says what to do."""
    path = tmp_path / "key"
    read_file(path)
    path.chmod(0o640)

    with pytest.raises(StoreFailed, match=f"chmod 600 {path}"):
        read_file(path)


@pytest.mark.parametrize("damage", [b"", b"short"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    """A file that was cut off is no key."""
    path = tmp_path / "key"
    path.write_bytes(damage)
    path.chmod(0o600)

    with pytest.raises(StoreFailed, match="damaged"):
        read_file(path)


def test_a_key_that_is_gone_is_asked_for(database: Database, tmp_path: Path) -> None:
    """A database whose key file is gone gets no new one: with it, every key would be unknown for a wrong reason."""
    path = tmp_path / "key"
    open_hasher(database, None, path)
    kept = path.rename(tmp_path / "elsewhere")

    with pytest.raises(StoreFailed, match="restore a copy"):
        open_hasher(database, None, path)
    assert not path.exists()
    kept.rename(path)
    open_hasher(database, None, path)


def test_another_key_is_told_at_once(database: Database, tmp_path: Path) -> None:
    """A database opened with another key than its own says so, instead of refusing every secret."""
    ours = open_hasher(database, TEXT, tmp_path / "none")
    assert open_hasher(database, TEXT, tmp_path / "none").hash(b"x") == ours.hash(b"x")

    with pytest.raises(StoreFailed, match="PERTOKEN_SECRET_KEY is not the one"):
        open_hasher(database, TEXT + "!", tmp_path / "none")
    with pytest.raises(StoreFailed, match="set PERTOKEN_SECRET_KEY"):
        open_hasher(database, None, tmp_path / "none")
    read_file(tmp_path / "another")
    with pytest.raises(StoreFailed, match=r"the file .*/another is not the one"):
        open_hasher(database, None, tmp_path / "another")
    assert not (set(tmp_path.glob("*.key*")) - {tmp_path / "pertoken.db.key"})


def test_a_hash_is_of_no_use_without_the_key(database: Database, tmp_path: Path) -> None:
    """The same secret has another hash under another key."""
    assert read_file(tmp_path / "one") != read_file(tmp_path / "two")
    hashed = open_hasher(database, None, tmp_path / "one").hash(b"sk-pt-secret")
    assert hashed != open_hasher(_other(tmp_path), None, tmp_path / "two").hash(b"sk-pt-secret")


def _other(folder: Path) -> Database:
    other = Database(f"sqlite:///{folder}/other.db")
    other.migrate()
    return other
