"""Step 1: find the key of the secret that a client shows, and what its call is attributed to."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote_plus

from pertoken.core.budgets import Attribution
from pertoken.core.commands import Look
from pertoken.core.directory import Key
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.ids import ADMIN_PREFIX, KEY_PREFIX
from pertoken.core.periods import format_time
from pertoken.core.texts import TAGS_MAX, UNSAFE, lookalike, nearest, tidy, unseen
from pertoken.ports.headers import HeaderList
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.world import World

PAIRS_MAX = 200  # of the header with tags that are looked at: a call has a tenth of them
VALUE_CHARACTERS_MAX = 256  # of one attribution value; longer ones are cut
WARNINGS_MAX = 5  # in one answer
_HELICONE_PROPERTY = b"helicone-property-"
_CUSTOMER = (b"x-pertoken-customer", b"x-litellm-end-user-id", b"x-litellm-customer-id")
_USER = (b"x-pertoken-user", b"helicone-user-id")
_CONVERSATION = (b"x-pertoken-conversation", b"helicone-session-id")
_TAGS = b"x-pertoken-tags"
_OURS = b"x-pertoken-"
_KNOWN = frozenset((_CUSTOMER[0], _USER[0], _CONVERSATION[0], _TAGS, b"x-pertoken-idempotency-key"))
_ENDS = sorted(name.removeprefix(_OURS).decode() for name in _KNOWN)
_OURS_PLAIN = "pertoken"
_SEPARATORS = re.compile("[-_]+")
_NEAR_OURS = 0.8  # "pertokn" and "partoken" are nearer, "portkey", "person" and "token" are not
_NEAR_LENGTHS = range(6, 11)
_LETTERS_MAX = 64  # of a header's name that is looked at
_ENDS_MAX = 2  # of one name
_OURS_LETTERS = frozenset(_OURS_PLAIN.encode())
_BEGINNING = 16  # letters in which the beginning of ours would stand
_LOOKED_AT_MAX = 5  # names of one head: to compare one takes up to 0.2 ms


NO_KEY = Refusal(Code.UNKNOWN_KEY, "no key: send a pertoken key as a bearer token, x-api-key or x-goog-api-key")


class Shown(NamedTuple):
    """What a client shows in its head: its secret, and what it says the call belongs to."""

    secret: bytes | None
    headers: Mapping[bytes, bytes]
    customer: str | None = None
    user: str | None = None
    conversation: str | None = None
    tags: tuple[tuple[str, str], ...] = ()  # in the order given
    warnings: tuple[str, ...] = ()  # what of our headers is not understood, or not taken as it was sent


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
        return _unknown_key(secret)
    return caller


def _unknown_key(secret: bytes) -> Refusal:
    """Return what tells somebody who took one kind of key for another which kind is wanted."""
    hint = _hint(secret)
    shown = f" ending in ...{hint}" if hint else ""
    message = f"unknown or revoked key{shown}; see: pertoken key list"
    if secret.startswith(ADMIN_PREFIX.encode()):
        message = f"the key{shown} is for the control plane; calls take another: pertoken key create NAME"
    elif not secret.startswith(KEY_PREFIX.encode()):
        message = (
            f"the key{shown} is not a pertoken key, which begins with {KEY_PREFIX}; make one: pertoken key create NAME"
        )
    return Refusal(Code.UNKNOWN_KEY, message)


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
        message = (
            f"the key ending in ...{_hint(secret)} ended at {since}; for another: pertoken key rotate {key.key_id}"
        )
        return Refusal(Code.UNKNOWN_KEY, message)
    return Caller(key, shown)


def attribute(caller: Caller, facts: RequestFacts, provider: str) -> Attribution:
    """Return what the call is attributed to. What the key says wins over what the client says."""
    key, shown = caller
    user = shown.user or (_clean(facts.user) if facts.user else None)
    tags = tuple(sorted({**dict(shown.tags), **dict(key.tags)}.items())[:TAGS_MAX]) if shown.tags else key.tags
    customer = key.customer or shown.customer
    conversation = shown.conversation or (_clean(facts.conversation) if facts.conversation else None)
    return Attribution(key.key_id, key.team, customer, user, provider, facts.model, tags, conversation)


def warn(caller: Caller, attribution: Attribution) -> tuple[str, ...]:
    """Return what the client says of a call that is not understood, or that the key's own word overrules.

    Such a call is served: who pays for it is known. The answer's header x-pertoken-warning says what was not taken.
    """
    key, shown = caller
    if shown.customer is None and not shown.tags:
        return shown.warnings[:WARNINGS_MAX]
    found = list(shown.warnings)
    if shown.customer is not None and shown.customer != attribution.customer:
        name = next(name for name in _CUSTOMER if name in shown.headers).decode()
        found.append(f"{name} is ignored: the call belongs to the key's customer")
    own = dict(key.tags)
    overruled = next((name for name, value in shown.tags if own.get(name, value) != value), None)
    if overruled is not None:
        found.append(f"the tag {overruled!r} is ignored: the key's own tag of that name wins")
    if len({*own, *dict(shown.tags)}) > TAGS_MAX:
        found.append(f"a call has at most {TAGS_MAX} tags; the others are left out")
    return tuple(found[:WARNINGS_MAX])


def secret_of(fields: HeaderList, query: bytes) -> bytes | None:
    """Return the secret that a client shows."""
    return _read(fields, query).secret


# A client's calls come with the same head again and again: reading it once saves 6 us a call. Each may have 64 KB.
@lru_cache(maxsize=512)
def _read(fields: HeaderList, query: bytes) -> Shown:
    headers = dict(fields)
    secret = _secret(headers, query)
    if not any(map(_concerns_us, headers)):  # most calls carry none of our headers
        return Shown(secret, headers)
    return Shown(
        secret,
        headers,
        _first(headers, _CUSTOMER),
        _first(headers, _USER),
        _first(headers, _CONVERSATION),
        tuple(_tags(headers).items()),
        tuple(islice(_warnings(headers), WARNINGS_MAX)),
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
    name = pair.partition("=")[0]
    if "%" in name or "+" in name:
        name = unquote_plus(name)
    return name.strip().lower() == "key"


def _hint(secret: bytes) -> str:
    """Return the last four characters, enough to recognise a key by and no help to guess it."""
    return UNSAFE.sub("", secret[-4:].decode("ascii", "replace")) if len(secret) > 8 else ""


# Applications send the same few names: each is looked at once.
@lru_cache(maxsize=4096)
def _concerns_us(name: bytes) -> bool:
    """Tell whether a header is one that is read here, or may be a misspelt one of ours."""
    return name.startswith((_OURS, b"helicone-", b"x-litellm-")) or _may_be_misspelt(name)


def _may_be_misspelt(name: bytes) -> bool:
    """Tell at little cost whether a name begins with most letters of ours."""
    return len(name) <= _LETTERS_MAX and len(_OURS_LETTERS.intersection(name[:_BEGINNING])) > len(_OURS_LETTERS) - 2


@lru_cache(maxsize=4096)
def _misspelt(name: bytes) -> str | None:
    """Return the header of ours that a name stands for whose beginning is nearly `x-pertoken-`, None where it is not.

    Both its beginning and its end must be near, so that a header of somebody else is not warned about.
    """
    plain = name.decode("latin-1").removeprefix("x").lstrip("-_")
    if not plain.startswith(_OURS_PLAIN[0]):
        return None
    ends = [(found.start(), found.end()) for found in _SEPARATORS.finditer(plain)]
    if plain.startswith(_OURS_PLAIN):
        ends.insert(0, (len(_OURS_PLAIN), len(_OURS_PLAIN)))
    beginnings = ((_SEPARATORS.sub("", plain[:before]), after) for before, after in ends)
    near = [
        after for text, after in beginnings if len(text) in _NEAR_LENGTHS and nearest(text, (_OURS_PLAIN,), _NEAR_OURS)
    ]
    found = (nearest(plain[after:].replace("_", "-"), _ENDS) for after in near[:_ENDS_MAX])
    return next((f"x-pertoken-{end}" for end in found if end is not None), None)


def _first(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    return next(
        (value for name in names if name in headers and (value := _clean(headers[name].decode("utf-8", "replace")))),
        None,
    )


def _tags(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in _pairs(headers.get(_TAGS, b"").decode("utf-8", "replace")):
        name, separator, value = pair.partition("=")
        if separator and (cleaned := _clean(name)):
            tags[cleaned] = _clean(value) or ""
    for header, text in headers.items():
        if header.startswith(_HELICONE_PROPERTY):
            tags[header[len(_HELICONE_PROPERTY) :].decode("latin-1")] = _clean(text.decode("utf-8", "replace")) or ""
    return tags


def _pairs(text: str) -> list[str]:
    return text.split(",", PAIRS_MAX)[:PAIRS_MAX]


def _warnings(headers: Mapping[bytes, bytes]) -> Iterator[str]:
    for name in sorted(headers):
        if name.startswith(_OURS) and name not in _KNOWN:
            shown = name.decode("latin-1")
            near = nearest(shown, [known.decode() for known in _KNOWN])
            yield f"{shown} is not known{f'; did you mean {near}?' if near else ''}"
    others = (name for name in headers if not name.startswith(_OURS) and _may_be_misspelt(name))
    for name in islice(others, _LOOKED_AT_MAX):
        meant = _misspelt(name)
        if meant is not None:
            yield f"{name.decode('latin-1')} is not known; did you mean {meant}?"
    for name in (*_CUSTOMER, *_USER, *_CONVERSATION, _TAGS):
        value = headers.get(name)
        why = None if value is None else _why_not_as_sent(value, whole=name != _TAGS)
        if why is not None:
            yield f"{name.decode()} {why}"
    yield from _tag_warnings(headers.get(_TAGS, b"").decode("utf-8", "replace"))


def _why_not_as_sent(value: bytes, *, whole: bool) -> str | None:
    """Return why a header's value is not taken as it was sent, None when it is."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8; bytes that are not are replaced"
    if UNSAFE.search(text):
        return "has a control character, which is left out"
    if unseen(text) is not None:
        return "has an invisible character, which is left out"
    strange = lookalike(text)
    if strange is not None:
        return f"mixes scripts in a word: {strange!r} stands among Latin letters; it is used as it was sent"
    if not text.strip():
        return "is empty and is ignored"
    if whole and len(text.strip()) > VALUE_CHARACTERS_MAX:
        return f"is longer than {VALUE_CHARACTERS_MAX} characters, and is cut"
    return None


def _tag_warnings(text: str) -> Iterator[str]:
    seen: set[str] = set()
    if text.count(",") >= PAIRS_MAX:
        yield f"x-pertoken-tags has more than {PAIRS_MAX} tags; the others are ignored"
    for pair in _pairs(text) if text.strip() else ():
        name, separator, value = pair.partition("=")
        cleaned = _clean(name)
        if not separator or cleaned is None:
            yield f"x-pertoken-tags: {pair.strip()[:40]!r} is ignored; write NAME=VALUE,NAME=VALUE"
        elif cleaned in seen:
            yield f"x-pertoken-tags: {cleaned!r} is given twice; the last one counts"
        elif len(value) > VALUE_CHARACTERS_MAX:
            yield f"x-pertoken-tags: {cleaned!r} is longer than {VALUE_CHARACTERS_MAX} characters, and is cut"
        seen.add(cleaned or "")


def _clean(text: str) -> str | None:
    """Return a value that is safe to store and to print; None when nothing is left."""
    return tidy(text)[:VALUE_CHARACTERS_MAX] or None
