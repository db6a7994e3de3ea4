"""A gateway that is killed again and again, anywhere: what it acknowledged it has, once; nothing is charged twice."""

import asyncio
import os
import random
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conftest import DEEP, deep
from tests.crash import gateway
from tests.crash.client import Connection
from tests.crash.house import HOLD_S, House, Killer, fetch
from tests.crash.load import Call, Load
from tests.crash.sampler import Sampler

from pertoken.core.events import Event, OfCall
from pertoken.core.money import parse_amount

KILLS = int(os.environ.get("CRASH_KILLS", "24"))
SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
STRIDE = 20 if DEEP or "CRASH_KILLS" in os.environ else 60  # one of so many statements is the last
CLIENTS = 12
TIGHT_A_KILL_USD = Decimal("0.001")  # less than the load wants between two kills: the limit is reached


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again(priced_url: str, tmp_path: Path, counting_url: str, workers: int) -> None:
    """Acknowledged means once, at the cost that the client was told; not acknowledged means once or not at all."""
    kills = KILLS // 4  # on two kinds of store, with one worker and with two
    house = House(priced_url, tmp_path, counting_url, workers)
    house.prepare()
    _, wide = house.new_key("wide")
    tight_id, tight = house.new_key("tight")
    limit = str(TIGHT_A_KILL_USD * kills)
    house.set_budget("tight", limit, tight_id)
    killer = Killer(house, random.Random(SEED))
    sampler = Sampler(house, tight_id, "tight")
    began = time.monotonic()
    assert house.start(), house.said()
    load = Load(house.url, [wide, wide, tight], SEED)
    try:
        with sampler.running():
            asyncio.run(attack(load, killer, kills, random.Random(SEED + 1)))
        house.wait_for_expiry()
        verified = house.run("verify")
    finally:
        house.stop()
    took_s = time.monotonic() - began

    facts = house.facts()
    told = Counter(check(call, facts.get(call.marker, [])) for call in load.calls)
    check_invoice(counting_url, load.calls, facts)
    limit_picos = parse_amount(limit)
    most_picos = sampler.check(limit_picos)
    assert verified.returncode == 0, verified.stdout
    assert told["acknowledged"] > kills, told
    print(  # noqa: T201 - the long run is read by a person
        f"\n{sum(killer.done.values())} kills, {priced_url.partition(':')[0]}, {workers} worker(s), seed {SEED}, "
        f"{took_s:.0f} s: "
        f"{len(load.calls)} calls {dict(told)}, {sum(map(len, facts.values()))} events, "
        f"{sum(call.named for call in load.calls)} named, {len(sampler.samples)} samples, "
        f"at most {most_picos / limit_picos:.1%} of the limit; "
        f"verify: {verified.stdout.strip().splitlines()[-1]}; points: {dict(sorted(killer.done.items()))}"
    )


async def attack(load: Load, killer: Killer, kills: int, dice: random.Random) -> None:
    """Kill so many times while the clients call, then let them finish."""

    async def strike() -> None:
        try:
            for _ in range(kills):
                await asyncio.sleep(dice.uniform(0.05, 0.6))
                await asyncio.to_thread(killer.strike)
            await asyncio.sleep(0.5)
        finally:
            load.stopping = True

    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(CLIENTS))
        group.create_task(strike())


def check(call: Call, events: list[Event], hold_s: int = HOLD_S) -> str:
    """Assert that the books say what the client was told; return what that was, in a word.

    A named call runs once, and again only if its answer was cut, or its hold expired while no gateway could be reached.
    """
    cut = [one for one in events if isinstance(one.of, OfCall) and one.of.error is not None]
    runs_max = 1 + int(call.took_s / hold_s) if call.named else 1
    assert len(events) - len(cut) <= runs_max, (call, events)
    assert len(events) <= call.attempts, (call, events)
    assert len({event.event_id for event in events}) == len(events), call
    if call.acknowledged is not None:
        [event] = [one for one in events if one.event_id == call.acknowledged.headers["x-pertoken-call-id"]]
        assert event not in cut, call
        assert call.cost_picos in (None, event.cost_picos)
        assert call.stream or call.cost_picos is not None
        assert call.usage == (event.quantities["input_tokens"], event.quantities["output_tokens"])
        assert event.cost_picos > 0
        return "acknowledged"
    if call.is_refused:
        assert not events, call
        return "refused"
    return "unknown, recorded" if events else "unknown, not recorded"


def check_invoice(counting_url: str, calls: list[Call], facts: dict[str, list[Event]]) -> None:
    """Assert that the provider's own count covers the books, and exceeds them by what the kills lost at most."""
    served = fetch(f"{counting_url}/sim/ledger")
    recorded = sum(map(len, facts.values()))
    lost_at_most = sum(call.attempts - len(facts.get(call.marker, [])) for call in calls)
    assert recorded <= served["calls"] <= recorded + lost_at_most
    for name in ("input_tokens", "output_tokens"):
        ours = sum(event.quantities[name] for events in facts.values() for event in events)
        theirs = sum(row[name] for row in served["by"])
        assert ours <= theirs, name


@deep
def test_killed_while_the_database_is_made(database_url: str, tmp_path: Path, simulator_url: str) -> None:
    """Whatever statement of the migration or of the first prices is the last: the next start makes it whole."""
    house = House(database_url, tmp_path, simulator_url)
    deaths = 0
    while house.order.write_text(f"{gateway.STATEMENT} {1 + STRIDE * deaths}") and not house.start():
        assert not house.order.exists(), house.said()
        deaths += 1
    house.order.unlink()

    assert deaths >= 3
    assert house.stop() == 0
    assert house.run("verify").returncode == 0
    assert house.run("price", "show", "gpt-4o-mini").returncode == 0


def test_a_hold_of_the_dead_expires(priced_url: str, tmp_path: Path, counting_url: str) -> None:
    """Killed with its hold on disk and nothing sent: the hold stands until its time, then its money is free again."""
    house = House(priced_url, tmp_path, counting_url)
    house.prepare()
    key_id, secret = house.new_key("one")
    house.set_budget("one", "1", key_id)
    assert house.start(), house.said()
    house.order.write_text(f"{gateway.HELD} 1")
    load = Load(house.url, [secret], SEED)
    call = Call("only", stream=False, named=False)
    asyncio.run(load.make(Connection(house.url), call, random.Random(1)))
    try:
        assert call.answers == []
        [hold] = house.open_holds()
        assert hold.expires_at_us - hold.opened_at_us == HOLD_S * 1_000_000
        assert fetch(f"{counting_url}/sim/ledger")["calls"] == 0
        house.kill_all()
        house.pass_time(HOLD_S)
        assert house.start(), house.said()
        assert house.open_holds() == [], "a gateway that serves must not count what is over, however soon it dies again"
        assert house.differences() == []
        assert house.facts() == {}
    finally:
        house.stop()
