"""Clients that call without end: every format, whole and streamed, with hang-ups, faults and refusals among it."""

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.crash.client import Answer, Connection

CLIENTS = 24
FAULTY = "gpt-4o"  # the model that the provider's faults are asked of: what they used is not what it bills
FAULTS = ("http_500", "http_429", "no_usage", "cut_midstream", "close_before_headers")
HANG_UPS = 0.04  # of the streams
FAULTY_CALLS, REFUSALS, NEW_CONNECTIONS = 0.03, 0.05, 0.02  # of all calls
WINDOW_S = 1.0


class Written(NamedTuple):
    """A call as it is sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Variety(NamedTuple):
    """How many different callers there are: each is remembered for a while, which a short run would take for growth."""

    customers: int
    conversations: int  # of each


FEW, MANY = Variety(4, 1), Variety(50, 20)


class Keys(NamedTuple):
    """The secrets that the clients use."""

    open: str  # with large budgets on everything
    narrow: str  # with a budget that is soon used up
    unknown: str = "sk-pt-that-nobody-made"


@dataclass
class Tally:
    """What the clients were told, in words and by model, and how long it took, by window of time."""

    told: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    hung_up: Counter[str] = field(default_factory=Counter)
    unexpected: list[object] = field(default_factory=list)
    windows: list[list[float]] = field(default_factory=list)  # of whole chat completions, in ms
    calls: int = 0


class Load:
    """So many clients, each with one connection, until they are told to stop."""

    def __init__(self, url: str, keys: Keys, seed: int, rate: float | None, variety: Variety) -> None:
        self._url = url
        self._keys = keys
        self._seed = seed
        self._variety = variety
        self._pause_s = 0 if rate is None else CLIENTS / rate
        self._began = 0.0
        self.stopping = False
        self.tally = Tally()

    async def run(self, name: str) -> None:
        """Run all clients, until `stopping`; `name` decides what they throw."""
        self.stopping = False
        self._began = self._began or time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._client(random.Random(f"{self._seed}/{name}/{number}")))

    async def alike(self, calls: int) -> None:
        """Make so many calls that are served, one after the other, the same each time."""
        dice = random.Random(self._seed)
        connection = Connection(self._url)
        for _ in range(calls):
            self.tally.calls += 1
            await self._good(connection, dice, may_hang_up=False)
        connection.close()

    async def _client(self, dice: random.Random) -> None:
        connection = Connection(self._url)
        while not self.stopping:
            self.tally.calls += 1
            if dice.random() < REFUSALS:
                await self._refused(connection, dice)
            elif dice.random() < FAULTY_CALLS:
                await self._faulty(connection, dice)
            else:
                await self._good(connection, dice)
            if dice.random() < NEW_CONNECTIONS:
                connection.close()
            if self._pause_s:
                await asyncio.sleep(dice.uniform(0, 2 * self._pause_s))
        connection.close()

    async def _good(self, connection: Connection, dice: random.Random, *, may_hang_up: bool = True) -> None:
        """Make a call that is served as it should be; hang up within some of the streams."""
        write = dice.choice(FORMATS)
        stream = write is not embeddings and dice.random() < 0.5
        written = write(self._keys.open, dice, stream)
        model = MODELS[write]
        hangs_up = stream and dice.random() < HANG_UPS and may_hang_up
        began = time.perf_counter()
        answer = await self._send(connection, written, dice, pieces_max=dice.randint(1, 2) if hangs_up else None)
        if write is chat and not stream:
            self._note((time.perf_counter() - began) * 1_000)
        if answer is not None and answer.status == 200 and answer.whole and b'"error":{' not in answer.body:
            self._told("acknowledged", self.tally.acknowledged, model)
        elif hangs_up and answer is not None and answer.status == 200:
            self._told("hung up", self.tally.hung_up, model)
        else:
            self.tally.unexpected.append((written, answer))

    async def _faulty(self, connection: Connection, dice: random.Random) -> None:
        """Make a call at which the provider fails in some way."""
        fault = dice.choice(FAULTS)
        written = chat(self._keys.open, dice, dice.random() < 0.5, FAULTY)
        answer = await self._send(connection, written, dice, {"x-sim-fault": fault})
        self.tally.told[f"{fault}: {None if answer is None else answer.status}"] += 1
        if answer is None:
            self.tally.unexpected.append((written, answer))

    async def _refused(self, connection: Connection, dice: random.Random) -> None:
        """Ask for something that is refused."""
        why = dice.choice(("unknown key", "used up", "no such model", "no json"))
        secret = {"unknown key": self._keys.unknown, "used up": self._keys.narrow}.get(why, self._keys.open)
        written = chat(secret, dice, dice.random() < 0.5, "no-such-model" if why == "no such model" else None)
        if why == "no json":
            written = written._replace(body={"model": 7})
        answer = await self._send(connection, written, dice)
        status = None if answer is None else answer.status
        self.tally.told[f"{why}: {status}"] += 1
        expected = {"unknown key": 401, "used up": 402, "no such model": 404, "no json": 400}[why]
        if status != expected:
            self.tally.unexpected.append((why, written, answer))

    async def _send(
        self,
        connection: Connection,
        written: Written,
        dice: random.Random,
        more: dict[str, str] | None = None,
        pieces_max: int | None = None,
    ) -> Answer | None:
        customer = dice.randrange(self._variety.customers)
        headers = {
            "x-pertoken-customer": f"customer-{customer}",
            "x-pertoken-conversation": f"conversation-{customer}-{dice.randrange(self._variety.conversations)}",
            "x-sim-output-tokens": str(dice.choice((1, 40))),
            "x-sim-latency-ms": str(dice.choice((0, 5))),
        }
        return await connection.post(
            written.path, headers | written.headers | (more or {}), written.body, pieces_max=pieces_max
        )

    def _told(self, word: str, by_model: Counter[str], model: str) -> None:
        self.tally.told[word] += 1
        by_model[model] += 1

    def _note(self, took_ms: float) -> None:
        window = int((time.monotonic() - self._began) / WINDOW_S)
        windows = self.tally.windows
        windows.extend([] for _ in itertools.repeat(None, window + 1 - len(windows)))
        windows[window].append(took_ms)


def chat(secret: str, dice: random.Random, stream: bool, model: str | None = None) -> Written:
    """Return a chat completion."""
    body: dict[str, Any] = {"model": model or MODELS[chat], "max_tokens": 100, "messages": words(dice)}
    if stream:
        body["stream"] = True
    return Written("/v1/chat/completions", {"authorization": f"Bearer {secret}"}, body)


def responses(secret: str, dice: random.Random, stream: bool) -> Written:
    """Return a response."""
    body = {"model": MODELS[responses], "max_output_tokens": 100, "input": text(dice), "stream": stream}
    return Written("/v1/responses", {"authorization": f"Bearer {secret}"}, body)


def embeddings(secret: str, dice: random.Random, _stream: bool) -> Written:
    """Return a request for embeddings."""
    body = {"model": MODELS[embeddings], "input": [text(dice), text(dice)]}
    return Written("/v1/embeddings", {"authorization": f"Bearer {secret}"}, body)


def messages(secret: str, dice: random.Random, stream: bool) -> Written:
    """Return a message of Anthropic's."""
    body = {"model": MODELS[messages], "max_tokens": 100, "messages": words(dice), "stream": stream}
    return Written("/v1/messages", {"x-api-key": secret, "anthropic-version": "2023-06-01"}, body)


def gemini(secret: str, dice: random.Random, stream: bool) -> Written:
    """Return a content of Gemini's."""
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    body = {
        "contents": [{"role": "user", "parts": [{"text": text(dice)}]}],
        "generationConfig": {"maxOutputTokens": 100},
    }
    return Written(f"/v1beta/models/{MODELS[gemini]}:{verb}", {"x-goog-api-key": secret}, body)


def words(dice: random.Random) -> list[dict[str, str]]:
    """Return the messages of a chat."""
    return [{"role": "user", "content": text(dice)}]


def text(dice: random.Random) -> str:
    """Return a prompt, no two alike."""
    return f"tell me about the number {dice.getrandbits(48)}" + " please" * dice.randint(0, 60)


FORMATS = (chat, responses, embeddings, messages, gemini)
MODELS: dict[Any, str] = {
    chat: "gpt-4o-mini",
    responses: "gpt-4.1",
    embeddings: "text-embedding-3-small",
    messages: "claude-haiku-4-5",
    gemini: "gemini-2.5-flash",
}
