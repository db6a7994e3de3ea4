"""Sums days coarsely once they are over, beside the calls: on a thread of its own, one thing of one day at a time.

A short transaction puts the mark; then the roll-ups are read; then the sums are written, few rows in a transaction, and
the last of these makes the mark ready, if it is still there. A commit that adds to the day meanwhile removes the mark,
and the day is summed again. Between two things there is a pause, so that calls do not wait and the thread takes a small
part of one core's time.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX
from pertoken.core.coarse import DIMENSIONS, HOUR, MODEL, OF_MODEL, WIDTHS_US, dimensions_of
from pertoken.core.latency import LatencyCounts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import Grain, Slice, Sum
from pertoken.ports.failures import StoreFailed
from pertoken.store.amounts import spread
from pertoken.store.coarse import ALL, column_of
from pertoken.store.database import Database
from pertoken.store.latency import write_counts
from pertoken.store.schema import COUNTED, MarkState, coarse_sums, day_rollups, rollups, series_tags, summed_days
from pertoken.store.sums import COLUMNS, read_fine_latencies, read_fine_sums

log = logging.getLogger("pertoken.store")

ROWS_MAX = 500  # written in one transaction: a call waits for it no longer than for a batch
SPARED = 4  # a thing is summed where roll-ups are so many times as many as its sums
TAGS_MAX = 20  # names of tags that a day is summed by, those of most series
NAME_MAX = 200  # characters of such a name: longer ones may be too long to index
LATE_US = 900 * 1_000_000  # how long after a day it is summed: calls that began in it are still to be settled
EVERY_S = 10.0  # how often days are looked for
PAUSE = 4  # times as long as the last thing took

Pause = Callable[[float], bool]  # waits so many seconds; tells whether to stop


class _Lost(Exception):
    """The mark is gone: the day was added to, or another process sums it."""


class _Counted(NamedTuple):
    """The roll-ups of a day: of the day, and of its quarters of an hour."""

    of_day: int
    of_quarters: int


class Summing:
    """The thread. `wake` it again and again while this process is the one to do the work; `close` it at the end."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have days summed that are due, soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="summing", daemon=True)
            self._thread.start()
        self._woken.set()

    def close(self) -> None:
        """End the thread, in the middle of its work if need be."""
        self._stop.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._woken.wait()
            self._woken.clear()
            try:
                self._sum_due()
            except StoreFailed as failure:  # whoever commits says so, too
                log.warning("days are not summed: %s", failure)
            except Exception:
                log.exception("summing days failed because of a bug in pertoken")

    def _sum_due(self) -> None:
        """Sum what is due while we are woken again."""
        while not self._stop.is_set() and sum_newest(self._database, self._now_us() - LATE_US, self._stop.wait):
            if not self._woken.wait(EVERY_S):
                return  # another process is the one to do it
            self._woken.clear()


def sum_newest(database: Database, before_us: int, pause: Pause = lambda _: False) -> bool:
    """Sum the newest day that ended before an instant and is not summed yet; tell whether there was one.

    Raises StoreFailed.
    """
    with database.read() as connection:
        day_us: int | None = connection.execute(_DUE, {"before_us": before_us - DAY_US}).scalar()
    if day_us is None:
        return False
    _forget_lost(database)
    try:
        _sum_day(database, day_us, pause)
    except _Lost:
        log.debug("the day of %d was added to while it was summed", day_us)
    return True


def _sum_day(database: Database, day_us: int, pause: Pause) -> None:
    """Sum a day by everything. Raises _Lost, StoreFailed."""
    with database.read() as connection:
        counted = _count(connection, day_us)
        names = (MODEL, HOUR, *DIMENSIONS, *_tags(connection, day_us))
    left = counted.of_day
    marks = []
    for name in names:
        began = time.monotonic()
        sum_id = _begin(database, day_us, name)
        if sum_id is not None:
            piece = Slice(Grain.QUARTER if name == HOUR else Grain.DAY, day_us, day_us + DAY_US, 0)
            rows_max = counted.of_quarters // SPARED if name == HOUR else min(counted.of_day // SPARED, left)
            rows = _sum(database, sum_id, name, piece, rows_max, pause)
            left -= 0 if name == HOUR else rows
        marks.append(name)
        if pause(PAUSE * (time.monotonic() - began)):
            raise _Lost
    with database.write() as connection:
        done = sa.and_(summed_days.c.start_us == day_us, summed_days.c.state != MarkState.BEGUN)
        there = set(connection.execute(sa.select(summed_days.c.name).where(done)).scalars())
        if there >= set(marks) and ALL not in there:
            connection.execute(_PUT, {"start_us": day_us, "name": ALL, "state": MarkState.READY})


def _count(connection: sa.Connection, day_us: int) -> _Counted:
    of_day, of_quarters = (
        connection.execute(
            sa.select(sa.func.count()).where(table.c.start_us >= day_us, table.c.start_us < day_us + DAY_US)
        ).scalar_one()
        for table in (day_rollups, rollups)
    )
    return _Counted(of_day, of_quarters)


def _tags(connection: sa.Connection, day_us: int) -> list[str]:
    """Return the names of tags that the day's series have, as dimensions: those of most series."""
    query = sa.select(series_tags.c.name).join(day_rollups, day_rollups.c.series_id == series_tags.c.series_id)
    query = query.where(day_rollups.c.start_us == day_us, sa.func.length(series_tags.c.name) <= NAME_MAX)
    query = query.group_by(series_tags.c.name).order_by(sa.func.count().desc(), series_tags.c.name).limit(TAGS_MAX)
    return [f"{TAG_PREFIX}{name}" for name in connection.execute(query).scalars()]


