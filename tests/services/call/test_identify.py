"""Who calls, what the call is attributed to, and that the key goes no further."""

import asyncio
from typing import Any

import pytest
from tests.services.call.parts import KEY, NOW_US, SHOWN, Ledger, request_of, world_of
from tests.services.stand_in import HASHER, SECRET

from pertoken.core.budgets import Attribution
from pertoken.core.commands import Command, Look
from pertoken.core.directory import Directory, Key
from pertoken.core.errors import Code, Refusal
from pertoken.core.texts import TAGS_MAX
from pertoken.ports.headers import HeaderList
from pertoken.services.call import identify
from pertoken.services.call.identify import NO_KEY, Caller, _read, attribute, names_key, recognise, warn
from pertoken.services.call.identify import identify as ask_who

OLD = b"sk-pt-of-before"


def knowing(*keys: Key) -> Ledger:
    """Return a ledger that knows these keys."""
    ledger = Ledger()
    ledger.directory = Directory(1, keys, ())
    return ledger


def called(*fields: tuple[bytes, bytes], key: Key = KEY) -> Caller:
    """Return who calls with a head."""
    found = recognise(SHOWN + fields, b"", world_of(ledger=knowing(key)))
    assert isinstance(found, Caller)
    return found


def of(caller: Caller, **facts: Any) -> Attribution:
    """Return what a call is attributed to."""
    return attribute(caller, request_of(**facts).facts, "openai")


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        (SHOWN, b""),
        (((b"authorization", b"bearer  " + SECRET),), b""),
        (((b"x-api-key", SECRET),), b""),
        (((b"x-goog-api-key", SECRET),), b""),
        ((), b"alt=sse&key=" + SECRET),
        ((*SHOWN, (b"x-api-key", b"sk-pt-another")), b"key=a-third"),
        (((b"x-api-key", b""), (b"x-goog-api-key", SECRET)), b""),
    ],
)
def test_a_key_is_recognised_where_an_sdk_puts_it(fields: HeaderList, query: bytes) -> None:
    """A bearer token comes before the other headers, and these before the query."""
    found = recognise(fields, query, world_of())

    assert isinstance(found, Caller)
    assert (found.key, found.shown.secret) == (KEY, SECRET)


@pytest.mark.parametrize("fields", [(), ((b"authorization", b"Basic abc"),), ((b"x-api-key", b""),)])
def test_nobody_calls_without_a_key(fields: HeaderList) -> None:
    """A call that shows none is refused, and the database is not asked."""
    ledger = Ledger()

    assert recognise(fields, b"", world_of(ledger=ledger)) == NO_KEY
    assert asyncio.run(ask_who(fields, b"", world_of(ledger=ledger))) == NO_KEY
    assert ledger.done() == []


def test_a_key_that_is_not_known_may_be_new() -> None:
    """This process alone cannot refuse it."""
    assert recognise(((b"x-api-key", b"sk-pt-new"),), b"", world_of()) is None


@pytest.mark.parametrize(
    ("change", "secret", "is_good"),
    [
        ({"expires_at_us": NOW_US}, SECRET, False),
        ({"expires_at_us": NOW_US + 1}, SECRET, True),
        ({"old_secret_hash": HASHER.hash(OLD), "old_secret_until_us": NOW_US}, OLD, False),
        ({"old_secret_hash": HASHER.hash(OLD), "old_secret_until_us": NOW_US + 1}, OLD, True),
        ({"old_secret_hash": HASHER.hash(OLD), "old_secret_until_us": NOW_US}, SECRET, True),
    ],
)
def test_a_key_ends(change: dict[str, Any], secret: bytes, is_good: bool) -> None:
    """From that instant on it is refused, and so is its old secret; the refusal says which and when."""
    found = recognise(((b"x-api-key", secret),), b"", world_of(ledger=knowing(KEY._replace(**change))))

    if is_good:
        assert isinstance(found, Caller)
    else:
        assert isinstance(found, Refusal)
        assert found.code is Code.UNKNOWN_KEY
        assert f"...{secret[-4:].decode()} ended at 2026-09-21T14:13:20" in found.message
        assert "pertoken key rotate key_1" in found.message


