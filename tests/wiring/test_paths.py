from pathlib import Path

import pytest

from pertoken.settings import default_database, load
from pertoken.wiring import paths

SUFFIXES = {
    "secret_key_file": (".key", "secret.key"),
    "archive_folder": (".archive", "archive"),
    "credit_folder": (".credit", "credit"),
    "owed_folder": (".owed", "owed"),
}


@pytest.mark.parametrize("what", SUFFIXES)
def test_files_are_beside_the_database(what: str) -> None:
    """Each file or folder is beside a database that is a file, and where the default database is for a server."""
    suffix, name = SUFFIXES[what]
    find = getattr(paths, what)

    assert find(load({"PERTOKEN_DATABASE_URL": "sqlite:////data/a.db"})) == Path(f"/data/a.db{suffix}")
    on_server = find(load({"PERTOKEN_DATABASE_URL": "postgresql://me@host/name"}))
    assert on_server == default_database().with_name(name)
