"""A gateway call from end to end without sockets or a disk: `serve` between a client, one answer and a ledger of lists.

The provider gives the answer it was made with, whole or as a stream; what is settled is kept in `events`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from tests.readers import Here

from pertoken.catalogs import request_fields
from pertoken.core.bounds import Limits, family_of
from pertoken.core.census import Census
from pertoken.core.commands import Held, Looked, OpenHold, Resize, Settle, Settled, Voided
from pertoken.core.directory import Directory, Key
from pertoken.core.events import Event
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.rating import REQUESTS
from pertoken.core.refusals import RefusedCalls
from pertoken.core.secrets import Hasher
from pertoken.core.units import UNITS
from pertoken.counting.tokenizers import Tokenizers
from pertoken.ports.headers import HeaderList
from pertoken.ports.pricing import Pricing
from pertoken.ports.readers import NotRead
from pertoken.services.call import works
from pertoken.services.offers import ModelRoute, Offers
from pertoken.services.serve import serve
from pertoken.services.world import Drains, World
from pertoken.wire import routes

HASHER = Hasher(b"the secret key of a stand-in for a call")
SECRET = b"sk-stand-in"
FAMILY = family_of("m-1")
TOKENIZERS = Tokenizers()
READERS = Here(TOKENIZERS)
PATHS = {
    "openai.chat": ("openai", "/v1/chat/completions"),
    "openai.responses": ("openai", "/v1/responses"),
    "openai.embeddings": ("openai", "/v1/embeddings"),
    "anthropic.messages": ("anthropic", "/v1/messages"),
    "gemini.generate": ("gemini", "/v1beta/models/m-1:generateContent"),
}


def price(unit: str, amount_picos: int = 1_000_000, **fields: Any) -> PriceRow:
    """Return a price of one unit at every provider's every model; pass `provider` for one of them."""
    made = PriceRow(
        f"pr_{unit}", "p", "", Match.PREFIX, unit, amount_picos, 1, "USD", 0, FOREVER_US, 0, Source.OPERATOR, "a test"
    )
    return made._replace(**fields)


def all_priced(provider: str) -> PriceBook:
    """Return a book in which every unit that is told has a price of its own, so that nothing is unpriced."""
    units = [unit for unit in UNITS if unit != REQUESTS]  # whose price is charged untold
    return PriceBook([price(unit, 10**6 + at, provider=provider) for at, unit in enumerate(units)])


RULES = request_fields.read()


