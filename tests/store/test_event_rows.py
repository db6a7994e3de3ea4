"""Events are read from their rows as they were posted, and found by every dimension."""

import pytest
import sqlalchemy as sa
from tests.store import history

from pertoken.core.events import Event, OfReport
from pertoken.ports.failures import StoreFailed
from pertoken.store import event_rows
from pertoken.store.database import Database
from pertoken.store.event_rows import BY_TIME, EVENTS, EVENTS_OF_SERIES, EventRows, has, is_of_series, within
from pertoken.store.schema import events, series

MADE = [
    one._replace(attribution=one.attribution._replace(user=None if number % 3 else "ann"))
    for number, one in enumerate(history.made(3, 120))
]
PAIRS = [
    ("key", "key_1"), ("team", "blue"), ("customer", "acme"), ("user", "ann"), ("provider", "openai"),
    ("model", "gpt-4o"), ("conversation", "talk-1"), ("tag:env", "test"), ("tag:env", ""), ("tag:f", "x"),
    ("tag:f", "prod"), ("source", "files"),
]  # fmt: skip


def as_read(event: Event) -> Event:
    """Return an event as its row says it: what was reported is known by its identity alone."""
    return event._replace(of=OfReport()) if isinstance(event.of, OfReport) else event


def test_events_are_read_as_they_were_posted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event comes back whole, with its own conversation, also where few series are remembered."""
    monkeypatch.setattr(event_rows, "SERIES_MEMORY_MAX", 2)
    history.record(database, MADE)

    with database.read() as connection:
        found = list(EventRows(connection).read(EVENTS.order_by(events.c.id)))

    assert found == [as_read(one) for one in MADE]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_series_is_read_once(database: Database) -> None:
    """Whose events are is asked of the database once for each series, not for each event."""
    history.record(database, MADE)
    asked = []
    with database.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
        owners = {one.attribution._replace(conversation=None) for one in EventRows(connection).read(EVENTS)}

    assert len(asked) == 1 + len(owners)
    assert len(owners) < len(MADE)


def test_a_value_is_found_where_an_event_has_it(database: Database) -> None:
    """The condition of a dimension or a tag fits the events with that value, and no others."""
    history.record(database, MADE)

    with database.read() as connection:
        rows = EventRows(connection)
        for name, value in PAIRS:
            query = EVENTS_OF_SERIES.where(has(name, value)).order_by(events.c.id)
            expected = [
                one for one in MADE if value == (one.source if name == "source" else one.attribution.value(name))
            ]
            assert [one.event_id for one in rows.read(query)] == [one.event_id for one in expected], name
            assert bool(expected) == ((name, value) != ("tag:f", "prod"))


def test_roll_ups_know_what_belongs_to_a_series() -> None:
    """Conversations and sources are of events alone; all else is of series too."""
    assert {name for name, _ in PAIRS if not is_of_series(name)} == {"conversation", "source"}


def test_a_stretch_has_its_start_and_not_its_end(database: Database) -> None:
    """An event at the first instant is within, one at the last is not."""
    history.record(database, MADE)
    times_us = sorted({one.occurred_at_us for one in MADE})
    since_us, until_us = times_us[10], times_us[50]

    with database.read() as connection:
        query = EVENTS.where(*within(since_us, until_us)).order_by(*BY_TIME)
        found = [one.occurred_at_us for one in EventRows(connection).read(query)]

    assert sorted(set(found)) == times_us[10:50]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (sa.update(events).values(quantities="{"), "event 'e3-.*' cannot be read"),
        (sa.update(events).values(status="paid"), "event 'e3-.*' cannot be read"),
        (sa.delete(series), "series .* is gone"),
    ],
)
def test_a_damaged_row_is_told(database: Database, broken: sa.Executable, said: str) -> None:
    """A row that is not as it was written, or that has lost its series, is a failure that says so."""
    history.record(database, MADE[:5])
    with database.write() as connection:
        connection.execute(broken)

    with database.read() as connection, pytest.raises(StoreFailed, match=f"{said}, the database is damaged"):
        list(EventRows(connection).read(EVENTS))
