"""Sums of roll-ups in SQL, for reports and for the counters of new budgets.

Days that are summed coarsely by what is asked for are read from there (`core.coarse`), all others from roll-ups: where
few series have what is asked for, theirs alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX
from pertoken.core.coarse import HOUR, divide, name_for
from pertoken.core.latency import LatencyCounts, add_counts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import QUARTER_US, Grain, Slice, Sum, Sums, Timed
from pertoken.ports.archive import ANY, Among
from pertoken.store.amounts import gather, pairs
from pertoken.store.coarse import column_of, ready_days
from pertoken.store.event_rows import FETCH, SELECTED
from pertoken.store.latency import UNTIMED, read_counts
from pertoken.store.schema import ADDED, COUNTED, coarse_sums, day_rollups, rollups, series, series_tags

TABLES = {Grain.QUARTER: rollups, Grain.DAY: day_rollups}
WIDTHS_US = {Grain.QUARTER: QUARTER_US, Grain.DAY: DAY_US}
COLUMNS = (*COUNTED, *pairs(ADDED))  # of the sums of a roll-up, in their order
FEW = 1_000  # series whose roll-ups are found by them; those of more, by time
_COMMON = {"provider", "model"}  # what nearly all series share with many

EqualTo = tuple[tuple[str, str], ...]
Columns = dict[str, sa.ColumnElement[Any]]


class _Asked(NamedTuple):
    """What a query is to say: by spans of (width, offset) or in one, by dimensions, of what."""

    span: tuple[int, int] | None
    dimensions: tuple[str, ...]
    where: EqualTo
    among: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The dimensions that it is about, each once."""
        return list(dict.fromkeys([*self.dimensions, *(name for name, _ in self.where)]))


class _Part(NamedTuple):
    """A slice, or a part of one, and what says it: coarse sums of some marks, or roll-ups, of some series alone."""

    piece: Slice
    sum_ids: Sequence[int] | None = None
    series_ids: Sequence[int] | None = None  # None: of all

    @property
    def bounds(self) -> dict[str, Any]:
        """The parameters of its query."""
        found: dict[str, Any] = {"since_us": self.piece.start_us, "until_us": self.piece.end_us}
        if self.sum_ids is not None:
            found["sum_ids"] = self.sum_ids
        elif self.series_ids is not None:
            found["series_ids"] = self.series_ids
        return found


def read_sums(
    connection: sa.Connection,
    piece: Slice,
    dimensions: Sequence[str],
    where: Mapping[str, str],
    among: Among = ANY,
) -> Iterator[Sum]:
    """Yield the sums of the roll-ups of a slice by its spans and by `dimensions`, of those that have all of `where`.

    Of each dimension of `among`, those values alone. Values may come more than once.
    """
    name = name_for(piece, [*dimensions, *where])
    for part in _parts(connection, piece, name, where):
        yield from _sums(connection, part, dimensions, where, among)


def read_latencies(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> Iterator[Timed]:
    """Yield the latency counts of the roll-ups of a slice by its spans and by `dimensions`, each once."""
    name = name_for(piece, [*dimensions, *where])
    found: dict[tuple[Any, ...], LatencyCounts] = {}
    for part in _parts(connection, piece, None if name == HOUR else name, where):  # hours are not timed
        _add_latencies(found, connection, part, dimensions, where)
    return (Timed(key[0], key[1:], counts) for key, counts in found.items())


def read_fine_sums(connection: sa.Connection, piece: Slice, dimensions: Sequence[str]) -> Iterator[Sum]:
    """Yield the sums of a slice from roll-ups, whatever coarse sums there are."""
    return _sums(connection, _Part(piece), dimensions, {}, ANY)


def read_fine_latencies(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str]
) -> dict[tuple[Any, ...], LatencyCounts]:
    """Return the latency counts of a slice from roll-ups, by span and values."""
    found: dict[tuple[Any, ...], LatencyCounts] = {}
    _add_latencies(found, connection, _Part(piece), dimensions, {})
    return found


