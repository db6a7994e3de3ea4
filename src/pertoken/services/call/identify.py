"""Step 1: from the secret a client shows to a key, and to everything its call is attributed to."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from pertoken.core.budgets import Attribution
from pertoken.core.directory import Key
from pertoken.core.errors import Code, Refusal
from pertoken.core.ledger import Look
from pertoken.core.periods import format_time
from pertoken.ports import HeaderList, StoreUnavailable
from pertoken.services.world import World
from pertoken.wire.format import RequestFacts

VALUE_CHARACTERS_MAX = 256  # of one attribution value; longer ones are cut
TAGS_MAX = 20
_HELICONE_PROPERTY = b"helicone-property-"
_CUSTOMER = (b"x-pertoken-customer", b"x-litellm-end-user-id", b"x-litellm-customer-id")
_USER = (b"x-pertoken-user", b"helicone-user-id")
_CONVERSATION = (b"x-pertoken-conversation", b"helicone-session-id")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


NO_KEY = Refusal(Code.UNKNOWN_KEY, "no key: send a pertoken key as a bearer token, x-api-key or x-goog-api-key")


class Shown(NamedTuple):
    """What a client shows in its head: its secret, and what it says the call belongs to."""

    secret: bytes | None
    headers: Mapping[bytes, bytes]
    customer: str | None = None
    user: str | None = None
    conversation: str | None = None
    tags: tuple[tuple[str, str], ...] = ()  # in the order given


class Caller(NamedTuple):
    """Who calls: the key, and what the head says."""

    key: Key
    shown: Shown


async def identify(fields: HeaderList, query: bytes, world: World, *, surely: bool = False) -> Caller | Refusal:
    """Return who calls. Keys come as each SDK sends them: bearer, x-api-key, x-goog-api-key, ?key=.

    A key that is not known is looked for once more in the database itself: it may have been made a moment ago. With
    `surely`, a known one as well: it may have been revoked, and no hold will find out.
    """
    if not surely:
        caller = recognise(fields, query, world)
        if caller is not None:
            return caller
    secret = _read(fields, query).secret
    if secret is None:
        return NO_KEY
    try:
        await world.ledger.submit(Look())
    except StoreUnavailable as error:
        return Refusal(Code.STORE_UNAVAILABLE, f"keys cannot be looked up: {error}")
    caller = recognise(fields, query, world)
    if caller is None:
        return Refusal(Code.UNKNOWN_KEY, f"unknown or revoked key ending in ...{_hint(secret)}; see: pertoken key list")
    return caller


def recognise(fields: HeaderList, query: bytes, world: World) -> Caller | Refusal | None:
    """Return who calls as far as this process knows; None for a key that only the database may know."""
    shown = _read(fields, query)
    secret = shown.secret
    if secret is None:
        return NO_KEY
    secret_hash = world.hasher.hash(secret)
    key = world.ledger.directory.identify(secret_hash)
    if key is None:
        return None
    ended_at_us = key.ended_at_us(secret_hash, world.clock.now_us())
    if ended_at_us is not None:
        since = format_time(ended_at_us)
        message = f"the key ending in ...{_hint(secret)} ended at {since}; another: pertoken key rotate {key.key_id}"
        return Refusal(Code.UNKNOWN_KEY, message)
    return Caller(key, shown)


def attribute(caller: Caller, facts: RequestFacts, provider: str) -> Attribution:
    """Return what the call is attributed to. What the key says wins over what the client says."""
    key, shown = caller
    user = shown.user or (_clean(facts.user) if facts.user else None)
    tags = tuple(sorted({**dict(shown.tags), **dict(key.tags)}.items())[:TAGS_MAX]) if shown.tags else key.tags
    customer = key.customer or shown.customer
    return Attribution(key.key_id, key.team, customer, user, provider, facts.model, tags, shown.conversation)


# A client's calls come with the same head again and again: reading it once saves 6 us a call. Each may have 64 KB.
@lru_cache(maxsize=512)
def _read(fields: HeaderList, query: bytes) -> Shown:
    headers = dict(fields)
    secret = _secret(headers, query)
    if not any(map(_is_ours, headers)):  # most calls carry none of our headers
        return Shown(secret, headers)
    return Shown(
        secret,
        headers,
        _first(headers, _CUSTOMER),
        _first(headers, _USER),
        _first(headers, _CONVERSATION),
        tuple(_tags(headers).items()),
    )


def _secret(headers: Mapping[bytes, bytes], query: bytes) -> bytes | None:
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        return authorization[7:].strip()
    for name in (b"x-api-key", b"x-goog-api-key"):
        if headers.get(name):
            return headers[name]
    for pair in query.decode("latin-1").split("&") if query else ():
        if names_key(pair):
            return unquote_plus(pair.partition("=")[2]).encode("latin-1", "replace") or None
    return None


def names_key(pair: str) -> bool:
    """Tell whether a pair of a query string carries the client's key, however its name is spelt."""
    return unquote_plus(pair.partition("=")[0]).strip().lower() == "key"


def _hint(secret: bytes) -> str:
    """Return the last four characters, enough to recognise a key by and no help to guess it."""
    return _CONTROL.sub("", secret[-4:].decode("ascii", "replace")) if len(secret) > 8 else ""


def _is_ours(name: bytes) -> bool:
    return name.startswith((b"x-pertoken-", b"helicone-", b"x-litellm-"))


def _first(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    return next(
        (value for name in names if name in headers and (value := _clean(headers[name].decode("utf-8", "replace")))),
        None,
    )


def _tags(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in headers.get(b"x-pertoken-tags", b"").decode("utf-8", "replace").split(","):
        name, separator, value = pair.partition("=")
        if separator and (cleaned := _clean(name)):
            tags[cleaned] = _clean(value) or ""
    for header, text in headers.items():
        if header.startswith(_HELICONE_PROPERTY):
            tags[header[len(_HELICONE_PROPERTY) :].decode("latin-1")] = _clean(text.decode("utf-8", "replace")) or ""
    return tags


def _clean(text: str) -> str | None:
    """Return a value that is safe to store and to print; None when nothing is left."""
    return _CONTROL.sub("", text).strip()[:VALUE_CHARACTERS_MAX] or None
