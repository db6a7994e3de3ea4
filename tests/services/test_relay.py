"""Passing a stream through: what is stripped, and what a hang-up does, without any socket."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.factories import hold
from tests.readers import Here

from pertoken.core.admission import Bound
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness
from pertoken.counting.tokenizers import Tokenizers
from pertoken.ports.provider import ProviderFailed
from pertoken.services.call.hold import Holding
from pertoken.services.call.relay import Relayed, relay_stream
from pertoken.services.world import Drains
from pertoken.wire import openai_chat
from pertoken.wire.stream import APART_BYTES
from pertoken.wiring.clock import SystemClock

TEXT = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
USAGE = (
    b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}\n\n'
)
DONE = b"data: [DONE]\n\n"


class Client:
    """An exchange that keeps what it was sent, and hangs up when it is told to."""

    def __init__(self) -> None:
        self.sent = b""
        self.gone = False
        self.told: Callable[[], None] | None = None

    def write(self, chunk: bytes) -> bool:
        """Keep a piece."""
        self.sent += chunk
        return False

    async def drain(self) -> None:
        """Take everything at once."""

    def when_gone(self, do: Callable[[], None]) -> None:
        """Remember whom to tell."""
        self.told = do

    def hang_up(self) -> None:
        """Leave."""
        self.gone = True
        if self.told is not None:
            self.told()


class Answer:
    """A provider's answer, piece by piece; a callable among them is called in its turn."""

    status = 200
    headers = ()

    def __init__(self, *script: bytes | Callable[[], None]) -> None:
        self.script = script
        self.abandoned = False

    def abandon(self) -> None:
        """Give up."""
        self.abandoned = True

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give each piece to the sink until the answer is abandoned."""
        for one in self.script:
            if not isinstance(one, bytes):
                one()
            elif sink(one):
                await room()
            if self.abandoned:
                raise ProviderFailed("the answer was given up before it was complete")


class CutWhileRead(Answer):
    """An answer whose connection fails while a part of it is being read apart: what waits for that is given up."""

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give all to the sink, begin to wait for room, and fail."""
        for piece in self.script:
            assert isinstance(piece, bytes)
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


def relayed(client: Client, answer: Answer, *, asks: bool = True, cuts: bool = False) -> Relayed:
    """Relay an answer of a provider that is asked for usage, or cut on hang-up, or neither."""
    provider = SimpleNamespace(name="openai", prices_from=(), asks_for_usage=asks, cuts_on_hangup=cuts)
    request: Any = SimpleNamespace(
        format=openai_chat, facts=RequestFacts("m", stream=True, wants_usage=False), provider=provider,
        attribution=SimpleNamespace(key="key_1"),
    )  # fmt: skip
    exchange: Any = client
    world: Any = SimpleNamespace(drains=Drains(10), readers=Elsewhere(Tokenizers()), clock=SystemClock())
    bound = Bound({"input_tokens": 100, "output_tokens": 100}, 100, counted=True)
    result, _ = asyncio.run(relay_stream(exchange, request, Holding(hold("call_1"), None, None, bound), answer, world))
    return result


@pytest.mark.parametrize("asks", [True, False])
def test_only_what_we_asked_for_is_stripped(asks: bool) -> None:
    """A usage chunk that we asked for does not reach a client that did not; one that comes unasked does."""
    client = Client()
    result = relayed(client, Answer(TEXT, USAGE, DONE), asks=asks)

    assert result.reading.completeness is Completeness.FINAL
    assert result.failure is None
    assert (client.sent + result.last) == (TEXT + DONE if asks else TEXT + USAGE + DONE)


def test_a_hangup_is_drained_by_default() -> None:
    """The answer is read to its end for real usage."""
    client = Client()
    result = relayed(client, Answer(TEXT, client.hang_up, TEXT, USAGE, DONE))

    assert client.told is None
    assert result.reading.quantities == {"input_tokens": 5, "output_tokens": 1}
    assert result.failure is None


def test_a_hangup_cuts_where_it_is_configured() -> None:
    """Nothing more is read, and what was made until then is there to be counted."""
    client = Client()
    answer = Answer(TEXT, client.hang_up, TEXT, USAGE, DONE)
    result = relayed(client, answer, cuts=True)

    assert answer.abandoned
    assert result.text == "hello"
    assert str(result.failure) == "the client hung up and the answer was cut"


def test_a_provider_that_fails_by_itself_is_not_called_cut() -> None:
    """The reason of a failure is the provider's own while the client is there."""
    client = Client()
    answer = Answer(TEXT)
    result = relayed(client, Answer(TEXT, answer.abandon), cuts=True)

    assert str(result.failure) == "the stream ended before its answer did"


@pytest.mark.parametrize("end", [b"", USAGE], ids=["no usage", "usage"])
def test_an_answer_that_is_cut_while_it_is_read_apart(end: bytes) -> None:
    """What had come by then is read all the same, and charged and passed on as of small events that came before it."""
    large = TEXT.replace(b'"id":"c"', b'"id":"%b"' % (b"c" * APART_BYTES))
    client = Client()
    result = relayed(client, CutWhileRead(TEXT, large, TEXT + end), asks=False)

    assert str(result.failure) == "the provider closed the connection"
    assert client.sent + result.last == TEXT + large + TEXT + end
    if end:
        assert result.reading.quantities == {"input_tokens": 5, "output_tokens": 1}
    else:
        assert result.text == "hello" * 3
