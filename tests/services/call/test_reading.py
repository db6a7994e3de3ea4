"""What the steps read from a body: at once, or apart."""

import asyncio

import pytest
from tests.services.call.parts import Client, body_of, call_of
from tests.services.stand_in import READERS, Elsewhere

from pertoken.core.errors import Code
from pertoken.services.call.heavy import Heavy
from pertoken.services.call.reading import Unread, facts_of, read, read_apart
from pertoken.wire.format import BadRequest


def heavy_client(body: bytes) -> Client:
    """Return a client whose body is read apart."""
    client = Client(body)
    client.heavy = Heavy(body, "key_1", 1_000)
    return client


def test_a_light_body_is_read_at_once() -> None:
    """By whoever asks."""
    assert read(facts_of, call_of(Client(body_of())), "openai.chat", None, None).model == "m-1"


def test_a_heavy_body_is_read_apart_once() -> None:
    """Who asks first has it read; who asks again is told what was found."""
    call = call_of(heavy_client(body_of()))
    with pytest.raises(Unread) as unread:
        read(facts_of, call, "openai.chat", None, 1_000)

    assert asyncio.run(read_apart(unread.value, READERS)) is None
    assert read(facts_of, call, "openai.chat", None, 1_000).model == "m-1"


def test_what_is_wrong_with_a_heavy_body_is_told_where_it_is_asked_for() -> None:
    """As of any other body."""
    call = call_of(heavy_client(b"{"))
    with pytest.raises(Unread) as unread:
        read(facts_of, call, "openai.chat", None, 1_000)

    assert asyncio.run(read_apart(unread.value, READERS)) is None
    with pytest.raises(BadRequest):
        read(facts_of, call, "openai.chat", None, 1_000)


def test_where_nobody_reads_the_call_is_refused_for_now() -> None:
    """It may be asked again."""
    unread = Unread(Heavy(b"{}", "key_1", 1_000), "facts_of", ("openai.chat", None, None))
    refusal = asyncio.run(read_apart(unread, Elsewhere(fails_at="facts_of")))

    assert refusal is not None
    assert (refusal.code, refusal.retry_after_s) == (Code.OVERLOADED, 1)