def rollup_sums(row: Sequence[int]) -> Sums:
    """Return the sums of a roll-up's columns, or of sums of those, in the order of SUMS."""
    counts = len(COUNTED)
    return (*row[:counts], *gather(row[counts:]))


def _parts(connection: sa.Connection, piece: Slice, name: str | None, where: Mapping[str, str]) -> Iterator[_Part]:
    """Yield what says a slice, each instant of it once."""
    rest = [piece]
    if name is not None:
        days = ready_days(connection, name, piece.start_us, piece.end_us)
        (start_us, end_us), rest = divide(piece, [day.start_us for day in days])
        if days:
            yield _Part(piece._replace(start_us=start_us, end_us=end_us), [day.sum_id for day in days])
    if rest:
        few = few_series(connection, where)
        for one in rest if few is None or few else ():
            yield _Part(one, series_ids=few)


def few_series(connection: sa.Connection, where: Mapping[str, str]) -> list[int] | None:
    """Return the series that have all of `where`, None where they are not few."""
    if not where.keys() - _COMMON:
        return None
    found = list(connection.execute(_series_query(tuple(sorted(where.items())))).scalars())
    return None if len(found) > FEW else found


@lru_cache(maxsize=1024)
def _series_query(where: EqualTo) -> sa.Select[Any]:
    query = sa.select(series.c.series_id).limit(FEW + 1)
    for name, value in where:
        if name.startswith(TAG_PREFIX):
            tagged = series_tags.c.name == name.removeprefix(TAG_PREFIX), series_tags.c.value == value
            query = query.where(series.c.series_id.in_(sa.select(series_tags.c.series_id).where(*tagged)))
        else:
            query = query.where(SELECTED[name] == value)
        if name == "customer" and value:
            query = query.where(series.c.customer != "")  # only with these words may its index be used
    return query


def _sums(
    connection: sa.Connection, part: _Part, dimensions: Sequence[str], where: Mapping[str, str], among: Among
) -> Iterator[Sum]:
    piece = part.piece
    span = (piece.width_us, piece.offset_us) if piece.width_us else None
    asked = _Asked(span, tuple(dimensions), tuple(sorted(where.items())), tuple(among))
    if part.sum_ids is not None:
        query = _coarse_query(asked)
    else:
        is_long = span is None and piece.end_us - piece.start_us > WIDTHS_US[piece.grain]
        query = _query(piece.grain, asked, is_long=is_long, is_few=part.series_ids is not None)
    values_end = len(dimensions) + 1
    bounds = {**part.bounds, **{f"among_{at}": list(some) for at, some in enumerate(among.values())}}
    for row in connection.execute(query, bounds):
        yield Sum(row[0], row[1:values_end], row[values_end], rollup_sums(row[values_end + 1 :]))


def _add_latencies(
    found: dict[tuple[Any, ...], LatencyCounts],
    connection: sa.Connection,
    part: _Part,
    dimensions: Sequence[str],
    where: Mapping[str, str],
) -> None:
    """Add the latency counts of a part, by span and values."""
    piece = part.piece
    span = (piece.width_us, piece.offset_us) if piece.width_us else None
    names = list(dict.fromkeys([*dimensions, *where]))
    if part.sum_ids is not None:
        rows = sa.select(coarse_sums).where(*_of_marks()).subquery("sums")
        source, columns = _alone(rows, names)
    else:
        rows = _as_they_are(TABLES[piece.grain], is_few=part.series_ids is not None)
        source, columns = _joined(rows, names)
    query = sa.select(_span(rows, span), *(columns[name] for name in dimensions), rows.c.latency).select_from(source)
    query = query.where(rows.c.latency.not_in(UNTIMED), *(columns[name] == value for name, value in where.items()))
    for *key, text in connection.execute(query, part.bounds, execution_options={"yield_per": FETCH}):
        add_counts(found.setdefault(tuple(key), {}), read_counts(text))


