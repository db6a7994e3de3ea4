"""Strangers name more users, conversations, tags and customers at once than a key may, on two workers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.conftest import STORES, MakeDatabase, with_prices
from tests.crash.client import Connection
from tests.crash.house import House

from pertoken.store.schema import events, series

WORKERS, MOST, CONNECTIONS, CALLS = 2, 10, 20, 100
BODY = {"model": "gpt-4o-mini", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
KINDS = ("users", "conversations", "tag_values")
PATIENT = {"PERTOKEN_LIMITS__HOLD_S": "120", "PERTOKEN_LIMITS__TOTAL_MS": "60000"}


@pytest.fixture(params=STORES)
def house(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path, simulator_url: str
) -> Iterator[House]:
    """Return a gateway of two workers, whose keys may name few of each, on each kind of database."""
    bounds = {f"PERTOKEN_LIMITS__KEY_{kind.upper()}_MAX": str(MOST) for kind in (*KINDS, "customers")}
    url = make_database(request.param, tmp_path, with_prices)
    made = House(url, tmp_path, simulator_url, WORKERS, **bounds, **PATIENT)
    with made.prepared() as prepared:
        yield prepared


async def name_many(house: House, secret: str, names: str, customers: bool) -> list[tuple[int, str]]:
    """Make calls at once that each name something new; return their status, and what was folded or refused."""
    left = iter(range(CALLS))
    told: list[tuple[int, str]] = []

    async def connection() -> None:
        client = Connection(house.url)
        for number in left:
            name = f"{names}-{number}"
            named = {"user": name, "conversation": name, "tags": f"feature={name}"} if not customers else {}
            named |= {"customer": name} if customers else {}
            headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
            headers |= {f"x-pertoken-{kind}": value for kind, value in named.items()}
            answer = await client.post("/v1/chat/completions", headers, BODY)
            assert answer is not None
            said = answer.headers.get("x-pertoken-folded") or answer.headers.get("x-pertoken-refused") or ""
            told.append((answer.status, said))
        client.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(connection())
    return told


def named(house: House, key_id: str) -> dict[str, int]:
    """Return how many different values of each kind the database has of a key."""
    of_key = series.c.key_id == key_id
    columns = {"users": series.c.user_name, "tag_values": series.c.tags, "customers": series.c.customer}
    with house.read() as connection:
        found = {
            kind: len({value for (value,) in connection.execute(sa.select(column).where(of_key)) if value})
            for kind, column in columns.items()
        }
        talks = sa.select(events.c.conversation).join(series, series.c.series_id == events.c.series_id).where(of_key)
        return found | {"conversations": len({value for (value,) in connection.execute(talks) if value})}


@pytest.mark.parametrize("customers", [False, True], ids=["users, conversations and tags", "customers"])
def test_what_a_key_names_is_bounded(house: House, customers: bool) -> None:
    """Only calls that run at once go beyond a bound, then nothing is added, also after a restart; clients are told."""
    key_id, secret = house.new_key("one")
    assert house.start(), house.said()
    asyncio.run(name_many(house, secret, "first", customers))
    before = named(house, key_id)
    full = [before["customers"]] if customers else [before[kind] for kind in KINDS]
    assert all(MOST <= number <= WORKERS * MOST + CONNECTIONS + 1 for number in full), before

    house.stop()
    assert house.start(), house.said()
    told = set(asyncio.run(name_many(house, secret, "second", customers)))
    assert told == {(403, "forbidden")} if customers else {(200, "user, tag:feature, conversation")}
    after = named(house, key_id)
    assert {kind: after[kind] - before[kind] for kind in after if after[kind] - before[kind] > 1} == {}, "but `other`"
    assert "limits are reached" in house.run("doctor").stdout
    assert house.differences() == []
