"""Finds the newest events that match a filter, without reading all the others."""

from collections.abc import Iterable, Iterator, Mapping

import sqlalchemy as sa

from pertoken.core import calls
from pertoken.core.events import GATEWAY, EventStatus
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import QUARTER_US
from pertoken.core.usage import Completeness
from pertoken.ports.events import Posted, Search
from pertoken.store.event_rows import BY_TIME, EVENTS_OF_SERIES, EventRows, has, is_of_series, within
from pertoken.store.schema import day_rollups, events, rollups, series
from pertoken.store.sums import few_series

TimeSpan = tuple[int, int]  # [start, end) in microseconds

_HUNG_UP = events.c.reason.startswith(calls.THE_CLIENT_HUNG_UP)
_FAILED = sa.or_(*(events.c.reason.startswith(text) for text in calls.FAILURES))
_UNPRICED = events.c.status != EventStatus.PRICED
_ESTIMATED = events.c.completeness != Completeness.FINAL
_NOT_WELL = (_HUNG_UP, _FAILED, _UNPRICED, _ESTIMATED)
_IS_CALL = events.c.corrects.is_(None)
# The same rules as in core.calls.marks, for rows.
_HAS_STATUS: Mapping[str, sa.ColumnElement[bool]] = {
    calls.HUNG_UP: sa.and_(_IS_CALL, _HUNG_UP),
    calls.FAILED: sa.and_(_IS_CALL, _FAILED),
    calls.UNPRICED: sa.and_(_IS_CALL, _UNPRICED),
    calls.ESTIMATED: sa.and_(_IS_CALL, _ESTIMATED),
    calls.OK: sa.and_(_IS_CALL, sa.not_(sa.func.coalesce(sa.or_(*_NOT_WELL), sa.false()))),
    calls.CORRECTION: events.c.corrects.is_not(None),
    calls.REFUSED: sa.false(),  # a refused call has no event
}


def search(connection: sa.Connection, rows: EventRows, asked: Search) -> list[Posted]:
    """Return the newest events that fit, by when they occurred, the newest first.

    What belongs to few is not looked for among all events: its roll-ups tell when there were any.
    """
    fits = [has(name, value) for name, value in asked.where.items()]
    if asked.where.get("source", GATEWAY) != GATEWAY:
        fits.append(events.c.source != GATEWAY)  # only with these words may the index of the others be used
    if asked.status is not None:
        fits.append(_HAS_STATUS[asked.status])
    if asked.before is not None:
        fits.append(sa.tuple_(*BY_TIME) < sa.tuple_(*map(sa.literal, asked.before)))
    query = EVENTS_OF_SERIES.where(*fits).order_by(*(column.desc() for column in BY_TIME))
    found: list[Posted] = []
    for start_us, end_us in _spans(connection, asked):
        some = query.where(*within(start_us, end_us)).limit(asked.limit - len(found))
        found += [Posted((row.occurred_at_us, row.id), rows.event(row)) for row in connection.execute(some)]
        if len(found) >= asked.limit:
            break
    return found


def _spans(connection: sa.Connection, asked: Search) -> Iterable[TimeSpan]:
    """Return the stretches of time to look at, one after the other: all of it where an index finds what is asked."""
    since_us, until_us = asked.since_us, asked.until_us
    if asked.before is not None:
        until_us = min(until_us, asked.before[0] + 1)
    owned = {name: value for name, value in asked.where.items() if is_of_series(name)}
    if not owned or "conversation" in asked.where:
        return [(since_us, until_us)]
    spans = _used(connection, owned, since_us, until_us, asked.limit)
    return ((max(start_us, since_us), min(end_us, until_us)) for start_us, end_us in spans)


def _used(
    connection: sa.Connection, where: Mapping[str, str], since_us: int, until_us: int, enough: int
) -> Iterator[TimeSpan]:
    """Yield the stretches of [since, until) with events of `where`, the newest first.

    Roll-ups tell the days, then the quarters of an hour of each: those side by side together, until they have `enough`.
    """
    few = few_series(connection, where)

    def used(table: sa.Table, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        query = sa.select(table.c.start_us, sa.func.sum(table.c.calls))
        query = query.where(table.c.start_us >= from_us, table.c.start_us < to_us)
        if few is None:
            query = query.join_from(table, series, series.c.series_id == table.c.series_id)
            query = query.where(*(has(name, value) for name, value in where.items()))
        else:
            query = query.where(table.c.series_id.in_(few))
        query = query.group_by(table.c.start_us).order_by(table.c.start_us.desc())
        return ((row[0], row[1]) for row in connection.execute(query))

    for day_us, _ in used(day_rollups, since_us - since_us % DAY_US, until_us):
        start_us = end_us = calls = 0
        for quarter_us, more in used(rollups, max(day_us, since_us - since_us % QUARTER_US), day_us + DAY_US):
            if end_us and (calls >= enough or start_us - quarter_us > QUARTER_US):
                yield start_us, end_us
                end_us = calls = 0
            end_us = end_us or quarter_us + QUARTER_US
            start_us, calls = quarter_us, calls + more
        yield start_us, end_us