class Newer(Ledger):
    """Knows other keys from the first look on."""

    def __init__(self, before: tuple[Key, ...], after: tuple[Key, ...]) -> None:
        super().__init__()
        self.directory = Directory(1, before, ())
        self._after = after

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Read the newest directory."""
        if isinstance(command, Look):
            self.directory = Directory(2, self._after, ())
        return super().submit(command)


@pytest.mark.parametrize(
    ("before", "after", "surely", "is_known", "done"),
    [
        ((KEY,), (), False, True, []),
        ((KEY,), (), True, False, ["Look"]),
        ((KEY,), (KEY,), True, True, ["Look"]),
        ((), (KEY,), False, True, ["Look"]),
        ((), (), False, False, ["Look"]),
    ],
    ids=["known", "revoked", "not-revoked", "made-a-moment-ago", "unknown"],
)
def test_the_database_is_asked_once(
    before: tuple[Key, ...],
    after: tuple[Key, ...],
    surely: bool,
    is_known: bool,
    done: list[str],
) -> None:
    """It is asked of a key that is not known, and of any key where the answer must be sure."""
    ledger = Newer(before, after)
    found = asyncio.run(ask_who(SHOWN, b"", world_of(ledger=ledger), surely=surely))

    assert isinstance(found, Caller) == is_known
    assert isinstance(found, Caller) or found.code is Code.UNKNOWN_KEY
    assert ledger.done() == done


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (b"sk-pt-abcdefgh", "unknown or revoked key ending in ...efgh; see: pertoken key list"),
        (b"sk-pt-admin-abcdefgh", "the key ending in ...efgh is for the control plane"),
        (b"sk-proj-abcdefgh", "the key ending in ...efgh is not a pertoken key"),
        (b"sk-pt-a", "unknown or revoked key; see"),
    ],
)
def test_an_unknown_key_is_told_which_kind_is_wanted(secret: bytes, says: str) -> None:
    """The refusal shows no more of the secret than its end, and of a short one nothing."""
    found = asyncio.run(ask_who(((b"x-api-key", secret),), b"", world_of()))

    assert isinstance(found, Refusal)
    assert found.code is Code.UNKNOWN_KEY
    assert found.message.startswith(says)
    assert secret.decode() not in found.message


def test_a_key_that_cannot_be_looked_up() -> None:
    """Nobody is told that a key is unknown while the database cannot be asked."""
    ledger = Ledger()
    ledger.fails_at = Look
    found = asyncio.run(ask_who(((b"x-api-key", b"sk-pt-new"),), b"", world_of(ledger=ledger)))

    assert isinstance(found, Refusal)
    assert found.code is Code.STORE_UNAVAILABLE
    assert "the disk is full" in found.message


def test_the_key_has_the_last_word() -> None:
    """Its team, customer and tags win over what the client says; user and conversation are the client's."""
    key = KEY._replace(customer="acme", tags=(("env", "live"),))
    head = ((b"x-pertoken-customer", b"other"), (b"x-pertoken-user", b"ann"), (b"x-pertoken-conversation", b"c1"),
            (b"x-pertoken-tags", b"env=test,job=night"))  # fmt: skip

    assert of(called(*head, key=key)) == Attribution(
        "key_1", "growth", "acme", "ann", "openai", "m-1", (("env", "live"), ("job", "night")), "c1"
    )


def test_what_the_head_says_wins_over_the_body() -> None:
    """User and conversation are taken from the body, cleaned, where the head names none."""
    said = {"user": " body\x07 user ", "conversation": "body"}

    assert (of(called(), **said).user, of(called(), **said).conversation) == ("body user", "body")
    named = of(called((b"x-pertoken-user", b"ann"), (b"helicone-session-id", b"c1")), **said)
    assert (named.user, named.conversation) == ("ann", "c1")
    assert of(called()) == Attribution("key_1", "growth", None, None, "openai", "m-1")


