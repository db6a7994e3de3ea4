"""Making and revoking virtual keys."""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core.directory import Key
from pertoken.core.ids import RANDOM_BITS, new_id, new_secret
from pertoken.core.secrets import Hasher
from pertoken.ports import Administration, Clock

SECRET_BITS = 160


class NameTaken(Exception):
    """A live key has this name already."""


class NewKey(NamedTuple):
    """A key just made, with its secret: it is shown once and stored nowhere."""

    key: Key
    secret: str


def create_key(
    administration: Administration,
    clock: Clock,
    hasher: Hasher,
    name: str,
    *,
    team: str | None = None,
    customer: str | None = None,
    tags: Mapping[str, str] | None = None,
    expires_at_us: int | None = None,
) -> NewKey:
    """Store a new key and return it with its secret. Raises NameTaken."""
    if any(key.name == name for key in administration.list_keys()):
        raise NameTaken(f"a key is called {name!r} already; choose another name, see: pertoken key list")
    now_us = clock.now_us()
    secret = new_secret(clock.random_bits(SECRET_BITS), SECRET_BITS)
    key = Key(
        new_id("key", now_us, clock.random_bits(RANDOM_BITS)),
        name,
        hasher.hash(secret.encode()),
        secret[-4:],
        team,
        customer,
        tuple(sorted((tags or {}).items())),
        now_us,
        expires_at_us,
    )
    administration.add_key(key)
    return NewKey(key, secret)


def rotate_key(administration: Administration, clock: Clock, hasher: Hasher, key: Key, overlap_us: int) -> NewKey:
    """Give a live key a new secret, and return it. The old one is good for `overlap_us` more, one before that not."""
    secret = new_secret(clock.random_bits(SECRET_BITS), SECRET_BITS)
    rotated = key._replace(
        secret_hash=hasher.hash(secret.encode()),
        secret_hint=secret[-4:],
        old_secret_hash=key.secret_hash,
        old_secret_until_us=clock.now_us() + overlap_us,
    )
    administration.change_secret(rotated)
    return NewKey(rotated, secret)


def find_key(administration: Administration, id_or_name: str) -> Key | None:
    """Return a key by its id or its name, None when there is none."""
    keys = administration.list_keys()
    return next((key for key in keys if id_or_name in (key.key_id, key.name)), None)
