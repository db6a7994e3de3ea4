"""Hundreds of connections at once against one budget: never a pico above it, and nearly all of it is used.

Where calls may not wait for what others hold, the burst leaves a part, and later demand spends it; where they may, the
burst itself spends nearly all.
"""

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.conftest import MakeDatabase, with_prices
from tests.crash.client import Answer, Connection
from tests.crash.house import PATIENCE_S, House
from tests.crash.sampler import Sampler
from tests.e2e.conftest import Process

from pertoken.core.events import Event
from pertoken.core.money import parse_amount

SEED = int(os.environ.get("ATTACK_SEED") or random.SystemRandom().randrange(10**6))
WORKERS = 2
USED_MIN = 0.97  # of the limit, when more is asked for than it allows
REQUESTS_MAX = 50  # a minute
WAIT_MS = 25_000  # how long a call may wait for what others hold, where it may: longer than any of these calls runs
REFUSED_IN_A_ROW = 30  # then the money is as used up as these calls can use it
MINUTE_US = 60_000_000
FAULTS = ("http_500", "http_429", "cut_midstream", "close_before_headers", "no_usage", "slow_first_byte")
LIMITS = {
    "PERTOKEN_LIMITS__HOLD_S": "120",
    "PERTOKEN_LIMITS__TOTAL_MS": "60000",
    "PERTOKEN_LIMITS__FIRST_BYTE_MS": "30000",
    "PERTOKEN_LIMITS__IDLE_MS": "30000",
}


class Size(NamedTuple):
    """How large an attack is."""

    calls: int
    connections: int
    limit: str


SIZE = Size(5_000, 500, "1") if os.environ.get("ATTACK") == "full" else Size(1_000, 100, "0.1")


@dataclass
class Shot:
    """One call of the attack."""

    marker: str
    limited: bool  # with the key that has a limit on requests
    hangs_up: bool
    answer: Answer | None = None

    @property
    def is_refused(self) -> bool:
        """Whether a budget refused it: a provider's own 429 lacks the header, its failures have another status."""
        answer = self.answer
        return answer is not None and answer.status in (402, 429) and "x-pertoken-refused" in answer.headers

    @property
    def told(self) -> str:
        """What became of it, in a word."""
        if self.answer is None:
            return "no answer"
        if self.hangs_up:
            return "hung up" if self.answer.status == 200 else str(self.answer.status)
        return str(self.answer.status) if self.answer.status != 200 or self.answer.whole else "torn"


class Attack:
    """So many connections that share so many calls."""

    def __init__(self, url: str, money: str, requests: str) -> None:
        self._url = url
        self._money, self._requests = money, requests
        self._left = iter(range(SIZE.calls))
        self.shots: list[Shot] = []

    async def run(self) -> None:
        """Make every call."""
        async with asyncio.TaskGroup() as group:
            for number in range(SIZE.connections):
                group.create_task(self._connection(number))

    async def go_on(self) -> None:
        """Call on, one after the other, until neither budget has room for what this demand is made of.

        What a failed call gives back comes too late for those that the burst sent meanwhile: this demand takes it.
        """
        dice = random.Random(f"{SEED}/more")
        connection = Connection(self._url)
        for limited, refused_max in ((False, REFUSED_IN_A_ROW), (True, 1)):
            refused = 0
            while refused < refused_max:
                shot = Shot(f"shot-{len(self.shots)}", limited=limited, hangs_up=False)
                self.shots.append(shot)
                await self._fire(connection, shot, dice)
                refused = refused + 1 if shot.is_refused else 0
        connection.close()

    async def _connection(self, number: int) -> None:
        dice = random.Random(f"{SEED}/{number}")
        connection = Connection(self._url)
        for place in self._left:
            shot = Shot(f"shot-{place}", limited=dice.random() < 0.2, hangs_up=dice.random() < 0.05)
            self.shots.append(shot)
            await self._fire(connection, shot, dice)
        connection.close()

    async def _fire(self, connection: Connection, shot: Shot, dice: random.Random) -> None:
        secret = self._requests if shot.limited else self._money
        headers = {
            "x-pertoken-conversation": shot.marker,
            "x-sim-latency-ms": str(dice.choice((0, 5, 50, 200))),
            "x-sim-output-tokens": str(dice.randint(5, 300)),
        }
        if dice.random() < 0.15:
            headers["x-sim-fault"] = dice.choice(FAULTS)
        stream = shot.hangs_up or dice.random() < 0.5
        cap = dice.choice((20, 100, 300, None))
        path, own, body = dice.choice((chat, chat, chat_small, messages, gemini))(secret, shot.marker, stream, cap)
        pieces_max = dice.randint(1, 3) if shot.hangs_up else None
        shot.answer = await connection.post(path, headers | own, body, pieces_max=pieces_max)


Written = tuple[str, dict[str, str], dict[str, Any]]