class Elsewhere:
    """Reads as another process does; `reads` tells whether it does so now, and only then may anything be read."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.reads = False
        self.works: list[str] = []
        self._fails_at = fails_at

    async def read(self, _key_id: str, work: str, body: bytes, args: tuple[Any, ...]) -> Any:
        """Return what is found."""
        self.works.append(work)
        if work == self._fails_at:
            raise NotRead("it failed")
        self.reads = True
        try:
            return works.do(work, body, args, TOKENIZERS)
        finally:
            self.reads = False


class _Answer:
    """One answer, given whole or as it streamed."""

    status = 200
    headers: HeaderList = ()

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        if sink(self._body):
            await room()

    def abandon(self) -> None:
        """Nothing is open."""


class _Provider:
    asks_for_usage = True
    cuts_on_hangup = False
    output_cap = "max_tokens"
    missing_key = None

    def __init__(self, name: str, wire: str, body: bytes, prices_from: tuple[str, ...]) -> None:
        self.name, self.wire, self.prices_from = name, wire, prices_from
        self._body = body

    async def send(self, *_: Any) -> _Answer:
        return _Answer(self._body)


class _Client:
    """Takes everything at once and never hangs up."""

    query = b""
    gone = False
    heavy = None
    headers: HeaderList = ((b"authorization", b"Bearer " + SECRET),)

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.refusal: bytes | None = None

    def start(self, status: int, headers: HeaderList) -> None: ...

    def write(self, _: bytes) -> bool:
        return False

    async def drain(self) -> None: ...

    def when_gone(self, do: Callable[[], None]) -> None: ...

    def finish(self, chunk: bytes = b"") -> None: ...

    def answer(self, status: int, _: HeaderList, body: bytes) -> None:
        self.refusal = body if status >= 400 else None


class _Clock:
    def __init__(self, tick_us: int = 0) -> None:
        self._now_us = 1_790_000_000_000_000
        self._tick_us = tick_us

    def now_us(self) -> int:
        self._now_us += self._tick_us
        return self._now_us

    def random_bits(self, _: int) -> int:
        return 7


class _Sizes:
    def find(self, *_: str) -> Limits:
        return Limits()


class _Ledger:
    """Holds everything, and keeps what was settled."""

    failure = None
    on_credit = False

    def __init__(self, prices: PriceBook) -> None:
        self.prices = prices
        self.directory = Directory(1, [Key("key_1", "test", HASHER.hash(SECRET), "hint")], [])
        self.events: list[Event] = []

    def submit(self, command: Any) -> Any:
        done = asyncio.get_running_loop().create_future()
        if isinstance(command, Settle):
            self.events.append(command.event)
            done.set_result(Settled(command.event, None))
        else:
            assert not isinstance(command, Resize)
            done.set_result(Held(None) if isinstance(command, OpenHold) else Looked() if command else Voided())
        return done


def settled(
    api: str,
    provider: str,
    answer: bytes,
    *,
    book: PriceBook | None = None,
    stream: bool = False,
    prices_from: tuple[str, ...] = (),
    model: str = "m-1",
    routed: Mapping[str, ModelRoute] = {},
    tick_us: int = 0,
    pricing: Pricing | None = None,
    **more: Any,
) -> Event:
    """Return the event of one call of `api` that `provider` gave `answer` to; `more` is asked for.

    The clock goes on by `tick_us` each time it is read; `pricing` says what the customer is charged.
    """
    wire, path = PATHS[api]
    asked: dict[str, Any] = {"model": model, "max_tokens": 100, "input": "hi", "stream": stream}
    asked |= {"messages": [{"role": "user", "content": "hi"}], "contents": [{"parts": [{"text": "hi"}]}]} | more
    ledger: Any = _Ledger(book or all_priced(prices_from[0] if prices_from else provider))
    providers: Any = {provider: _Provider(provider, wire, answer, prices_from)}
    clock: Any = _Clock(tick_us)
    world = World(
        ledger, clock, HASHER, READERS, providers, Offers(ledger, providers, routed, _Sizes(), RULES.served),
        RULES, "test", Drains(1), hold_ttl_us=10**9, census=Census(), refused=RefusedCalls(), pricing=pricing,
    )  # fmt: skip
    endpoint = routes.find(path.replace(":generate", ":streamGenerate") if stream else path)
    client: Any = _Client(json.dumps(asked).encode())
    assert endpoint is not None
    asyncio.run(serve(client, endpoint, world))
    assert ledger.events, client.refusal
    return Event(*ledger.events[0])


def whole(api: str, usage: object, **fields: Any) -> bytes:
    """Return a whole answer of `api` with this usage object."""
    if api == "gemini.generate":
        body = {"modelVersion": "m-1", "candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}
    elif api == "openai.chat":
        body = {"model": "m-1", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": usage}
    else:
        body = {"model": "m-1", "usage": usage}
    return json.dumps({**body, **fields}).encode()


def streamed(api: str, usage: Any, **fields: Any) -> bytes:
    """Return a streamed answer of `api` that ends with this usage object."""
    match api:
        case "openai.chat":
            said = [{"model": "m-1", "choices": [{"delta": {"content": "hi"}}]}]
            said.append({"model": "m-1", "choices": [], "usage": usage, **fields})
        case "openai.responses":
            said = [{"type": "response.completed", "response": {"model": "m-1", "usage": usage, **fields}}]
        case "anthropic.messages":
            told = {key: value for key, value in usage.items() if not key.startswith("output")}
            said = [
                {"type": "message_start", "message": {"model": "m-1", "usage": told}},
                {"type": "message_delta", "usage": usage},
                {"type": "message_stop"},
            ]
        case _:
            said = [json.loads(whole(api, usage, **fields))]
    return events(said) + (b"data: [DONE]\n\n" if api == "openai.chat" else b"")


def events(said: Iterable[object]) -> bytes:
    """Return a stream of events."""
    return b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in said)
