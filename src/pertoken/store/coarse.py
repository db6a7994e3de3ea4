"""Which coarse sums there are, and what they say."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.coarse import OF_MODEL, CoarseSum, SummedDay, dimensions_of
from pertoken.core.periods import DAY_US
from pertoken.store.amounts import gather, pairs
from pertoken.store.latency import COLUMN, read_counts
from pertoken.store.schema import ADDED, COUNTED, MarkState, coarse_sums, summed_days

ALL = ""  # the name of the mark of a day that is summed by everything that it is to be summed by


class Ready(NamedTuple):
    """A day that is summed by one thing, and the id of its mark."""

    start_us: int
    sum_id: int


def ready_days(connection: sa.Connection, name: str, since_us: int, until_us: int) -> list[Ready]:
    """Return the days that have an instant of [since, until) and are summed by `name`, in their order."""
    asked = {"name": name, "since_us": since_us - DAY_US, "until_us": until_us}
    return [Ready(*row) for row in connection.execute(_READY, asked)]


def column_of(name: str) -> str:
    """Return the name of the column that has the values of a dimension."""
    return name if name in OF_MODEL else "value"


def read_summed(connection: sa.Connection) -> Iterator[SummedDay]:
    """Yield every day that is summed, by each thing, in order."""
    for start_us, name, sum_id in connection.execute(_ALL_READY).all():
        columns = [coarse_sums.c[column_of(one)] for one in dimensions_of(name)]
        query = sa.select(coarse_sums.c.start_us, coarse_sums.c.currency, *columns, *_SUMS)
        rows = connection.execute(query.where(coarse_sums.c.sum_id == sum_id))
        yield SummedDay(start_us, name, [_sum_of(row, len(columns)) for row in rows])


def _sum_of(row: Sequence[Any], values: int) -> CoarseSum:
    start_us, currency, *rest, latency = row
    sums = rest[values:]
    of_sums = (*sums[: len(COUNTED)], *gather(sums[len(COUNTED) :]))
    return CoarseSum(start_us, tuple(rest[:values]), currency, of_sums, read_counts(latency))


_SUMS = [coarse_sums.c[name] for name in (*COUNTED, *pairs(ADDED), COLUMN)]
_READY = (
    sa.select(summed_days.c.start_us, summed_days.c.sum_id)
    .where(
        summed_days.c.start_us > sa.bindparam("since_us"),
        summed_days.c.start_us < sa.bindparam("until_us"),
        summed_days.c.name == sa.bindparam("name"),
        summed_days.c.state == MarkState.READY,
    )
    .order_by(summed_days.c.start_us)
)
_ALL_READY = (
    sa.select(summed_days.c.start_us, summed_days.c.name, summed_days.c.sum_id)
    .where(summed_days.c.state == MarkState.READY, summed_days.c.name != ALL)
    .order_by(summed_days.c.start_us, summed_days.c.name)
)