def chat(secret: str, text: str, stream: bool, cap: int | None, model: str = "gpt-4o") -> Written:
    """Return path, headers and body of a chat completion."""
    body: dict[str, Any] = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    if cap is not None:
        body["max_tokens"] = cap
    return "/v1/chat/completions", {"authorization": f"Bearer {secret}"}, body


def chat_small(secret: str, text: str, stream: bool, cap: int | None) -> Written:
    """Return the same for a cheap model."""
    return chat(secret, text, stream, cap, "gpt-4o-mini")


def messages(secret: str, text: str, stream: bool, cap: int | None) -> Written:
    """Return path, headers and body of a message of Anthropic's."""
    body = {"model": "claude-haiku-4-5", "max_tokens": cap or 1_000, "stream": stream}
    headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
    return "/v1/messages", headers, {**body, "messages": [{"role": "user", "content": text}]}


def gemini(secret: str, text: str, stream: bool, cap: int | None) -> Written:
    """Return path, headers and body of a content of Gemini's."""
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    if cap is not None:
        body["generationConfig"] = {"maxOutputTokens": cap}
    return f"/v1beta/models/gemini-2.5-flash:{verb}", {"x-goog-api-key": secret}, body


@pytest.mark.parametrize(
    ("store", "wait_ms"),
    [("sqlite", 0), ("postgresql", 0), ("sqlite", WAIT_MS)],  # who waits, waits in the gateway, on either store
    ids=["sqlite-no wait", "postgresql-no wait", "sqlite-waits"],
)
def test_an_attack_on_a_budget(
    make_database: MakeDatabase, simulator: Process, store: str, tmp_path: Path, wait_ms: int
) -> None:
    """Spent and held never exceed the limit at any sampled instant, and in the end 97 % of it are used.

    Where calls may wait, the burst alone uses them. Beside it, a key with fifty requests a minute gets just fifty.
    """
    limits = {**LIMITS, "PERTOKEN_LIMITS__QUEUE_MS": str(wait_ms)}
    house = House(make_database(store, tmp_path, with_prices), tmp_path, simulator.url, WORKERS, **limits)
    house.prepare()
    money_id, money = house.new_key("money")
    requests_id, requests = house.new_key("requests")
    house.set_budget("money", SIZE.limit, money_id)
    house.set_budget("requests", str(REQUESTS_MAX), requests_id, axis="requests", window="minute", steps="refuse")
    sampler = Sampler(house, money_id, "money")
    try:
        assert house.start(), house.said()
        attack = Attack(house.url, money, requests)
        began = time.monotonic()
        with sampler.running():
            asyncio.run(attack.run())
            took_s = time.monotonic() - began
            wait_for_the_drained(house)
            made, after = len(attack.shots), sampler.look()
            asyncio.run(attack.go_on())
        verified = house.run("verify")
    finally:
        house.stop()

    facts = house.facts()
    limit_picos = parse_amount(SIZE.limit)
    most_picos = sampler.check(limit_picos)
    last = sampler.samples[-1]
    minutes = Counter(
        event.opened_at_us // MINUTE_US
        for events in facts.values()
        for event in events
        if event.attribution.key == requests_id
    )
    told = Counter((("limited " if shot.limited else "") + shot.told) for shot in attack.shots)
    print(  # noqa: T201 - the full attack is read by a person
        f"\n{store}, {made} calls, {SIZE.connections} connections, {WORKERS} workers, "
        f"waiting up to {wait_ms} ms, seed {SEED}, {took_s:.1f} s: "
        f"{after.spent / limit_picos:.3%} of {SIZE.limit} USD spent; {len(attack.shots) - made} calls later "
        f"{last.spent / limit_picos:.3%} spent, {last.held} held; {len(sampler.samples)} samples, at most "
        f"{most_picos / limit_picos:.3%} spent and held; requests admitted a minute: {sorted(minutes.values())}; "
        f"verify: {verified.stdout.strip().splitlines()[-1]}; answers: {dict(sorted(told.items()))}"
    )
    for shot in attack.shots:
        check(shot, facts.get(shot.marker, []))
    assert verified.returncode == 0, verified.stdout
    assert last.held == 0
    assert (after if wait_ms else last).spent >= USED_MIN * limit_picos
    assert max(minutes.values()) == REQUESTS_MAX


def check(shot: Shot, events: list[Event]) -> None:
    """Assert that the books say what the client was told."""
    assert len(events) <= 1, shot
    if shot.answer is None or not shot.answer.whole:
        return
    if shot.answer.is_acknowledged:
        [event] = events
        assert event.event_id == shot.answer.headers["x-pertoken-call-id"]
        cost = shot.answer.headers.get("x-pertoken-cost")
        assert cost is None or Decimal(cost).scaleb(12) == event.cost_picos
    elif shot.is_refused:
        assert not events, shot


def wait_for_the_drained(house: House) -> None:
    """Wait until the calls whose clients hung up are settled as well."""
    deadline = time.monotonic() + PATIENCE_S
    while house.open_holds():
        assert time.monotonic() < deadline, house.open_holds()
        time.sleep(0.2)
