"""Sums of roll-ups in SQL, for reports and for the counters of new budgets."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
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

Where = tuple[tuple[str, str], ...]


def read_sums(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> Iterator[Sum]:
    """Yield the sums of the roll-ups of a slice by its spans and by `dimensions`, of those that have all of `where`."""
    span = (piece.width_us, piece.offset_us) if piece.width_us else None
    query = _query(connection.dialect.name, piece.grain, span, tuple(dimensions), tuple(sorted(where.items())))
    bounds = {"since_us": piece.start_us, "until_us": piece.end_us}
    values_end = len(dimensions) + 1
    for row in connection.execute(query, bounds):
        *counts, cost_high, cost_low, price_high, price_low = row[values_end + 1 :]
        amounts = (*counts, (cost_high << SPLIT) + cost_low, (price_high << SPLIT) + price_low)
        yield Sum(row[0], row[1:values_end], row[values_end], amounts)


@lru_cache(maxsize=1024)
def _query(
    dialect: str, grain: Grain, span: tuple[int, int] | None, dimensions: tuple[str, ...], where: Where
) -> sa.Select[Any]:
    """Return the query for span, values, currency and sums, each amount in two parts.

    What is in one span is summed by series first: they are few, and numbers sort faster than texts.
    """
    rows = _by_series(dialect, TABLES[grain]) if span is None else _as_they_are(dialect, TABLES[grain])
    source: sa.FromClause = rows.join(series, series.c.series_id == rows.c.series_id)
    columns: dict[str, sa.Column[Any]] = {}
    for name in dict.fromkeys([*dimensions, *(name for name, _ in where)]):
        if name.startswith(TAG_PREFIX):
            tag = series_tags.alias(f"tag_{len(columns)}")
            named = sa.and_(tag.c.series_id == rows.c.series_id, tag.c.name == name.removeprefix(TAG_PREFIX))
            source, columns[name] = source.outerjoin(tag, named), tag.c.value
        else:
            columns[name] = SELECTED[name]
    number: sa.ColumnElement[int] = sa.literal_column("0")
    if span is not None:  # a day more and less, since division rounds towards zero
        width_us, offset_us = span
        number = (rows.c.start_us + (offset_us + DAY_US)) // width_us - DAY_US // width_us
    values = [columns[name].label(f"value_{at}") for at, name in enumerate(dimensions)]
    sums = [sa.func.sum(column) for column in rows.columns if column.name not in ("start_us", "series_id", "currency")]
    counts = [sa.cast(one, sa.BigInteger) for one in sums[: len(_COUNTS)]]
    query: sa.Select[Any] = sa.select(number.label("span"), *values, rows.c.currency, *counts, *sums[len(_COUNTS) :])
    query = query.select_from(source).where(*(columns[name] == value for name, value in where))
    return query.group_by(*([] if span is None else [sa.column("span")]), *values, rows.c.currency)


def _by_series(dialect: str, table: sa.Table) -> sa.Subquery:
    """Return the sums of each series."""
    key = (table.c.series_id, table.c.currency)
    sums = [sa.func.sum(column).label(column.name) for column in _columns(dialect, table)]
    return sa.select(*key, *sums).where(*_within(table)).group_by(*key).subquery("sums")


def _as_they_are(dialect: str, table: sa.Table) -> sa.Subquery:
    key = (table.c.start_us, table.c.series_id, table.c.currency)
    return sa.select(*key, *_columns(dialect, table)).where(*_within(table)).subquery("sums")


def _within(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.start_us >= sa.bindparam("since_us"), table.c.start_us < sa.bindparam("until_us")


def _columns(dialect: str, table: sa.Table) -> Iterator[sa.ColumnElement[int]]:
    """Yield what is summed: counts, and the high and the low part of each amount."""
    yield from (table.c[name] for name in _COUNTS)
    for name in _AMOUNTS:
        amount = table.c[name]
        if dialect == "sqlite":
            yield amount.bitwise_rshift(SPLIT).label(f"{name}_high")
            yield amount.bitwise_and((1 << SPLIT) - 1).label(f"{name}_low")
        else:
            yield sa.literal_column("0").label(f"{name}_high")
            yield amount.label(f"{name}_low")
