"""Sums of roll-ups in SQL, for reports and for the counters of new budgets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import SUMS, Grain, Slice, Sum
from pertoken.store.event_rows import SELECTED
from pertoken.store.schema import day_rollups, rollups, series, series_tags

TABLES = {Grain.QUARTER: rollups, Grain.DAY: day_rollups}
SPLIT = 20  # bits: the low ones of amounts are summed apart, for SQLite's sum() has no more than 64

_COUNTS = [name for name in SUMS if not name.endswith("_picos")]
_AMOUNTS = [name for name in SUMS if name.endswith("_picos")]
assert [*_COUNTS, *_AMOUNTS] == list(SUMS), SUMS


def read_sums(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> Iterator[Sum]:
    """Yield the sums of the roll-ups of a slice by its spans and by `dimensions`, of those that have all of `where`.

    A long slice of short roll-ups is read a day at a time, which sorts faster: values may come more than once.
    """
    query = _query(connection.dialect.name, piece, dimensions, where)
    step_us = DAY_US if piece.grain is Grain.QUARTER else piece.end_us - piece.start_us
    for at_us in range(piece.start_us, piece.end_us, step_us):
        bounds = {"since_us": at_us, "until_us": min(at_us + step_us, piece.end_us)}
        for row in connection.execute(query, bounds):
            yield _sum(tuple(row), len(dimensions))


def _query(dialect: str, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]) -> sa.Select[Any]:
    table = TABLES[piece.grain]
    source: sa.FromClause = table.join(series, series.c.series_id == table.c.series_id)
    columns: dict[str, sa.Column[Any]] = {}
    for name in dict.fromkeys([*dimensions, *where]):
        if name.startswith(TAG_PREFIX):
            tag = series_tags.alias(f"tag_{len(columns)}")
            named = sa.and_(tag.c.series_id == table.c.series_id, tag.c.name == name.removeprefix(TAG_PREFIX))
            source, columns[name] = source.outerjoin(tag, named), tag.c.value
        else:
            columns[name] = SELECTED[name]
    values = [columns[name].label(f"value_{at}") for at, name in enumerate(dimensions)]
    span: sa.ColumnElement[int] = sa.literal_column("0")
    if piece.width_us:  # a day more and less, since division rounds towards zero
        span = (table.c.start_us + (piece.offset_us + DAY_US)) // piece.width_us - DAY_US // piece.width_us
    counts = [sa.cast(sa.func.sum(table.c[name]), sa.BigInteger) for name in _COUNTS]
    amounts = [part for name in _AMOUNTS for part in _in_parts(dialect, table.c[name])]
    query: sa.Select[Any] = sa.select(span.label("span"), *values, table.c.currency, *counts, *amounts)
    query = query.select_from(source)
    query = query.where(table.c.start_us >= sa.bindparam("since_us"), table.c.start_us < sa.bindparam("until_us"))
    query = query.where(*(columns[name] == value for name, value in where.items()))
    return query.group_by(*([sa.column("span")] if piece.width_us else []), *values, table.c.currency)


def _in_parts(dialect: str, amount: sa.ColumnElement[int]) -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    if dialect == "sqlite":
        return sa.func.sum(amount.bitwise_rshift(SPLIT)), sa.func.sum(amount.bitwise_and((1 << SPLIT) - 1))
    return sa.literal_column("0"), sa.func.sum(amount)


def _sum(row: tuple[Any, ...], values: int) -> Sum:
    *counts, cost_high, cost_low, price_high, price_low = row[values + 2 :]
    amounts = ((cost_high << SPLIT) + cost_low, (price_high << SPLIT) + price_low)
    return Sum(row[0], row[1 : values + 1], row[values + 1], (*counts, *amounts))
