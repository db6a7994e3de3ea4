"""Virtual keys as a resource."""

from typing import Annotated

import msgspec

from pertoken.api.fields import GivenInstant, Instant, PageQuery, Text, format_some, page, read_time
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action, may_name
from pertoken.core.directory import Key
from pertoken.core.periods import US_PER_SECOND, format_time
from pertoken.core.texts import UNSAFE_CLASS
from pertoken.ports.store import Opened
from pertoken.services.allowance import not_its_own
from pertoken.services.keys import BadKey, KeyNameTaken, create_key, rotate_key

TagValue = Annotated[str, msgspec.Meta(max_length=256, pattern=rf"^[^{UNSAFE_CLASS}]*$(?!\n)")]

OVERLAP_S_MAX = 90 * 24 * 3600


class KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new virtual key. A team owner's keys belong to its team."""

    name: Text
    team: Text | None = None
    customer: Text | None = None
    tags: Annotated[dict[Text, TagValue], msgspec.Meta(max_length=20)] = {}
    expires_at: GivenInstant | None = None


class SecretBody(msgspec.Struct, forbid_unknown_fields=True):
    """How long the old secret stays valid, in seconds."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_S_MAX)] = 24 * 3600


class KeyAnswer(msgspec.Struct, kw_only=True):
    """A virtual key without its secret."""

    id: str
    name: str
    secret_ends_in: str
    team: str | None
    customer: str | None
    tags: dict[str, str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    old_secret_until: Instant | None


class NewKeyAnswer(KeyAnswer, kw_only=True):
    """A new virtual key. Its secret is shown once; if the request is repeated by its Idempotency-Key, it is null."""

    secret: str | None


class KeysAnswer(msgspec.Struct):
    """Virtual keys, including revoked ones, oldest first."""

    keys: list[KeyAnswer]
    next_cursor: str | None


def list_keys(opened: Opened, asked: Asked) -> KeysAnswer:
    """Return the keys that the principal may see."""
    keys = opened.archive.list_keys()
    shown, cursor = page(keys, lambda key: (key.created_at_us, key.key_id), asked.query, (int, str))
    return KeysAnswer([_answer(key) for key in shown], cursor)


def read_key(opened: Opened, asked: Asked) -> KeyAnswer:
    """Return one key."""
    return _answer(_find(opened, asked.name))


def make_key(opened: Opened, asked: Asked) -> NewKeyAnswer:
    """Create a key; for a team owner, in its team."""
    body: KeyBody = asked.body
    team = body.team if body.team is not None else asked.view.team
    if asked.view.team not in (None, team):
        raise ApiRefused(Problem.FORBIDDEN, f"this key may only create keys of the team {asked.view.team!r}", "team")
    customer = body.customer
    if customer is not None and not may_name(asked.view.team, opened.administration.owners(customer)):
        raise ApiRefused(Problem.FORBIDDEN, not_its_own(asked.view.team, customer), "customer")
    try:
        made = create_key(
            opened.administration,
            asked.clock,
            asked.hasher,
            body.name,
            team=team,
            customer=customer,
            tags=body.tags,
            expires_at_us=read_time(body.expires_at, "expires_at"),
        )
    except KeyNameTaken as error:
        raise ApiRefused(
            Problem.NAME_TAKEN, f"a key of the team is called {body.name!r} already; choose another name", "name"
        ) from error
    except BadKey as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error)) from error
    return NewKeyAnswer(secret=made.secret, **msgspec.structs.asdict(_answer(made.key)))


def make_secret(opened: Opened, asked: Asked) -> NewKeyAnswer:
    """Give a live key a new secret."""
    found = _find(opened, asked.name)
    if found.revoked_at_us is not None:
        raise ApiRefused(Problem.NOT_FOUND, f"the key {asked.name!r} is revoked", "id")
    overlap_us = asked.body.overlap_s * US_PER_SECOND
    made = rotate_key(opened.administration, asked.clock, asked.hasher, found, overlap_us)
    return NewKeyAnswer(secret=made.secret, **msgspec.structs.asdict(_answer(made.key)))


def revoke_key(opened: Opened, asked: Asked) -> KeyAnswer:
    """Revoke a key; a revoked key stays revoked."""
    _find(opened, asked.name)
    opened.administration.revoke_key(asked.name, asked.now_us)
    return _answer(_find(opened, asked.name))


def _find(opened: Opened, key_id: str) -> Key:
    found = next((key for key in opened.archive.list_keys() if key.key_id == key_id), None)
    if found is None:
        raise ApiRefused(Problem.NOT_FOUND, f"no key {key_id!r}; see: GET /api/v1/keys", "id")
    return found


def _answer(key: Key) -> KeyAnswer:
    return KeyAnswer(
        id=key.key_id,
        name=key.name,
        secret_ends_in=key.secret_hint,
        team=key.team,
        customer=key.customer,
        tags=dict(key.tags),
        created_at=format_time(key.created_at_us),
        expires_at=format_some(key.expires_at_us),
        revoked_at=format_some(key.revoked_at_us),
        old_secret_until=format_some(key.old_secret_until_us),
    )


ROUTES = (
    Route("GET", "/api/v1/keys", Action.KEYS_READ, "List virtual keys.", list_keys, KeysAnswer, PageQuery),
    Route(
        "POST", "/api/v1/keys", Action.KEYS_WRITE, "Create a virtual key; its secret is shown once.", make_key,
        NewKeyAnswer, body=KeyBody, status=201, problems=(Problem.NAME_TAKEN,),
    ),
    Route(
        "GET", "/api/v1/keys/{id}", Action.KEYS_READ, "Show one virtual key.", read_key, KeyAnswer,
        problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "POST", "/api/v1/secrets/{id}", Action.KEYS_WRITE, "Give a virtual key a new secret, shown once.",
        make_secret, NewKeyAnswer, body=SecretBody, status=201, problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "DELETE", "/api/v1/keys/{id}", Action.KEYS_WRITE, "Revoke a virtual key, from its next call on.", revoke_key,
        KeyAnswer, problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
