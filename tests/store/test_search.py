"""A search finds the newest events that fit, and reads no others where few do."""

from typing import Any

import pytest
import sqlalchemy as sa
from tests.store import history
from tests.store.history import CENTRES_US, SINCE_US, UNTIL_US

from pertoken.core import calls
from pertoken.core.budgets import Attribution
from pertoken.core.reporting import QUARTER_US
from pertoken.ports.events import Search
from pertoken.store.database import Database
from pertoken.store.event_rows import EventRows
from pertoken.store.search import search

MADE = history.made(7, 200)
RARE = [
    MADE[0]._replace(event_id=f"rare-{at_us}", occurred_at_us=at_us + 5, attribution=Attribution(team="rare"))
    for at_us in CENTRES_US[1:4]
]
ALL = Search({}, SINCE_US, UNTIL_US, None, 1_000)


def found(database: Database, asked: Search) -> list[str]:
    """Return the ids of the events that a search finds."""
    with database.read() as connection:
        return [one.event.event_id for one in search(connection, EventRows(connection), asked)]


def looked_at(database: Database, asked: Search) -> list[tuple[int, int]]:
    """Return the stretches of time in which a search looks at events; of SQLite."""
    spans = []

    def take(*given: Any) -> None:
        if "FROM events" in given[2]:
            times_us = [one for one in given[3] if isinstance(one, int) and SINCE_US <= one <= UNTIL_US]
            spans.append((times_us[-2], times_us[-1]))

    with database.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", take)
        search(connection, EventRows(connection), asked)
    return spans


def test_a_status_finds_what_it_marks(database: Database) -> None:
    """Each status finds the events that have its mark, the newest first; a refused call has none."""
    history.record(database, MADE)
    newest = sorted(enumerate(MADE), key=lambda one: (one[1].occurred_at_us, one[0]), reverse=True)

    for status in calls.STATUSES:
        expected = [one.event_id for _, one in newest if status in calls.marks(one)]
        assert found(database, ALL._replace(status=status)) == expected, status
        assert bool(expected) == (status != calls.REFUSED)


def test_events_of_one_instant_are_told_apart(database: Database) -> None:
    """What stands before a place is the rest, also where many events share its instant."""
    same = [one._replace(occurred_at_us=SINCE_US) for one in history.made(8, 9, ended=False)]
    history.record(database, same)
    with database.read() as connection:
        rows = EventRows(connection)
        whole = search(connection, rows, ALL)
        first = search(connection, rows, ALL._replace(limit=4))
        rest = search(connection, rows, ALL._replace(before=first[-1].place))

    assert [one.event.event_id for one in whole] == [one.event_id for one in reversed(same)]
    assert first + rest == whole


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_what_belongs_to_few_is_read_where_it_is(database: Database) -> None:
    """Events of a rare team are looked for in the quarters of an hour that have some, and nowhere else."""
    history.record(database, [*MADE, *RARE])
    times_us = sorted((one.occurred_at_us for one in RARE), reverse=True)

    assert looked_at(database, ALL._replace(where={"team": "rare"})) == [
        (at_us - at_us % QUARTER_US, at_us - at_us % QUARTER_US + QUARTER_US) for at_us in times_us
    ]
    assert looked_at(database, ALL._replace(where={"team": "nobody"})) == []
    assert looked_at(database, ALL) == [(SINCE_US, UNTIL_US)]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_no_more_is_read_than_is_asked_for(database: Database) -> None:
    """Once a page is full nothing older is looked at, and nothing newer than its end ever is."""
    history.record(database, [*MADE, *RARE])
    times_us = sorted(one.occurred_at_us for one in RARE)
    page = ALL._replace(where={"team": "rare"}, limit=1)

    [(start_us, end_us)] = looked_at(database, page)
    older = looked_at(database, page._replace(before=(times_us[1], 0)))

    assert start_us <= times_us[2] < end_us
    assert max(end_us for _, end_us in older) == times_us[1] + 1
