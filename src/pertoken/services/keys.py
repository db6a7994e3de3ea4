"""Making and revoking virtual keys."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pertoken.core.directory import Key
from pertoken.core.ids import RANDOM_BITS, new_id, new_secret
from pertoken.core.secrets import Hasher
from pertoken.ports import Administration, Clock

SECRET_BITS = 160


class NameTaken(Exception):
    """A live key has this name already."""


class SeveralKeys(Exception):
    """Keys of several teams have this name."""


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
    """Store a new key and return it with its secret; its team may name its customer from then on. Raises NameTaken.

    A name is one among the keys of a team, so that nobody learns the names of others.
    """
    if any((key.name, key.team) == (name, team) for key in administration.list_keys()):
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
    if team is not None and customer is not None:
        administration.share(customer, team)
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
    """Return a key by its id or its name, None when there is none. Raises SeveralKeys."""
    return choose_key(administration.list_keys(), id_or_name)


def choose_key(keys: Sequence[Key], id_or_name: str) -> Key | None:
    """Return the key of `keys` that has this id or, alone, this name; None when there is none. Raises SeveralKeys."""
    by_id = [key for key in keys if key.key_id == id_or_name]
    found = by_id or [key for key in keys if key.name == id_or_name]
    if len(found) > 1:
        which = ", ".join(f"{key.key_id} of {key.team or 'no team'}" for key in found)
        raise SeveralKeys(f"several keys are called {id_or_name!r}; write the id of one: {which}")
    return found[0] if found else None
