"""The installation's secret key, from the settings or a generated file, and the check that it matches the database."""

import contextlib
import os
import secrets
from pathlib import Path

import sqlalchemy as sa

from pertoken.core.secrets import KEY_BYTES_MIN, Hasher, is_same
from pertoken.ports.failures import StoreFailed
from pertoken.store.database import Database
from pertoken.store.schema import metadata

# One row: tells whether the secret key is the one that hashed the secrets of this database.
secret_checks = sa.Table(
    "secret_checks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
)

NEW_KEY_BYTES = 32


def open_hasher(database: Database, secret_key: str | None, path: Path) -> Hasher:
    """Return what hashes secrets: under `secret_key`, or under the key in the file at `path`, made for a new database.

    Raises StoreFailed where the key cannot be read, or is not the one that the database's keys were hashed with.
    """
    with database.read() as connection:
        known = connection.execute(sa.select(secret_checks.c.digest)).scalar()
    if known is not None and secret_key is None and not path.exists():
        raise StoreFailed(
            f"the keys in {database.place} were made with a secret key that is missing: restore a copy of {path}, "
            "or set PERTOKEN_SECRET_KEY to its old value (docs/how-to/keys.md)"
        )
    hasher = Hasher(read_file(path) if secret_key is None else secret_key.encode())
    if known is None:
        with database.write() as connection:
            known = connection.execute(sa.select(secret_checks.c.digest)).scalar()
            if known is None:
                connection.execute(sa.insert(secret_checks).values(id=1, digest=hasher.check))
                return hasher
    if not is_same(known, hasher.check):
        where = f"the file {path}" if secret_key is None else "PERTOKEN_SECRET_KEY"
        raise StoreFailed(
            f"the secret key of {where} is not the one that the keys in {database.place} were made with: "
            "restore that one (docs/how-to/keys.md)"
        )
    return hasher


def read_file(path: Path) -> bytes:
    """Return the key in a file, made first where it is missing. Raises StoreFailed."""
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise StoreFailed(f"the secret key can be read by others: chmod 600 {path}")
        key = path.read_bytes()
    except OSError as error:
        raise StoreFailed(f"cannot read or make the secret key: {error}; or set PERTOKEN_SECRET_KEY") from error
    if len(key) < KEY_BYTES_MIN:
        raise StoreFailed(f"the secret key is damaged; restore a copy of {path}")
    return key


def _make(path: Path) -> None:
    """Make the file whole or not at all; of several processes that do so at once, one succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(NEW_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
