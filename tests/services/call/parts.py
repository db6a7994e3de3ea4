"""What a call's steps work on: a client, a provider and its answers, books that decide, and a world of these."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.factories import WHO, hold
from tests.services.stand_in import HASHER, PATHS, READERS, RULES, SECRET, all_priced, whole

from pertoken.core.admission import Bound
from pertoken.core.bounds import Limits
from pertoken.core.budgets import Attribution, Axis, Budget
from pertoken.core.census import Census
from pertoken.core.claims import Claim
from pertoken.core.commands import Command, RecordResult, Result, Stale
from pertoken.core.directory import Directory, Key
from pertoken.core.events import Event
from pertoken.core.ledger import Books
from pertoken.core.periods import Window
from pertoken.core.refusals import RefusedCalls
from pertoken.core.trust import Trusts
from pertoken.core.usage import Completeness, Reading
from pertoken.ports.headers import AnswerHeaders, HeaderList
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import ProviderFailed
from pertoken.ports.readers import Readers
from pertoken.services.call.call import Call, Holding, Relayed, Sent
from pertoken.services.call.heavy import Heavy
from pertoken.services.call.identify import Caller, Shown
from pertoken.services.call.request import Request
from pertoken.services.offers import AskedFor, ModelRoute, Offer, Offers
from pertoken.services.serve import serve
from pertoken.services.world import Drains, World
from pertoken.wire import routes
from pertoken.wire.routes import Endpoint

NOW_US = 1_790_000_000_000_000
CENT = 10**10
KEY = Key("key_1", "test", HASHER.hash(SECRET), "hint", team="growth")
SHOWN: HeaderList = ((b"authorization", b"Bearer " + SECRET),)
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ANSWERED = whole("openai.chat", USAGE)
TEXT = b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
LAST = b'data: {"id":"c","model":"m-1","choices":[],"usage":%s}\n\n' % json.dumps(USAGE).encode()
DONE = b"data: [DONE]\n\n"
STREAMED = (TEXT, LAST, DONE)


def body_of(model: str = "m-1", **fields: Any) -> bytes:
    """Return a chat completion of two letters."""
    asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(asked | fields).encode()


class Client:
    """Keeps what it is answered, and hangs up when it is told to."""

    def __init__(self, body: bytes = b"", headers: HeaderList = (), query: bytes = b"") -> None:
        self.body = body
        self.headers = SHOWN + headers
        self.query = query
        self.heavy: Heavy | None = None
        self.gone = False
        self.status = 0
        self.told: dict[bytes, bytes] = {}
        self.got = b""
        self.is_finished = False
        self._when_gone: Callable[[], None] | None = None

    def when_gone(self, do: Callable[[], None]) -> None:
        """Remember whom to tell."""
        self._when_gone = do

    def hang_up(self) -> None:
        """Leave."""
        self.gone = True
        if self._when_gone is not None:
            self._when_gone()

    def start(self, status: int, headers: AnswerHeaders) -> None:
        """Take the head of a stream."""
        self.status, self.told = status, dict(headers)

    def write(self, chunk: bytes) -> bool:
        """Take a piece at once."""
        assert not self.is_finished
        self.got += chunk
        return False

    async def drain(self) -> None:
        """Be never behind."""

    def finish(self, chunk: bytes = b"") -> None:
        """Take the end of a stream."""
        assert not self.is_finished
        self.got += chunk
        self.is_finished = True

    def answer(self, status: int, headers: AnswerHeaders, body: bytes) -> None:
        """Take a whole answer."""
        self.start(status, headers)
        self.finish(body)

    @property
    def error(self) -> str:
        """What it was refused with."""
        return str(json.loads(self.got)["error"]["message"])


class Answered:
    """A provider's answer, piece by piece; what is called in its turn is no piece."""

    def __init__(self, *pieces: bytes | Callable[[], None], status: int = 200, headers: AnswerHeaders = ()) -> None:
        self.pieces = pieces
        self.status = status
        self.headers = headers
        self.is_abandoned = False

    async def read(self) -> bytes:
        """Return all of it."""
        return b"".join(self._next())

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give each piece to the sink."""
        for piece in self._next():
            if sink(piece):
                await room()

    def abandon(self) -> None:
        """Give up."""
        self.is_abandoned = True

    def _next(self) -> Iterator[bytes]:
        for one in self.pieces:
            if isinstance(one, bytes):
                yield one
            else:
                one()
            if self.is_abandoned:
                raise ProviderFailed("the answer was given up before it was complete")


def breaks_off() -> None:
    """Fail in the middle of an answer."""
    raise ProviderFailed("the provider closed the connection")


class Provider:
    """Gives its answers in turn, the last one again and again, and keeps what it was sent."""

    asks_for_usage = True
    missing_key = None
    output_cap = "max_tokens"
    prices_from: Sequence[str] = ()

    def __init__(
        self, *answers: Answered | ProviderFailed, name: str = "openai", wire: str = "openai", cuts: bool = False
    ) -> None:
        self.answers = list(answers) or [Answered(ANSWERED)]
        self.name = name
        self.wire = wire
        self.cuts_on_hangup = cuts
        self.sent: list[tuple[str, HeaderList, bytes, str]] = []

    async def send(self, path: str, headers: HeaderList, body: bytes, model: str) -> Answered:
        """Answer, or fail."""
        self.sent.append((path, headers, body, model))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ProviderFailed):
            raise answer
        return answer


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.us = NOW_US
        self._calls = 0

    def now_us(self) -> int:
        """Return the time."""
        return self.us

    def random_bits(self, _: int) -> int:
        """Return others each time."""
        self._calls += 1
        return self._calls


class Ledger:
    """Books in memory, which decide as those on disk do. `fails_at` names the command at which the store fails."""

    on_credit = False
    failure = None
    cannot_settle = None

    def __init__(self, *budgets: Budget, provider: str = "openai", trusts: Trusts | None = None) -> None:
        self.prices = all_priced(provider)
        self.directory = Directory(1, [KEY], budgets, trusts)
        self.books = Books(self.directory.budgets, 1)
        self.commands: list[Command] = []
        self.fails_at: type[Command] | None = None
        self.stale = 0  # times that the directory changes before a hold

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Return the future of a command that is decided at once."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.commands.append(command)
        if self.fails_at is not None and isinstance(command, self.fails_at):
            done.set_exception(StoreUnavailable("the disk is full"))
        elif self.stale and type(command).__name__ == "OpenHold":
            self.stale -= 1
            done.set_result(Stale())
        else:
            done.set_result(self.books.apply(command))
        return done

    def record_all(self, events: Sequence[Event]) -> "asyncio.Future[list[RecordResult]]":
        """Nothing of a call comes in lists."""
        raise NotImplementedError(events)

    @property
    def events(self) -> list[Event]:
        """What is posted."""
        return self.books.new_events

    def counted(self) -> list[tuple[int, int]]:
        """Return what each counter that was touched holds, and what it has spent."""
        return [(counter.held, counter.spent) for counter in self.books.counters.values()]

    def done(self) -> list[str]:
        """Return the names of the commands in their order."""
        return [type(command).__name__ for command in self.commands]


class _Sizes:
    """Knows no model's size."""

    def find(self, provider: str, model: str) -> Limits:  # noqa: ARG002 - a port
        """Return nothing."""
        return Limits()


