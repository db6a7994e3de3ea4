"""What is stored is read as it is, and what is away is said to be."""

import random
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.factories import event, hold
from tests.store import history

from pertoken.core.budgets import CounterKey
from pertoken.core.events import GATEWAY, is_correction
from pertoken.core.periods import parse_time
from pertoken.core.reporting import QUARTER_US, Grain, Slice
from pertoken.ports.months import Archived, EventsArchived
from pertoken.store import archive as module
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.schema import archives, counters

MADE = history.made(13, 150)
MONTH_US = parse_time("2026-03-01")
IN_MARCH, AFTER_US = MONTH_US + 40 * QUARTER_US, parse_time("2026-04-01")
AWAY = Archived(1, "f", MONTH_US, "folder", "a", 9, 0, 2)


def away(database: Database, conversations: int) -> Archived:
    """Say that two events of March are in a file."""
    archived = AWAY._replace(conversations=conversations)
    row = archived._asdict()
    with database.write() as connection:
        connection.execute(sa.insert(archives).values(file=row.pop("name"), made_at_us=1, **row))
    return archived


def test_the_events_of_a_call_are_its_attempts(database: Database) -> None:
    """Attempts and corrections have its name and a suffix; one that only begins alike is of another call."""
    names = ("call_1", "call_1.2", "call_1.c1", "call_10", "call_1/x", "callX1.2", "call_")
    made = [event(hold(name), occurred_at_us=history.SINCE_US) for name in names]
    history.record(database, made)

    with database.read() as connection:
        archive = Archive(connection)
        assert [one.event_id for one in archive.call_events("call_1")] == ["call_1", "call_1.2", "call_1.c1"]
        assert archive.call_events("call") == []
        assert [one.event_id for one in archive.events()] == list(names)


def test_events_are_read_in_both_orders(database: Database) -> None:
    """They come as they were posted or as they occurred, from any place on; corrections alone where asked for."""
    history.record(database, MADE)
    since_us, until_us = history.CENTRES_US[1], history.CENTRES_US[3]
    within = [one for one in MADE if since_us <= one.occurred_at_us < until_us]

    with database.read() as connection:
        archive = Archive(connection)
        ids = [one.event_id for one in archive.events()]
        posted = archive.posted_after(0, 10)
        rest = archive.posted_after(posted[-1].place[1], 1_000)
        by_time = list(archive.events_by_time(since_us, until_us))
        corrections = archive.corrections(since_us, until_us)
        assert rest[-1].place[1] == archive.last_number()
        newest_us = archive.newest_us()
    latest_us = max(one.occurred_at_us for one in MADE)
    assert ids == [one.event_id for one in MADE] == [one.event.event_id for one in posted + rest]
    assert [one.event_id for one in by_time] == [
        one.event_id for one in sorted(within, key=lambda one: one.occurred_at_us)
    ]
    assert [one.event_id for one in corrections] == [one.event_id for one in within if is_correction(one)]
    assert newest_us == latest_us - latest_us % QUARTER_US


@pytest.mark.parametrize("conversations", [0, 1])
def test_what_needs_archived_events_says_so(database: Database, conversations: int) -> None:
    """Who asks for events of a month that left is told where they are; other months, and roll-ups, are read."""
    history.record(database, MADE)
    archived = away(database, conversations)
    stretch = Slice(Grain.EVENT, IN_MARCH, AFTER_US, 0)

    with database.read() as connection:
        archive = Archive(connection)
        for ask in (
            lambda: archive.events_by_time(AFTER_US - 1, AFTER_US + 1),
            lambda: archive.corrections(IN_MARCH, AFTER_US),
            lambda: archive.sums(stretch, (), {}),
            lambda: archive.latencies(stretch, (), {}),
        ):
            with pytest.raises(EventsArchived) as failure:
                list(ask())  # type: ignore[operator]
            assert failure.value.archived == [archived]
        assert list(archive.events_by_time(AFTER_US, AFTER_US + 1)) == []
        assert list(archive.events_by_time(MONTH_US - 1, MONTH_US)) == []
        assert list(archive.sums(stretch._replace(grain=Grain.QUARTER), (), {}))
        if conversations:
            with pytest.raises(EventsArchived):
                list(archive.conversation_events(IN_MARCH, AFTER_US))
        else:
            assert all(one.attribution.conversation for one in archive.conversation_events(IN_MARCH, AFTER_US))


def test_many_counters_are_found_by_their_keys(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of keys or of whole windows are found, in more statements than one, and none beside."""
    monkeypatch.setattr(module, "CHOICES_MAX", 3)
    chance = random.Random(1)
    made = {CounterKey(f"b{at % 4}", str(at), at % 3): (at, chance.randrange(10**11)) for at in range(40)}
    rows = [{**key._asdict(), "held": held, "spent": spent} for key, (held, spent) in made.items()]
    columns = [
        {
            "budget_id": row["budget_id"], "each_value": row["each"], "window_start_us": row["window_start_us"],
            "held_high": 0, "held_low": row["held"], "spent_high": 0, "spent_low": row["spent"],
        }
        for row in rows
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(sa.insert(counters), columns)
    some = [key for key in made if key.budget_id == "b1"]

    with database.read() as connection:
        archive = Archive(connection)
        assert archive.counters() == made
        assert archive.counters_of([*some, CounterKey("b1", "none", 0)]) == {key: made[key] for key in some}
        assert archive.counters_in([("b1", 1), ("b2", 0), ("b3", 2), ("b0", 9)]) == {
            key: row
            for key, row in made.items()
            if (key.budget_id, key.window_start_us) in {("b1", 1), ("b2", 0), ("b3", 2)}
        }


def test_postings_are_what_events_cost_and_balances_are(database: Database) -> None:
    """The costs of entries are those of the events that cost something; postings of each currency are its balances."""
    history.record(database, MADE)

    with database.read() as connection:
        archive = Archive(connection)
        costs = [cost for _, cost in archive.entry_costs()]
        balances: dict[tuple[str, str], int] = {}
        for _, currency, account, picos in archive.postings():
            balances[account, currency] = balances.get((account, currency), 0) + picos
        assert balances == archive.balances()
    assert costs == [one.cost_picos for one in MADE if one.cost_picos]
    assert {one.source for one in MADE} > {GATEWAY}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """A whole file has no damage; one with an index that lost a row says so."""
    database = Database(f"sqlite:///{tmp_path}/p.db")
    database.migrate()
    history.record(database, MADE[:20])
    with database.read() as connection:
        assert Archive(connection).damage() == []
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema=ON")
        connection.exec_driver_sql("DELETE FROM sqlite_master WHERE name = 'ix_events_occurred_at_us'")
    database.close()

    with database.read() as connection:
        found = Archive(connection).damage()
    database.close()
    assert 0 < len(found) <= module.DAMAGE_MAX