def warned(*fields: tuple[bytes, bytes], key: Key = KEY) -> tuple[str, ...]:
    """Return what the client of a call is warned of."""
    caller = called(*fields, key=key)
    return warn(caller, of(caller))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (b"x-pertoken-customer", b"acme", ()),
        (b"x-pertoken-customer", b"other", ("x-pertoken-customer is ignored: the call belongs to the key's customer",)),
        (b"x-litellm-end-user-id", b"other", ("x-litellm-end-user-id is ignored: the call belongs",)),
        (b"x-pertoken-tags", b"env=live", ()),
        (b"x-pertoken-tags", b"env=test", ("the tag 'env' is ignored: the key's own tag of that name wins",)),
        (b"x-pertoken-tags", b"job", ("x-pertoken-tags: 'job' is ignored; write NAME=VALUE",)),
        (b"x-pertoken-custmer", b"acme", ("x-pertoken-custmer is not known; did you mean x-pertoken-customer?",)),
        (b"x-request-id", b"1", ()),
        (
            b"x-pertoken-tags",
            b",".join(b"%02d=x" % at for at in range(TAGS_MAX)),
            ("a call has at most 20 tags; the others are left out",),
        ),
    ],
)
def test_a_client_is_told_what_is_not_taken(name: bytes, value: bytes, says: tuple[str, ...]) -> None:
    """What the key overrules, and what is not understood, is said; what is taken as it was sent is not."""
    found = warned((name, value), key=KEY._replace(customer="acme", tags=(("env", "live"),)))

    assert len(found) == len(says)
    assert all(one.startswith(begins) for one, begins in zip(found, says, strict=True))


def test_a_client_is_told_the_first_of_many_things() -> None:
    """An answer has at most five warnings."""
    unknown = [(b"x-pertoken-%d" % at, b"1") for at in range(9)]

    assert len(warned(*unknown)) == identify.WARNINGS_MAX
    assert len(warned((b"x-pertoken-tags", b"env=test"), *unknown)) == identify.WARNINGS_MAX


@pytest.mark.parametrize("name", ["key", "KEY", "k%65y", "%6B%65%79", "+key", "key+", "%20key"])
def test_a_key_in_the_query_is_found_however_it_is_spelt(name: str) -> None:
    """A parameter that some server reads as `key` is the client's secret: it is read, and kept back."""
    assert names_key(f"{name}=sk-1")
    assert _read((), f"alt=sse&{name}=sk%2D1".encode()).secret == b"sk-1"


@pytest.mark.parametrize("pair", ["keys=1", "k=ey", "monkey=1", "", "=key", "alt=key"])
def test_other_parameters_go_on(pair: str) -> None:
    """Only the parameter that is named so is the key."""
    assert not names_key(pair)
    assert _read((), pair.encode()).secret is None


@pytest.mark.parametrize("text", [b"," * 60_000, b"a=b," * 15_000, b",".join(b"%d=" % at for at in range(9_000))])
def test_a_header_of_tags_without_end(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a header with more tags than any call has, the first are looked at, and the answer says so."""
    looked_at: list[str] = []
    clean = identify._clean

    def counted(value: str) -> str | None:
        looked_at.append(value)
        return clean(value)

    monkeypatch.setattr(identify, "_clean", counted)
    shown = _read(((b"x-pertoken-tags", text),), b"")
    assert len(looked_at) <= 5 * identify.PAIRS_MAX
    assert len(shown.tags) <= identify.PAIRS_MAX
    assert "x-pertoken-tags has more than 200 tags; the others are ignored" in shown.warnings


def test_as_many_tags_as_are_looked_at() -> None:
    """All of them are read, without a warning."""
    text = b",".join(b"%d=x" % at for at in range(identify.PAIRS_MAX))
    shown = _read(((b"x-pertoken-tags", text),), b"")
    assert len(shown.tags) == identify.PAIRS_MAX
    assert shown.warnings == ()