def budget(limit: int = CENT, **fields: Any) -> Budget:
    """Return a budget of so much money, in all."""
    return Budget("b_1", "all", Axis.MONEY, limit, Window.TOTAL)._replace(**fields)


def world_of(
    provider: Provider | None = None,
    ledger: Ledger | None = None,
    readers: Readers = READERS,
    routed: Mapping[str, ModelRoute] = {},
    **more: Any,
) -> World:
    """Return a world in which everything has a price."""
    one, books = provider or Provider(), ledger or Ledger()
    providers = {one.name: one}
    offers = Offers(books, providers, routed, _Sizes(), RULES.served)
    return World(
        books, Clock(), HASHER, readers, providers, offers, RULES, "test", Drains(1), hold_ttl_us=10**9,
        census=Census(), refused=RefusedCalls(), **more,
    )  # fmt: skip


def endpoint_of(api: str = "openai.chat") -> Endpoint:
    """Return where an API is asked."""
    found = routes.find(PATHS.get(api, ("", api))[1])
    assert found is not None
    return found


def call_of(client: Client | None = None, api: str = "openai.chat", call_id: str = "call_1") -> Call:
    """Return a call that begins; who calls is known."""
    asker = client or Client(body_of())
    call = Call(asker, endpoint_of(api), call_id, NOW_US)
    call.caller = Caller(KEY, Shown(SECRET, dict(asker.headers)))
    return call


def request_of(body: bytes | None = None, **fields: Any) -> Request:
    """Return a request for m-1 that is understood; `fields` are of its facts."""
    sent = body_of() if body is None else body
    endpoint = endpoint_of()
    offer = world_of().offers.find("m-1", "openai", NOW_US, AskedFor())
    assert isinstance(offer, Offer)
    facts = endpoint.format.read_request(sent, None)._replace(**fields)
    return Request(endpoint, facts, sent, offer, attribution=WHO, opened_at_us=NOW_US, asked_model=facts.model)


def holding_of(claim: Claim | None = None, of: Attribution = WHO, **fields: Any) -> Holding:
    """Return a hold for a hundred tokens each way."""
    bound = Bound({"input_tokens": 100, "output_tokens": 100}, 100, counted=True)
    return Holding(hold("call_1", attribution=of, opened_at_us=NOW_US, **fields), bound, claim=claim)


def relayed_of(**quantities: int) -> Relayed:
    """Return a good answer that says what was used."""
    return Relayed(Reading(quantities, Completeness.FINAL), None, ANSWERED)


def held_call(client: Client | None = None, answer: Answered | None = None, request: Request | None = None) -> Call:
    """Return a call that is held for, sent and answered."""
    call = call_of(client)
    call.request = request or request_of(call.body)
    call.holding, call.changed = holding_of(of=call.request.attribution), None
    call.answer, call.sent = answer or Answered(ANSWERED), Sent(NOW_US, NOW_US, NOW_US, 1)
    return call


def served(client: Client, world: World, api: str = "openai.chat") -> Client:
    """Serve a call from its beginning to its end; return its client."""
    asyncio.run(serve(client, endpoint_of(api), world))
    assert client.is_finished
    return client
