"""Sums of roll-ups by SQL are what their events come to."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import pytest
from tests.store import history

from pertoken.core.events import Event
from pertoken.core.latency import LatencyCounts, count
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import HOUR_US, SUMS, Grain, Slice, Sums, event_sums
from pertoken.store.amounts import spread
from pertoken.store.database import Database
from pertoken.store.schema import COUNTED
from pertoken.store.sums import read_latencies, read_sums, rollup_sums

MADE = history.made(5, 300)
START_US, END_US = (at_us - at_us % DAY_US for at_us in (history.CENTRES_US[1], history.CENTRES_US[-1] + DAY_US))
PIECES = [
    Slice(Grain.DAY, START_US, END_US, 0),
    Slice(Grain.DAY, START_US, END_US, 0, DAY_US),
    Slice(Grain.QUARTER, START_US, END_US, 23 * HOUR_US // 4, HOUR_US),
    Slice(Grain.QUARTER, START_US + HOUR_US, END_US - HOUR_US, -5 * HOUR_US, DAY_US),
]
ASKED: list[tuple[tuple[str, ...], dict[str, str]]] = [
    ((), {}),
    (("team", "model"), {}),
    (("tag:env", "tag:f"), {"model": "gpt-4o"}),
    (("customer",), {"tag:env": "prod", "team": "red"}),
]
Place = tuple[int, tuple[str | None, ...]]


def places(
    events: Iterable[Event], piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> list[tuple[Place, Event]]:
    """Return the events of a slice that fit, each with its span and its values; absent dimensions are empty."""
    found = []
    for one in events:
        who = one.attribution
        if not piece.start_us <= one.occurred_at_us < piece.end_us:
            continue
        if any(who.value(name) != value for name, value in where.items()):
            continue
        span = (one.occurred_at_us + piece.offset_us) // piece.width_us if piece.width_us else 0
        values = tuple(who.value(name) if name.startswith("tag:") else who.value(name) or "" for name in dimensions)
        found.append(((span, values), one))
    return found


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: f"{piece.grain}-{piece.width_us}-{piece.offset_us}")
def test_sums_are_what_the_events_come_to(database: Database, piece: Slice) -> None:
    """Every sum of every span, value and currency is there once, of those events alone that are asked for."""
    history.record(database, MADE)
    with database.read() as connection:
        for dimensions, where in ASKED:
            expected: dict[tuple[Place, str], Sums] = {}
            for place, event in places(MADE, piece, dimensions, where):
                before = expected.get((place, event.currency), (0,) * len(SUMS))
                sums = (one + other for one, other in zip(before, event_sums(event), strict=True))
                expected[place, event.currency] = tuple(sums)
            rows = list(read_sums(connection, piece, dimensions, where))
            found = {((row.span, tuple(row.values)), row.currency): row.sums for row in rows}

            assert len(rows) == len(found)
            assert found == expected
            assert expected


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: f"{piece.grain}-{piece.width_us}-{piece.offset_us}")
def test_latencies_are_those_of_the_events(database: Database, piece: Slice) -> None:
    """The latency counts of a slice are those of its timed events, and each place is there once."""
    history.record(database, MADE)
    with database.read() as connection:
        for dimensions, where in ASKED:
            expected: dict[Place, LatencyCounts] = defaultdict(dict)
            for place, event in places(MADE, piece, dimensions, where):
                count(expected[place], event)
            rows = list(read_latencies(connection, piece, dimensions, where))
            found = {(row.span, tuple(row.values)): row.latency for row in rows}

            assert len(rows) == len(found)
            assert found == {place: counts for place, counts in expected.items() if counts}
            assert found


def test_what_a_clock_shows_before_1970_is_in_a_span_of_before(database: Database) -> None:
    """Spans are counted downwards where a zone's clocks have not come to 1970."""
    history.record(database, [MADE[0]._replace(occurred_at_us=HOUR_US)])
    piece = Slice(Grain.QUARTER, 0, DAY_US, -5 * HOUR_US, DAY_US)

    with database.read() as connection:
        [found] = read_sums(connection, piece, (), {})

    assert found.span == -1


def test_a_row_is_gathered_in_the_order_of_sums() -> None:
    """Counts stay as they are, and both parts of each amount become one number, also a large or a negative one."""
    sums = tuple((-1) ** at * 10 ** (at * 2) for at in range(len(SUMS)))
    row = [*sums[: len(COUNTED)], *spread(sums[len(COUNTED) :])]

    assert rollup_sums(row) == sums
