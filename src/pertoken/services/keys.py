"""Making and revoking virtual keys."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pertoken.core.directory import Key
from pertoken.core.ids import RANDOM_BITS, new_id, new_secret
from pertoken.core.periods import DAY_US
from pertoken.core.secrets import Hasher
from pertoken.core.texts import TAGS_MAX, why_no_name
from pertoken.ports.administration import Administration
from pertoken.ports.clock import Clock

SECRET_BITS = 160
OVERLAP_US_MAX = 90 * DAY_US  # how long a replaced secret may stay good


class BadKey(Exception):
    """A key cannot be as asked."""


class KeyNameTaken(BadKey):
    """A key has this name already, or this id."""


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
    """Store a new key and return it with its secret; its team may name its customer from then on. Raises BadKey.

    A name is one among the keys of a team, so that nobody learns the names of others.
    """
    now_us = clock.now_us()
    why = _why_no_key(name, team, customer, tags or {})
    if why is not None:
        raise BadKey(why)
    if expires_at_us is not None and expires_at_us <= now_us:
        raise BadKey("a key must expire in the future, such as in 90d")
    if any(name == key.key_id or (name, team) == (key.name, key.team) for key in administration.list_keys()):
        raise KeyNameTaken(f"a key is called {name!r} already; choose another name, see: pertoken key list")
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


def _why_no_key(name: str, team: str | None, customer: str | None, tags: Mapping[str, str]) -> str | None:
    """Return what is wrong with what a key is called and carries, None when nothing is."""
    named = {"the name": name, "the team": team, "the customer": customer}
    whys = [why_no_name(text, what) for what, text in named.items() if text is not None]
    whys += [why_no_name(tag, "the name of a tag") for tag in tags]
    whys += [why_no_name(value, f"the tag {tag!r}") for tag, value in tags.items() if value]
    if len(tags) > TAGS_MAX:
        whys.append(f"a key may have at most {TAGS_MAX} tags, not {len(tags)}")
    return next((why for why in whys if why is not None), None)


def rotate_key(administration: Administration, clock: Clock, hasher: Hasher, key: Key, overlap_us: int) -> NewKey:
    """Give a live key a new secret, and return it. The old one is good for `overlap_us` more, one before that not.

    Raises BadKey.
    """
    if overlap_us > OVERLAP_US_MAX:
        raise BadKey(f"the old secret may stay valid for at most {OVERLAP_US_MAX // DAY_US} days")
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
    """Return a key by its id or its name, or None. Raises SeveralKeys."""
    return choose_key(administration.list_keys(), id_or_name)


def choose_key(keys: Sequence[Key], id_or_name: str) -> Key | None:
    """Return the key in `keys` with this id, or the only one with this name, or None. Raises SeveralKeys."""
    by_id = [key for key in keys if key.key_id == id_or_name]
    found = by_id or [key for key in keys if key.name == id_or_name]
    if len(found) > 1:
        which = ", ".join(f"{key.key_id} of {key.team or 'no team'}" for key in found)
        raise SeveralKeys(f"several keys are called {id_or_name!r}; write the id of one: {which}")
    return found[0] if found else None
