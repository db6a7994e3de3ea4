"""The outside world: clients that hang up and ask again, and the simulator as a provider, without any socket."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any

from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.headers import HeaderList
from pertoken.ports.provider import ProviderFailed
from pertoken.simulator.app import TRANSPORT, Simulator

FIRST_BYTE_S = 20.0
IDLE_S = 10.0
ABSURD = b"x-sim-absurd"  # passes through as well: the provider says that it used a thousand million times as much
TOKENS = re.compile(rb'("[A-Za-z_]*[tT]oken[A-Za-z_]*": ?[1-9][0-9]*)(?=[,}])')
MARK = b"x-sim-call"  # passes through the gateway: says to the provider which call this is


class Answer:
    """One answer of the simulator, piece by piece."""

    def __init__(
        self, pieces: "asyncio.Queue[dict[str, Any] | None]", head: dict[str, Any], task: Any, noughts: bytes
    ) -> None:
        self._pieces = pieces
        self._task = task
        self._noughts = noughts
        self.status: int = head["status"]
        self.headers: HeaderList = head["headers"]
        self._given_up = False

    def abandon(self) -> None:
        """Give up."""
        self._given_up = True
        self._task.cancel()
        self._pieces.put_nowait(None)

    async def read(self) -> bytes:
        """Return the whole body."""
        taken: list[bytes] = []

        def take(piece: bytes) -> bool:
            taken.append(piece)
            return False

        async def never() -> None:
            raise AssertionError("a whole answer has room")

        await self.pour(take, never)
        return b"".join(taken)

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give each piece to the sink."""
        try:
            while True:
                try:
                    message = await asyncio.wait_for(self._pieces.get(), IDLE_S)
                except TimeoutError:
                    raise ProviderFailed("sent nothing for too long", kind=ErrorKind.TIMED_OUT, may_bill=True) from None
                if message is None or self._given_up:
                    raise ProviderFailed("the connection was closed before the answer was complete")
                if sink(TOKENS.sub(rb"\g<1>" + self._noughts, message.get("body", b""))):
                    await room()
                if not message.get("more_body"):
                    return
        finally:
            self._task.cancel()


class _Connection:
    """What a fault of the simulator closes."""

    def __init__(self, pieces: "asyncio.Queue[dict[str, Any] | None]") -> None:
        self._pieces = pieces

    def close(self) -> None:
        """End it."""
        self._pieces.put_nowait(None)


class Provider:
    """The simulator behind the port. It knows each call by its mark, and counts under that what it served."""

    asks_for_usage = True
    prices_from = ()
    output_cap = "max_tokens"
    missing_key = None

    def __init__(self, name: str, wire: str, prefix: str, app: Simulator, *, cuts: bool) -> None:
        self.name = name
        self.wire = wire
        self.cuts_on_hangup = cuts
        self._prefix = prefix
        self._app = app

    async def send(self, path: str, headers: HeaderList, body: bytes, _model: str) -> Answer:
        """Send a call and wait for the head of its answer."""
        mark = dict(headers)[MARK]
        target, _, query = path.partition("?")
        pieces: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        scope = {
            "type": "http", "method": "POST", "path": self._prefix + target, "query_string": query.encode(),
            "headers": [*headers, (b"authorization", b"Bearer " + mark)], TRANSPORT: _Connection(pieces),
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            pieces.put_nowait(dict(message))
            await asyncio.sleep(0)

        task = asyncio.ensure_future(self._app(scope, receive, send))
        try:
            head = await asyncio.wait_for(pieces.get(), FIRST_BYTE_S)
        except TimeoutError:
            task.cancel()
            raise ProviderFailed("no answer in time", kind=ErrorKind.TIMED_OUT, may_bill=True) from None
        except asyncio.CancelledError:
            task.cancel()
            raise
        if head is None:
            raise ProviderFailed("the connection was closed before an answer")
        return Answer(pieces, head, task, b"0" * 9 if ABSURD in dict(headers) else b"")


class Client:
    """One call's exchange. It may hang up, and may be slow to read."""

    query = b"alt=sse"
    heavy = None

    def __init__(self, headers: HeaderList, body: bytes, chance: random.Random, *, slow: bool) -> None:
        self.headers = tuple(headers)
        self.body = body
        self._chance = chance
        self._slow = slow
        self._told: Callable[[], None] | None = None
        self.gone = False
        self.status: int | None = None
        self.answered: dict[bytes, bytes] = {}
        self.received = b""
        self.complete = False  # the end of the answer came

    def when_gone(self, do: Callable[[], None]) -> None:
        """Remember whom to tell."""
        self._told = do
        if self.gone:
            do()

    def hang_up(self) -> None:
        """Leave, unless it is over."""
        if not self.complete and not self.gone:
            self.gone = True
            if self._told is not None:
                self._told()

    def start(self, status: int, headers: HeaderList) -> None:
        """Take the head."""
        self.status, self.answered = status, dict(headers)

    def write(self, chunk: bytes) -> bool:
        """Take a piece."""
        self.received += chunk
        return self._slow

    async def drain(self) -> None:
        """Take one's time."""
        await asyncio.sleep(self._chance.uniform(0, 0.2) if self._slow else 0)

    def finish(self, chunk: bytes = b"") -> None:
        """Take the end."""
        self.received += chunk
        self.complete = not self.gone

    def answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Take a whole answer."""
        self.status, self.answered, self.received = status, dict(headers), body
        self.complete = not self.gone
