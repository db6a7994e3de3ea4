"""Thousands of cheap calls against providers that count more than we do, when a small budget is nearly used up.

There the byte bound does not fit any more, and what is held is what we count: the attacker sends the texts that we
count far lower than the provider does.
"""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.attack.test_attack import SEED, chat, wait_for_the_drained
from tests.conftest import DEEP, STORES, MakeDatabase, deep, with_prices
from tests.crash.client import Answer, Connection
from tests.crash.house import House
from tests.e2e.conftest import Process
from tests.factories import own

from pertoken.core.money import parse_amount
from pertoken.store.archive import Archive

MODEL = "gpt-4o-mini"
WORKERS = 2
CONNECTIONS = 8
IS_FULL = os.environ.get("ATTACK") == "full"
CALLS, LIMIT = (3_000, "0.02") if IS_FULL else (600, "0.006")
USED_MIN = 0.9  # of the limit: what is held for a doubted model is its bytes, and the last of these calls do not fit
TOKENS_MAX = 16


class Shot(NamedTuple):
    """One call of the attack."""

    marker: str
    sent_s: float
    ended_s: float
    answer: Answer | None


def prose(dice: random.Random) -> str:
    """Return what people write: four to six bytes a token."""
    return " ".join(dice.choice(("amber", "cedar", "delta", "in", "of", "the")) for _ in range(dice.randint(20, 300)))


def runs(dice: random.Random) -> str:
    """Return runs that we count as a token for each 64 letters, between words."""
    return prose(dice)[:200] + dice.choice("=-*") * dice.randint(500, 2_000)


def dense(dice: random.Random) -> str:
    """Return what nobody writes: two or three tokens a letter."""
    return "".join(chr(dice.randint(0xE000, 0xF8FF)) for _ in range(dice.randint(30, 200)))


PROVIDERS = {
    "a quarter of the bytes": ({"x-sim-byte-percent": "25"}, (prose, runs)),
    "2.5 times our tokens": ({"x-sim-count-percent": "250"}, (prose, runs, dense)),
    "as we do": ({}, (prose, runs, dense)),
}

PAIRS = [(store, provider) for store in STORES for provider in PROVIDERS]
if not (DEEP or IS_FULL):  # each provider, and on both stores the one that counts worst
    PAIRS = [
        ("sqlite", "a quarter of the bytes"),
        ("sqlite", "as we do"),
        *((one, "2.5 times our tokens") for one in STORES),
    ]


async def attack(url: str, secret: str, provider: str) -> list[Shot]:
    """Make every call, and return them."""
    more, texts = PROVIDERS[provider]
    shots: list[Shot] = []
    left = iter(range(CALLS))

    async def connection(number: int) -> None:
        dice = random.Random(f"{SEED}/{number}")
        client = Connection(url)
        for place in left:
            marker = f"shot-{place}"
            path, own, body = chat(secret, dice.choice(texts)(dice), dice.random() < 0.3, TOKENS_MAX, MODEL)
            headers = {"x-pertoken-conversation": marker, "x-sim-output-tokens": str(TOKENS_MAX), **more, **own}
            sent_s = time.monotonic()
            answer = await client.post(path, headers, body)
            shots.append(Shot(marker, sent_s, time.monotonic(), answer))
        client.close()

    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(connection(number))
    return shots


@deep
@pytest.mark.parametrize(("store", "provider"), PAIRS)
def test_an_attack_with_texts_that_are_counted_low(
    make_database: MakeDatabase, simulator: Process, tmp_path: Path, store: str, provider: str
) -> None:
    """Once a client has been told of a call that overran, no call that is sent later overruns, in any worker.

    What is spent beyond the limit is no more than those first overruns. A provider that counts as we do never overruns.
    """
    house = House(make_database(store, tmp_path, with_prices), tmp_path, simulator.url, WORKERS)
    house.prepare()
    key_id, secret = house.new_key("attacker")
    house.set_budget("small", LIMIT, key_id)
    try:
        assert house.start(), house.said()
        shots = asyncio.run(attack(house.url, secret, provider))
        wait_for_the_drained(house)
        verified = house.run("verify")
    finally:
        house.stop()

    with house.read() as connection:
        doubts = Archive(connection).doubts()
    facts = {marker: event for marker, [event] in house.facts().items()}
    overrun = [shot for shot in shots if shot.marker in facts and own(facts[shot.marker]).overrun_picos]
    beyond_picos = sum(own(facts[shot.marker]).overrun_picos for shot in overrun)
    spent_picos = sum(event.cost_picos for event in facts.values())
    limit_picos = parse_amount(LIMIT)
    print(  # noqa: T201 - the full attack is read by a person
        f"\n{store}, a provider that counts {provider}, {CALLS} calls, seed {SEED}: "
        f"{len(facts)} served, {spent_picos / limit_picos:.3%} of {LIMIT} USD spent, {len(overrun)} overran "
        f"by {beyond_picos / limit_picos:.3%} in all; {[(one.model, one.trust) for one in doubts]}"
    )
    told_s = min((shot.ended_s for shot in overrun), default=0.0)
    assert [shot for shot in overrun if shot.sent_s > told_s] == []
    assert spent_picos <= limit_picos + beyond_picos
    assert spent_picos >= USED_MIN * limit_picos
    assert verified.returncode == 0, verified.stdout
    assert [(one.provider, one.model) for one in doubts] == ([("openai", MODEL)] if overrun else [])
    assert bool(overrun) == (provider != "as we do")
