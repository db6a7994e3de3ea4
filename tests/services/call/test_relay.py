"""Passing a stream through: what is stripped, and what a hang-up does, without any socket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.readers import Here
from tests.services.call.parts import (
    DONE,
    LAST,
    NOW_US,
    STREAMED,
    TEXT,
    Answered,
    Client,
    Provider,
    body_of,
    breaks_off,
    call_of,
    held_call,
    world_of,
)
from tests.services.stand_in import TOKENIZERS

from pertoken.core.usage import Completeness
from pertoken.ports.provider import ProviderFailed
from pertoken.services.call.call import Relayed
from pertoken.services.call.relay import relay, relay_stream
from pertoken.services.call.understand import understand
from pertoken.wire.stream import APART_BYTES


class CutWhileRead(Answered):
    """An answer whose connection fails while a part of it is being read apart: what waits for that is given up."""

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give all to the sink, begin to wait for room, and fail."""
        for piece in self._next():
            sink(piece)
        waiting = asyncio.ensure_future(room())
        await asyncio.sleep(0)
        waiting.cancel()
        raise ProviderFailed("the provider closed the connection")


class Elsewhere(Here):
    """Reads after a turn of the loop, as another process does."""

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[Any, ...]) -> Any:
        """Return what a work finds in a body."""
        await asyncio.sleep(0.001)
        return await super().read(key_id, work, body, args)


def relayed(client: Client, answer: Answered, *, asks: bool = True, cuts: bool = False) -> Relayed:
    """Relay an answer of a provider that is asked for usage, or cut on hang-up, or neither."""
    client.body = body_of(stream=True)
    provider = Provider(cuts=cuts)
    provider.asks_for_usage = asks
    call = call_of(client)
    understand(call, world_of(provider))
    held = held_call(client, answer, call.request)
    result = asyncio.run(relay_stream(held, world_of(readers=Elsewhere(TOKENIZERS))))
    assert held.holding.hold.hold_id == "call_1"
    return result


@pytest.mark.parametrize("asks", [True, False])
def test_only_what_we_asked_for_is_stripped(asks: bool) -> None:
    """A usage chunk that we asked for does not reach a client that did not; one that comes unasked does."""
    client = Client()
    result = relayed(client, Answered(TEXT, LAST, DONE), asks=asks)

    assert result.reading.completeness is Completeness.FINAL
    assert result.failure is None
    assert (client.got + result.last) == (TEXT + DONE if asks else TEXT + LAST + DONE)


def test_a_hangup_is_drained_by_default() -> None:
    """The answer is read to its end for real usage."""
    client = Client()
    result = relayed(client, Answered(TEXT, client.hang_up, TEXT, LAST, DONE))

    assert client.gone
    assert result.reading.quantities == {"input_tokens": 5, "output_tokens": 2}
    assert result.failure is None


def test_a_hangup_cuts_where_it_is_configured() -> None:
    """Nothing more is read, and what was made until then is there to be counted."""
    client = Client()
    answer = Answered(TEXT, client.hang_up, TEXT, LAST, DONE)
    result = relayed(client, answer, cuts=True)

    assert answer.is_abandoned
    assert result.text == "hello"
    assert str(result.failure) == "the client hung up and the answer was cut"


def test_a_provider_that_fails_by_itself_is_not_called_cut() -> None:
    """The reason of a failure is the provider's own while the client is there."""
    client = Client()
    answer = Answered(TEXT)
    result = relayed(client, Answered(TEXT, answer.abandon), cuts=True)

    assert str(result.failure) == "the stream ended before its answer did"


@pytest.mark.parametrize("end", [b"", LAST], ids=["no usage", "usage"])
def test_an_answer_that_is_cut_while_it_is_read_apart(end: bytes) -> None:
    """What had come by then is read all the same, and charged and passed on as of small events that came before it."""
    large = TEXT.replace(b'"id":"c"', b'"id":"%b"' % (b"c" * APART_BYTES))
    client = Client()
    result = relayed(client, CutWhileRead(TEXT, large, TEXT + end), asks=False)

    assert str(result.failure) == "the provider closed the connection"
    assert client.got + result.last == TEXT + large + TEXT + end
    if end:
        assert result.reading.quantities == {"input_tokens": 5, "output_tokens": 2}
    else:
        assert result.text == "hello" * 3


def test_a_whole_answer_waits_for_its_settlement() -> None:
    """Nothing of it goes to the client before: what it says is known, and what the headers say."""
    client = Client(body_of())
    call = held_call(client, Answered(b"{}", headers=[(b"openai-model", b"m-1"), (b"set-cookie", b"a")]))
    assert asyncio.run(relay(call, world_of())) is call

    assert (client.status, client.got) == (0, b"")
    assert call.relayed.last == b"{}"
    told = dict(call.headers)
    assert (told[b"x-pertoken-call-id"], told[b"openai-model"]) == (b"call_1", b"m-1")
    assert b"set-cookie" not in told
    assert b"x-pertoken-cache" not in told  # no cache is on
    assert call.relayed.sent is call.sent


def test_a_whole_answer_that_breaks_off_is_charged_as_held() -> None:
    """Nobody has read how much was made: all that was held for it."""
    call = held_call(Client(body_of()), Answered(b"{", breaks_off))
    asyncio.run(relay(call, world_of()))

    assert call.relayed.reading.quantities == {"input_tokens": 100, "output_tokens": 100}
    assert str(call.relayed.failure) == "the provider closed the connection"


def test_a_stream_is_begun_before_its_end_is_known() -> None:
    """Its head and all pieces but the last go on at once; the last waits for the settlement."""
    client = Client(body_of(stream=True, stream_options={"include_usage": True}))
    call = held_call(client, Answered(*STREAMED))
    asyncio.run(relay(call, world_of()))

    assert call.is_begun
    assert (client.status, client.got, client.is_finished) == (200, TEXT, False)
    assert call.relayed.last == LAST + DONE
    assert (call.relayed.first_byte_us, call.relayed.last_byte_us) == (NOW_US, NOW_US)
    assert call.relayed.passed == b""  # nobody wants to keep it