@lru_cache(maxsize=1024)
def _query(grain: Grain, asked: _Asked, *, is_long: bool, is_few: bool) -> sa.Select[Any]:
    """Return the query for span, values, currency and sums, each amount in its two parts.

    What is long, and in one span, is summed by series first: they are few, and numbers sort faster than texts.
    """
    rows = (_by_series if is_long else _as_they_are)(TABLES[grain], is_few=is_few)
    source, columns = _joined(rows, asked.names)
    return _grouped(rows, source, columns, asked)


@lru_cache(maxsize=1024)
def _coarse_query(asked: _Asked) -> sa.Select[Any]:
    """Return the same query of coarse sums."""
    source, columns = _alone(coarse_sums, asked.names)
    return _grouped(coarse_sums, source, columns, asked).where(*_of_marks())


def _grouped(rows: sa.FromClause, source: sa.FromClause, columns: Columns, asked: _Asked) -> sa.Select[Any]:
    span = asked.span
    values: list[sa.ColumnElement[Any]] = [
        columns[name].label(f"value_{at}") for at, name in enumerate(asked.dimensions)
    ]
    sums = [sa.func.sum(rows.c[name]) for name in COLUMNS]
    picked = [_span(rows, span).label("span"), *values, rows.c.currency, *sums]
    query = sa.select(*picked).select_from(source).where(*(columns[name] == value for name, value in asked.where))
    for at, name in enumerate(asked.among):
        query = query.where(sa.func.coalesce(columns[name], "").in_(sa.bindparam(f"among_{at}", expanding=True)))
    return query.group_by(*([] if span is None else [sa.column("span")]), *values, rows.c.currency)


def _joined(rows: sa.FromClause, names: Sequence[str]) -> tuple[sa.FromClause, Columns]:
    """Return roll-ups, joined with their series where there are dimensions, and the columns that have their values."""
    if not names:
        return rows, {}
    source: sa.FromClause = rows.join(series, series.c.series_id == rows.c.series_id)
    columns: Columns = {}
    for name in names:
        if name.startswith(TAG_PREFIX):
            tag = series_tags.alias(f"tag_{len(columns)}")
            named = sa.and_(tag.c.series_id == rows.c.series_id, tag.c.name == name.removeprefix(TAG_PREFIX))
            source, columns[name] = source.outerjoin(tag, named), tag.c.value
        else:
            columns[name] = SELECTED[name]
    return source, columns


def _alone(rows: sa.FromClause, names: Sequence[str]) -> tuple[sa.FromClause, Columns]:
    """Return coarse sums, and the columns that have the values of dimensions."""
    return rows, {name: rows.c[column_of(name)] for name in names}


def _span(rows: sa.FromClause, span: tuple[int, int] | None) -> sa.ColumnElement[int]:
    """Return the number of the span that a roll-up is in: 0 where there is one alone."""
    if span is None:
        return sa.literal_column("0")
    width_us, offset_us = span  # a day more and less, since division rounds towards zero
    return (rows.c.start_us + (offset_us + DAY_US)) // width_us - DAY_US // width_us


def _by_series(table: sa.Table, *, is_few: bool) -> sa.Subquery:
    """Return the sums of each series."""
    key = (table.c.series_id, table.c.currency)
    sums = [sa.func.sum(table.c[name]).label(name) for name in COLUMNS]
    return sa.select(*key, *sums).where(*_within(table), *_few(table, is_few)).group_by(*key).subquery("sums")


def _as_they_are(table: sa.Table, *, is_few: bool) -> sa.Subquery:
    return sa.select(table).where(*_within(table), *_few(table, is_few)).subquery("sums")


def _within(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.start_us >= sa.bindparam("since_us"), table.c.start_us < sa.bindparam("until_us")


def _few(table: sa.Table, is_few: bool) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.series_id.in_(sa.bindparam("series_ids", expanding=True)),) if is_few else ()


def _of_marks() -> tuple[sa.ColumnElement[bool], ...]:
    return coarse_sums.c.sum_id.in_(sa.bindparam("sum_ids", expanding=True)), *_within(coarse_sums)
