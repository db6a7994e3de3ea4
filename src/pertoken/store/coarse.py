"""Which coarse sums there are, and what they say."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.coarse import OF_TEAM, CoarseSum, SummedDay, dimensions_of, useful_cuts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import Slice
from pertoken.store.amounts import gather, pairs
from pertoken.store.latency import COLUMN, read_counts
from pertoken.store.schema import ADDED, COUNTED, MarkState, coarse_sums, summed_days

ALL = ""  # the name of the mark of a day that is summed by everything that it is to be summed by


class Ready(NamedTuple):
    """A day that is summed by one thing up to an instant, and the id of its mark."""

    start_us: int
    until_us: int
    sum_id: int


def ready_days(connection: sa.Connection, name: str, piece: Slice) -> list[Ready]:
    """Return the days of a slice that are summed by `name` up to their ends, in their order."""
    asked = {"name": name, "since_us": piece.start_us, "until_us": piece.end_us}
    return [Ready(*row) for row in connection.execute(_READY_DAYS, asked)]


def ready_cuts(connection: sa.Connection, name: str, piece: Slice) -> list[Ready]:
    """Return the cuts of a slice's days that they are summed up to by `name`, their ends among them, in order.

    Between the first day and the last, those alone that are next to the days of a zone, if the slice is by these.
    """
    first_us, last_us = (at_us // DAY_US * DAY_US for at_us in (piece.start_us, piece.end_us - 1))
    asked: dict[str, Any] = {"name": name, "since_us": first_us, "until_us": piece.end_us}
    if piece.width_us != DAY_US:
        return [Ready(*row) for row in connection.execute(_READY, asked)]
    asked |= {"first_us": first_us, "last_us": last_us, "cuts": useful_cuts(piece)}
    return [Ready(*row) for row in connection.execute(_READY_NEAR, asked)]


def column_of(name: str) -> str:
    """Return the name of the column that has the values of a dimension."""
    return name if name in OF_TEAM else "value"


def read_summed(connection: sa.Connection) -> Iterator[SummedDay]:
    """Yield every day that is summed, by each thing, up to each cut, in order."""
    for start_us, until_us, name, sum_id in connection.execute(_ALL_READY).all():
        columns = [coarse_sums.c[column_of(one)] for one in dimensions_of(name)]
        query = sa.select(coarse_sums.c.currency, *columns, *_SUMS)
        rows = connection.execute(query.where(coarse_sums.c.sum_id == sum_id))
        yield SummedDay(start_us, until_us, name, [_sum_of(row, len(columns)) for row in rows])


def _sum_of(row: Sequence[Any], values: int) -> CoarseSum:
    currency, *rest, latency = row
    sums = rest[values:]
    of_sums = (*sums[: len(COUNTED)], *gather(sums[len(COUNTED) :]))
    return CoarseSum(tuple(rest[:values]), currency, of_sums, read_counts(latency))


_SUMS = [coarse_sums.c[name] for name in (*COUNTED, *pairs(ADDED), COLUMN)]
_READY = (
    sa.select(summed_days.c.start_us, summed_days.c.until_us, summed_days.c.sum_id)
    .where(
        summed_days.c.name == sa.bindparam("name"),
        summed_days.c.start_us >= sa.bindparam("since_us"),
        summed_days.c.start_us < sa.bindparam("until_us"),
        summed_days.c.state == MarkState.READY,
    )
    .order_by(summed_days.c.start_us, summed_days.c.until_us)
)
_READY_DAYS = _READY.where(summed_days.c.until_us == summed_days.c.start_us + DAY_US)
_READY_NEAR = _READY.where(
    sa.or_(
        (summed_days.c.until_us - summed_days.c.start_us).in_(sa.bindparam("cuts", expanding=True)),
        summed_days.c.start_us.in_([sa.bindparam("first_us"), sa.bindparam("last_us")]),
    )
)
_ALL_READY = (
    sa.select(summed_days.c.start_us, summed_days.c.until_us, summed_days.c.name, summed_days.c.sum_id)
    .where(summed_days.c.state == MarkState.READY, summed_days.c.name != ALL)
    .order_by(summed_days.c.start_us, summed_days.c.name, summed_days.c.until_us)
)
