"""PostgreSQL restarted, its connections cut, while a gateway works: acknowledged is there, once; all else settles."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.crash.house import PATIENCE_S, House
from tests.crash.load import Load
from tests.crash.test_kills import check
from tests.postgresql import PostgresServer, restart, running

SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
CLIENTS = 12
TIMES = 4
HOLD_S = 60  # a call that is named may run twice once its hold expired; no server is away for so long here
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pertoken'"

Disturb = Callable[[PostgresServer], None]


def cut(server: PostgresServer) -> None:
    """End every connection of the gateway from the server's side, in whatever transaction it is."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(CUT)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("disturb", [restart, cut])
def test_a_server_that_fails_under_load(tmp_path: Path, simulator_url: str, disturb: Disturb, workers: int) -> None:
    """Nothing acknowledged is lost or doubled, no process ends, and the gateway goes on as soon as the server does."""
    with running(durable=True) as server:
        house = House(server.get_uri(), tmp_path, simulator_url, workers, PERTOKEN_LIMITS__HOLD_S=str(HOLD_S))
        house.prepare()
        key_id, secret = house.new_key("one")
        house.set_budget("one", "50", key_id)
        assert house.start(), house.said()
        before = house.worker_pids()
        load = Load(house.url, [secret], SEED)

        async def story() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run(CLIENTS))
                for _ in range(TIMES):
                    await asyncio.sleep(0.7)
                    await asyncio.to_thread(disturb, server)
                seen = len(load.calls)
                deadline = time.monotonic() + PATIENCE_S
                while len(load.calls) < seen + 50:
                    assert time.monotonic() < deadline, house.said()
                    await asyncio.sleep(0.1)
                load.stopping = True

        try:
            asyncio.run(story())
            assert house.worker_pids() == before
            house.wait_for_expiry()
            verified = house.run("verify")
        finally:
            house.stop()
        facts = house.facts()

    told = Counter(check(call, facts.get(call.marker, []), HOLD_S) for call in load.calls)
    refused = sum(answer.status == 503 for call in load.calls for answer in call.answers)
    print(f"\n{disturb.__name__}, {workers} worker(s), seed {SEED}: {dict(told)}, 503 {refused} times")  # noqa: T201 - read by a person
    assert verified.returncode == 0, verified.stdout
    assert told["acknowledged"] > 50
