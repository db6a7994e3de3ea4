"""Sums of roll-ups in SQL, for reports and for the counters of new budgets."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX
from pertoken.core.latency import Counts, add_counts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import Grain, Slice, Sum, Sums, Timed
from pertoken.store.amounts import gather, pairs
from pertoken.store.event_rows import FETCH, SELECTED
from pertoken.store.latency import UNTIMED, read_counts
from pertoken.store.schema import ADDED, COUNTED, day_rollups, rollups, series, series_tags

TABLES = {Grain.QUARTER: rollups, Grain.DAY: day_rollups}
COLUMNS = (*COUNTED, *pairs(ADDED))  # of the sums of a roll-up, in their order

Where = tuple[tuple[str, str], ...]


def read_sums(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> Iterator[Sum]:
    """Yield the sums of the roll-ups of a slice by its spans and by `dimensions`, of those that have all of `where`."""
    span = (piece.width_us, piece.offset_us) if piece.width_us else None
    query = _query(piece.grain, span, tuple(dimensions), tuple(sorted(where.items())))
    bounds = {"since_us": piece.start_us, "until_us": piece.end_us}
    values_end = len(dimensions) + 1
    for row in connection.execute(query, bounds):
        yield Sum(row[0], row[1:values_end], row[values_end], rollup_sums(row[values_end + 1 :]))


def read_latencies(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> Iterator[Timed]:
    """Yield the latency counts of the roll-ups of a slice by its spans and by `dimensions`, each once."""
    rows = _as_they_are(TABLES[piece.grain])
    source, columns = _joined(rows, tuple(dict.fromkeys([*dimensions, *where])))
    number = _span(rows, (piece.width_us, piece.offset_us) if piece.width_us else None)
    query = sa.select(number, *(columns[name] for name in dimensions), rows.c.latency).select_from(source)
    query = query.where(rows.c.latency.not_in(UNTIMED), *(columns[name] == value for name, value in where.items()))
    found: dict[tuple[Any, ...], Counts] = {}
    bounds = {"since_us": piece.start_us, "until_us": piece.end_us}
    for *key, text in connection.execute(query, bounds, execution_options={"yield_per": FETCH}):
        add_counts(found.setdefault(tuple(key), {}), read_counts(text))
    return (Timed(key[0], key[1:], counts) for key, counts in found.items())


def rollup_sums(row: Sequence[int]) -> Sums:
    """Return the sums of a roll-up's columns, or of sums of those, in the order of SUMS."""
    counts = len(COUNTED)
    return (*row[:counts], *gather(row[counts:]))


@lru_cache(maxsize=1024)
def _query(grain: Grain, span: tuple[int, int] | None, dimensions: tuple[str, ...], where: Where) -> sa.Select[Any]:
    """Return the query for span, values, currency and sums, each amount in its two parts.

    What is in one span is summed by series first: they are few, and numbers sort faster than texts.
    """
    rows = _by_series(TABLES[grain]) if span is None else _as_they_are(TABLES[grain])
    source, columns = _joined(rows, tuple(dict.fromkeys([*dimensions, *(name for name, _ in where)])))
    number = _span(rows, span)
    values = [columns[name].label(f"value_{at}") for at, name in enumerate(dimensions)]
    sums = [sa.func.sum(rows.c[name]) for name in COLUMNS]
    query: sa.Select[Any] = sa.select(number.label("span"), *values, rows.c.currency, *sums)
    query = query.select_from(source).where(*(columns[name] == value for name, value in where))
    return query.group_by(*([] if span is None else [sa.column("span")]), *values, rows.c.currency)


def _joined(rows: sa.Subquery, names: Sequence[str]) -> tuple[sa.FromClause, dict[str, sa.Column[Any]]]:
    """Return roll-ups joined with their series, and the columns that have the values of dimensions."""
    source: sa.FromClause = rows.join(series, series.c.series_id == rows.c.series_id)
    columns: dict[str, sa.Column[Any]] = {}
    for name in names:
        if name.startswith(TAG_PREFIX):
            tag = series_tags.alias(f"tag_{len(columns)}")
            named = sa.and_(tag.c.series_id == rows.c.series_id, tag.c.name == name.removeprefix(TAG_PREFIX))
            source, columns[name] = source.outerjoin(tag, named), tag.c.value
        else:
            columns[name] = SELECTED[name]
    return source, columns


def _span(rows: sa.Subquery, span: tuple[int, int] | None) -> sa.ColumnElement[int]:
    """Return the number of the span that a roll-up is in: 0 where there is one alone."""
    if span is None:
        return sa.literal_column("0")
    width_us, offset_us = span  # a day more and less, since division rounds towards zero
    return (rows.c.start_us + (offset_us + DAY_US)) // width_us - DAY_US // width_us


def _by_series(table: sa.Table) -> sa.Subquery:
    """Return the sums of each series."""
    key = (table.c.series_id, table.c.currency)
    sums = [sa.func.sum(table.c[name]).label(name) for name in COLUMNS]
    return sa.select(*key, *sums).where(*_within(table)).group_by(*key).subquery("sums")


def _as_they_are(table: sa.Table) -> sa.Subquery:
    return sa.select(table).where(*_within(table)).subquery("sums")


def _within(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.start_us >= sa.bindparam("since_us"), table.c.start_us < sa.bindparam("until_us")
