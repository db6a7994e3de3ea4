"""A client's name for its call: what it is for, and what asking again is answered."""

import asyncio

import pytest
from tests.services.call.parts import Client, call_of

from pertoken.core.claims import Claim, Claimed, Outcome
from pertoken.core.commands import Known
from pertoken.core.errors import Code, Refusal
from pertoken.services.call.claim import AT_ONCE_BYTES, HEADER, read_claim, replay

CLAIM = Claim("key_1", "order 7", b"hash")
OUTCOME = Outcome(200, ((b"x-pertoken-cost", b"1"),), b"{}", stream=True)


def claimed(name: bytes = b"order 7", body: bytes = b"{}", api: str = "openai.chat") -> Claim | Refusal:
    """Return the name that is read."""
    return asyncio.run(read_claim(call_of(Client(body, ((HEADER, name),)), api)))


def test_a_name_is_a_keys_for_one_request() -> None:
    """Another body or path under the same name is another request."""
    first = claimed()

    assert isinstance(first, Claim)
    assert (first.owner, first.name) == ("key_1", "order 7")
    assert claimed() == first
    assert claimed(body=b"{ }") != first
    assert claimed(api="openai.responses") != first


def test_a_large_request_has_a_name_as_well() -> None:
    """Its hash is made elsewhere, of all its bytes."""
    large = b"a" * (AT_ONCE_BYTES + 1)

    assert claimed(body=large) == claimed(body=large) != claimed(body=large[:-1] + b"b")


@pytest.mark.parametrize("name", [b"", b"  ", b"a" * 201, b"a\x00b"])
def test_what_is_no_name(name: bytes) -> None:
    """It is refused: the client counts on it."""
    refusal = claimed(name)

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.INVALID_REQUEST


def known(outcome: Outcome | None, *, same: bool = True) -> Known:
    """Return what the books know of a name."""
    return Known(CLAIM.name, Claimed(b"hash", "call_0", is_open=outcome is None, outcome=outcome), same)


def test_asking_again_is_answered_as_before() -> None:
    """With a word that says so."""
    end = replay(known(OUTCOME))

    assert (end.status, end.body, end.is_stream, end.refusal) == (200, b"{}", True, None)
    assert tuple(end.headers) == (*OUTCOME.headers, (b"x-pertoken-replayed", b"true"))


@pytest.mark.parametrize(
    ("asked", "message", "retry_after_s"),
    [
        (known(OUTCOME, same=False), "another request", None),
        (known(None), "still running", 1),
        (known(OUTCOME._replace(body=None)), "too large", None),
    ],
)
def test_what_cannot_be_answered_again(asked: Known, message: str, retry_after_s: int | None) -> None:
    """It is a conflict, which says whether asking later helps."""
    refusal = replay(asked).refusal

    assert refusal is not None
    assert (refusal.code, refusal.retry_after_s) == (Code.IDEMPOTENCY_CONFLICT, retry_after_s)
    assert message in refusal.message
