"""Sums days coarsely beside the calls: one thing of one day at a time.

A day is summed once it is over, and today up to the last hour that is over. A short transaction puts a mark for each
cut and the day's end; then the roll-ups are read; then the sums are written, few rows in a transaction, and the last of
these makes the marks ready, if they are still there. A commit that adds to the day meanwhile removes those that reach
beyond it, and they are summed again. Between two things there is a pause, so that it takes a small part of one core.

`Summing` does it in a process of its own. In the process that serves calls, a statement waits for the interpreter at
each of its rows, and a transaction with it: calls waited up to 1.1 seconds. Each transaction is followed by a pause, so
that the disk is there for calls.
"""

import itertools
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX
from pertoken.core.coarse import APART_US, DIMENSIONS, MODEL, OF_TEAM, TEAM, dimensions_of, is_timed
from pertoken.core.latency import LatencyCounts, add_counts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import HOUR_US, Grain, Slice, Sum, Sums, add_sums
from pertoken.ports.failures import StoreFailed
from pertoken.store.amounts import spread
from pertoken.store.coarse import ALL, column_of
from pertoken.store.database import Database
from pertoken.store.latency import write_counts
from pertoken.store.schema import COUNTED, MarkState, coarse_sums, day_rollups, rollups, series_tags, summed_days
from pertoken.store.sums import COLUMNS, read_fine_latencies, read_fine_sums

log = logging.getLogger("pertoken.store")

PROGRAM = ("-m", "pertoken.store.summing_process")
ROWS_MAX = 200  # written in one transaction: a call waits for it no longer than for a batch
SPARED = 4  # a thing is summed where roll-ups are so many times as many as its sums
TAGS_MAX = 20  # names of tags that a day is summed by, those of most series
NAME_MAX = 200  # characters of such a name: longer ones may be too long to index
LATE_US = 900 * 1_000_000  # how long after a cut a day is summed up to it: calls before it are still to be settled
EVERY_S = 10.0  # how often days are looked for
PAUSE = 4  # times as long as the last thing took

Pause = Callable[[float], bool]  # waits so many seconds; tells whether to stop


class _Lost(Exception):
    """A mark is gone: the day was added to, or another process sums it. Or the work is to stop."""


class _Counted(NamedTuple):
    """A day, up to where it is summed, and how many roll-ups there are: of the day, and of its quarters until then."""

    day_us: int
    to_us: int
    of_day: int
    of_quarters: int

    @property
    def end_us(self) -> int:
        """The end of the day."""
        return self.day_us + DAY_US


_Place = tuple[tuple[str | None, ...], str]  # values, currency


class Summing:
    """Starts the process when days are due, and ends it.

    `wake` it again and again while this process is the one to do so; `close` it at the end.
    """

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
        """End the process, in the middle of its work if need be, and the thread that watches it."""
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
            except OSError as error:
                log.warning("days are not summed, since no process could be started: %s", error)

    def _sum_due(self) -> None:
        """Have what is due summed, while we are woken again."""
        before_us = self._now_us() - LATE_US
        if self._stop.is_set() or newest_due(self._database, before_us) is None:
            return
        address = self._database.url.render_as_string(hide_password=False)
        process = subprocess.Popen([sys.executable, *PROGRAM], stdin=subprocess.PIPE)  # noqa: S603 - this program itself
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps([address, before_us]).encode() + b"\n")
            process.stdin.flush()
            while process.poll() is None and self._woken.wait(EVERY_S) and not self._stop.is_set():
                self._woken.clear()
        finally:
            process.kill()  # if it still runs: what it has not committed is lost, and summed again
            process.communicate()


def newest_due(database: Database, now_us: int) -> int | None:
    """Return the newest day that is not summed yet up to the last hour before an instant. Raises StoreFailed."""
    with database.read() as connection:
        day_us: int | None = connection.execute(_DUE, {"to_us": now_us - now_us % HOUR_US}).scalar()
    return day_us


def sum_newest(database: Database, now_us: int, pause: Pause = lambda _: False) -> bool:
    """Sum the newest day that is not summed yet up to the last hour before an instant; tell whether there was one.

    Raises StoreFailed.
    """
    day_us = newest_due(database, now_us)
    if day_us is None:
        return False
    try:
        _forget_lost(database, pause)
        _sum_day(database, day_us, min(day_us + DAY_US, now_us - now_us % HOUR_US), pause)
    except _Lost:
        log.debug("the day of %d was added to while it was summed", day_us)
    return True


def _sum_day(database: Database, day_us: int, to_us: int, pause: Pause) -> None:
    """Sum a day by everything. Raises _Lost, StoreFailed."""
    with database.read() as connection:
        counted = _count(connection, day_us, to_us)
        names = (MODEL, TEAM, *DIMENSIONS, *_tags(connection, day_us))
    left = counted.of_day
    marks: set[int] = set()
    for name in names:
        began = time.monotonic()
        rows, its_marks = _sum(database, name, counted, left, pause)
        left -= rows
        marks |= its_marks
        if pause(PAUSE * (time.monotonic() - began)):
            raise _Lost
    with database.write() as connection:
        there = sa.select(sa.func.count()).where(_among(marks), summed_days.c.state != MarkState.BEGUN)
        if connection.execute(there).scalar_one() < len(marks):
            raise _Lost
        of_all = summed_days.c.start_us == day_us, summed_days.c.name == ALL
        connection.execute(sa.delete(summed_days).where(*of_all))
        done = {"start_us": day_us, "until_us": to_us, "name": ALL, "state": MarkState.READY}
        connection.execute(sa.insert(summed_days), done)