def _begin(database: Database, day_us: int, name: str) -> int | None:
    """Put a mark; return its id, None where the day is summed by that already. One that only began is replaced."""
    with database.write() as connection:
        ours = sa.and_(summed_days.c.start_us == day_us, summed_days.c.name == name)
        ended = sa.select(summed_days.c.sum_id).where(ours, summed_days.c.state != MarkState.BEGUN)
        if connection.execute(ended).first():
            return None
        connection.execute(sa.delete(summed_days).where(ours))
        put = _PUT.returning(summed_days.c.sum_id)
        sum_id: int = connection.execute(put, {"start_us": day_us, "name": name, "state": MarkState.BEGUN}).scalar_one()
    return sum_id


def _sum(  # noqa: PLR0917 - what is summed
    database: Database, sum_id: int, name: str, piece: Slice, rows_max: int, pause: Pause
) -> int:
    """Sum a day by one thing, if that makes few rows; return how many. Raises _Lost, StoreFailed."""
    if name == HOUR:
        piece = piece._replace(width_us=WIDTHS_US[Grain.QUARTER])
    rows = _read(database, sum_id, name, piece, rows_max)
    if rows is None:
        _end(database, sum_id, MarkState.FINE)
        return 0
    for at in range(0, len(rows), ROWS_MAX):
        with database.write() as connection:
            if not connection.execute(sa.select(summed_days.c.sum_id).where(_is_begun(sum_id))).first():
                raise _Lost
            connection.execute(sa.insert(coarse_sums), rows[at : at + ROWS_MAX])
        if pause(0):
            raise _Lost
    _end(database, sum_id, MarkState.READY)
    return len(rows)


def _read(database: Database, sum_id: int, name: str, piece: Slice, rows_max: int) -> list[dict[str, Any]] | None:
    """Return the rows of a day by one thing, None where there are more than `rows_max`."""
    dimensions = dimensions_of(name)
    with database.read() as connection:
        sums = list(itertools.islice(read_fine_sums(connection, piece, dimensions), rows_max + 1))
        if len(sums) > rows_max:
            return None
        timed = {} if name == HOUR else read_fine_latencies(connection, piece, dimensions)
    return list(_rows(sum_id, name, piece, sums, timed))


def _rows(
    sum_id: int, name: str, piece: Slice, sums: Sequence[Sum], timed: dict[tuple[Any, ...], LatencyCounts]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of sums; the latency counts of the same values in several currencies are in the first."""
    columns = [column_of(one) for one in dimensions_of(name)]
    counted = len(COUNTED)
    for number, one in enumerate(sums):
        yield {
            "sum_id": sum_id,
            "number": number,
            "start_us": one.span * piece.width_us if piece.width_us else piece.start_us,
            **dict.fromkeys(OF_MODEL, ""),
            "value": None,
            **dict(zip(columns, one.values, strict=True)),
            "currency": one.currency,
            **dict(zip(COLUMNS, (*one.sums[:counted], *spread(one.sums[counted:])), strict=True)),
            "latency": write_counts(timed.pop((one.span, *one.values), {})),
        }


def _end(database: Database, sum_id: int, state: MarkState) -> None:
    """Say that the sums of a mark are all there, or not to be made. Raises _Lost where the mark is gone."""
    with database.write() as connection:
        ended = sa.update(summed_days).where(_is_begun(sum_id)).values(state=state)
        if connection.execute(ended).rowcount != 1:
            raise _Lost


def _is_begun(sum_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(summed_days.c.sum_id == sum_id, summed_days.c.state == MarkState.BEGUN)


def _forget_lost(database: Database) -> None:
    """Remove the sums whose mark is gone, few rows in a transaction."""
    with database.read() as connection:
        lost = list(connection.execute(_LOST).scalars())
    for sum_id in lost:
        removed = ROWS_MAX
        while removed >= ROWS_MAX:
            with database.write() as connection:
                first = sa.select(sa.func.min(coarse_sums.c.number)).where(coarse_sums.c.sum_id == sum_id)
                from_number = connection.execute(first).scalar()
                some = sa.and_(coarse_sums.c.sum_id == sum_id, coarse_sums.c.number < (from_number or 0) + ROWS_MAX)
                removed = connection.execute(sa.delete(coarse_sums).where(some)).rowcount


_PUT = sa.insert(summed_days)


def _days_with_rollups() -> sa.CTE:
    """Return the days before an instant that have roll-ups, found one by one from the newest on."""
    newest = sa.select(sa.func.max(day_rollups.c.start_us).label("start_us"))
    days = newest.where(day_rollups.c.start_us <= sa.bindparam("before_us")).cte("days", recursive=True)
    before = newest.where(day_rollups.c.start_us < days.c.start_us).scalar_subquery()
    return days.union_all(sa.select(before).where(days.c.start_us.is_not(None)))


def _marks_with_sums() -> sa.CTE:
    """Return the marks that there are sums of, found one by one."""
    oldest = sa.select(sa.func.min(coarse_sums.c.sum_id).label("sum_id"))
    marks = oldest.cte("marks", recursive=True)
    after = oldest.where(coarse_sums.c.sum_id > marks.c.sum_id).scalar_subquery()
    return marks.union_all(sa.select(after).where(marks.c.sum_id.is_not(None)))


_days, _marks = _days_with_rollups(), _marks_with_sums()
_DUE = sa.select(sa.func.max(_days.c.start_us)).where(
    ~sa.exists().where(summed_days.c.start_us == _days.c.start_us, summed_days.c.name == ALL)
)
_LOST = sa.select(_marks.c.sum_id).where(
    _marks.c.sum_id.is_not(None), ~sa.exists().where(summed_days.c.sum_id == _marks.c.sum_id)
)