def _count(connection: sa.Connection, day_us: int, to_us: int) -> _Counted:
    of_day, of_quarters = (
        connection.execute(
            sa.select(sa.func.count()).where(table.c.start_us >= day_us, table.c.start_us < end_us)
        ).scalar_one()
        for table, end_us in ((day_rollups, day_us + DAY_US), (rollups, to_us))
    )
    return _Counted(day_us, to_us, of_day, of_quarters)


def _tags(connection: sa.Connection, day_us: int) -> list[str]:
    """Return the names of tags that the day's series have, as dimensions: those of most series."""
    query = sa.select(series_tags.c.name).join(day_rollups, day_rollups.c.series_id == series_tags.c.series_id)
    query = query.where(day_rollups.c.start_us == day_us, sa.func.length(series_tags.c.name) <= NAME_MAX)
    query = query.group_by(series_tags.c.name).order_by(sa.func.count().desc(), series_tags.c.name).limit(TAGS_MAX)
    return [f"{TAG_PREFIX}{name}" for name in connection.execute(query).scalars()]


def _sum(database: Database, name: str, counted: _Counted, rows_left: int, pause: Pause) -> tuple[int, set[int]]:
    """Sum a day by one thing, where that makes few rows; return how many its end has, and all its marks.

    Raises _Lost, StoreFailed.
    """
    with database.read() as connection:
        rows = _size(connection, name, counted)
    is_over = counted.to_us == counted.end_us
    if rows * SPARED > counted.of_day or rows > rows_left:
        return 0, {_put(database, name, counted, MarkState.FINE)} if is_over else set()
    fits = [apart_us for apart_us in APART_US if rows * (DAY_US // apart_us) * SPARED <= counted.of_quarters]
    apart_us = fits[0] if fits else DAY_US
    ends = range(counted.day_us + apart_us, counted.to_us + 1, apart_us)
    known, new = _begin(database, name, counted.day_us, ends)
    if new:
        _write(database, list(_rows(database, name, counted.day_us, new, apart_us)), set(new.values()), pause)
    return rows if is_over else 0, known | set(new.values())


def _size(connection: sa.Connection, name: str, counted: _Counted) -> int:
    """Return how many sums a day has by one thing, or one more than it may have."""
    piece = Slice(Grain.DAY, counted.day_us, counted.end_us, 0)
    sums = read_fine_sums(connection, piece, dimensions_of(name))
    return sum(1 for _ in itertools.islice(sums, counted.of_day // max(1, SPARED) + 1))


def _put(database: Database, name: str, counted: _Counted, state: MarkState) -> int:
    """Put the mark of a whole day, if it is not there; return its id."""
    _, new = _begin(database, name, counted.day_us, [counted.end_us])
    if new:
        _end(database, set(new.values()), state)
    with database.read() as connection:
        ours = sa.select(summed_days.c.sum_id).where(_is_of(name, counted.day_us, [counted.end_us]))
        sum_id: int | None = connection.execute(ours).scalar()
    if sum_id is None:
        raise _Lost
    return sum_id


def _begin(database: Database, name: str, day_us: int, ends: Sequence[int]) -> tuple[set[int], dict[int, int]]:
    """Put the marks of a day up to several ends; return those that there were, and the new ones by their ends.

    Marks that only began are replaced.
    """
    ours = _is_of(name, day_us, ends)
    with database.write() as connection:
        connection.execute(sa.delete(summed_days).where(ours, summed_days.c.state == MarkState.BEGUN))
        known = dict(connection.execute(sa.select(summed_days.c.until_us, summed_days.c.sum_id).where(ours)).all())
        missing = [until_us for until_us in ends if until_us not in known]
        rows = [
            {"start_us": day_us, "until_us": until_us, "name": name, "state": MarkState.BEGUN} for until_us in missing
        ]
        if rows:
            connection.execute(sa.insert(summed_days), rows)
        every = dict(connection.execute(sa.select(summed_days.c.until_us, summed_days.c.sum_id).where(ours)).all())
    return set(known.values()), {until_us: every[until_us] for until_us in missing}


def _rows(
    database: Database, name: str, day_us: int, marks: Mapping[int, int], apart_us: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the sums of a day up to the end of each mark."""
    piece = Slice(Grain.QUARTER if apart_us < DAY_US else Grain.DAY, day_us, max(marks), 0, apart_us)
    whole = Slice(Grain.DAY, day_us, day_us + DAY_US, 0, DAY_US)
    dimensions = dimensions_of(name)
    added: dict[int, list[Sum]] = {}
    timed: dict[int, list[tuple[tuple[str | None, ...], LatencyCounts]]] = {}
    with database.read() as connection:
        for one in read_fine_sums(connection, piece, dimensions):
            added.setdefault((one.span + 1) * apart_us, []).append(one)
        of_latency = piece if is_timed(name, day_us, day_us) else whole
        for (span, *of), counts in read_fine_latencies(connection, of_latency, dimensions).items():
            timed.setdefault((span + 1) * of_latency.width_us, []).append((tuple(of), counts))
    sums: dict[_Place, Sums] = {}
    latency: dict[tuple[str | None, ...], LatencyCounts] = {}
    for until_us in range(day_us + apart_us, piece.end_us + 1, apart_us):
        for one in added.get(until_us, ()):
            add_sums(sums, (one.values, one.currency), one.sums)
        for values, counts in timed.get(until_us, ()):
            add_counts(latency.setdefault(values, {}), counts)
        if until_us in marks:
            yield from _rows_of(marks[until_us], name, sums, latency if is_timed(name, day_us, until_us) else {})


def _rows_of(
    sum_id: int, name: str, sums: Mapping[_Place, Sums], latency: Mapping[tuple[str | None, ...], LatencyCounts]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a mark; the latency counts of the same values in several currencies are in the first."""
    columns = [column_of(one) for one in dimensions_of(name)]
    counted = len(COUNTED)
    left = dict(latency)
    for number, ((values, currency), amounts) in enumerate(sums.items()):
        yield {
            "sum_id": sum_id,
            "number": number,
            **dict.fromkeys(OF_TEAM, ""),
            "value": None,
            **dict(zip(columns, values, strict=True)),
            "currency": currency,
            **dict(zip(COLUMNS, (*amounts[:counted], *spread(amounts[counted:])), strict=True)),
            "latency": write_counts(left.pop(values, {})),
        }


def _write(database: Database, rows: Sequence[dict[str, Any]], marks: set[int], pause: Pause) -> None:
    """Write the sums of marks, and say that they are ready. Raises _Lost, StoreFailed."""
    for at in range(0, len(rows), ROWS_MAX):
        began = time.monotonic()
        with database.write() as connection:
            begun = sa.select(sa.func.count()).where(_among(marks), summed_days.c.state == MarkState.BEGUN)
            if connection.execute(begun).scalar_one() < len(marks):
                raise _Lost
            connection.execute(sa.insert(coarse_sums), rows[at : at + ROWS_MAX])
        if pause(PAUSE * (time.monotonic() - began)):
            raise _Lost
    _end(database, marks, MarkState.READY)


def _end(database: Database, marks: set[int], state: MarkState) -> None:
    """Say that the sums of marks are all there, or not to be made. Raises _Lost where one is gone."""
    with database.write() as connection:
        ended = sa.update(summed_days).where(_among(marks), summed_days.c.state == MarkState.BEGUN).values(state=state)
        if connection.execute(ended).rowcount != len(marks):
            raise _Lost


def _among(marks: Collection[int]) -> sa.ColumnElement[bool]:
    return summed_days.c.sum_id.in_(list(marks))


def _is_of(name: str, day_us: int, ends: Sequence[int]) -> sa.ColumnElement[bool]:
    """Tell whether a mark is of a day by a name, up to one of several ends."""
    mark = summed_days.c
    return sa.and_(mark.name == name, mark.start_us == day_us, mark.until_us.in_(list(ends)))


def _forget_lost(database: Database, pause: Pause) -> None:
    """Remove the sums whose mark is gone, few rows in a transaction. Raises _Lost if it is to stop."""
    with database.read() as connection:
        lost = list(connection.execute(_LOST).scalars())
    key = (coarse_sums.c.sum_id, coarse_sums.c.number)
    for at in range(0, len(lost), ROWS_MAX):
        some = sa.select(*key).where(coarse_sums.c.sum_id.in_(lost[at : at + ROWS_MAX])).limit(ROWS_MAX)
        removed = ROWS_MAX
        while removed >= ROWS_MAX:
            began = time.monotonic()
            with database.write() as connection:
                removed = connection.execute(sa.delete(coarse_sums).where(sa.tuple_(*key).in_(some))).rowcount
            if pause(PAUSE * (time.monotonic() - began)):
                raise _Lost


def _days_with_rollups() -> sa.CTE:
    """Return the days that begin before an instant and have roll-ups, found one by one from the newest on."""
    newest = sa.select(sa.func.max(day_rollups.c.start_us).label("start_us"))
    days = newest.where(day_rollups.c.start_us < sa.bindparam("to_us")).cte("days", recursive=True)
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
    ~sa.exists().where(
        summed_days.c.name == ALL,
        summed_days.c.start_us == _days.c.start_us,
        sa.or_(
            summed_days.c.until_us >= sa.bindparam("to_us"), summed_days.c.until_us == summed_days.c.start_us + DAY_US
        ),
    )
)
_LOST = sa.select(_marks.c.sum_id).where(
    _marks.c.sum_id.is_not(None), ~sa.exists().where(summed_days.c.sum_id == _marks.c.sum_id)
)
