"""Sums of roll-ups in SQL, for reports and for the counters of new budgets.

Days that are summed coarsely by what is asked for are read from there (`core.coarse`): whole days, and what lies
between two cuts of a day, as the difference of the sums up to these. All else is read from roll-ups: where few series
have what is asked for, theirs alone.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import add, sub
from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX
from pertoken.core.coarse import MODEL, TEAM, Signed, between_cuts, name_for, without_days
from pertoken.core.latency import LatencyCounts, add_counts
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import QUARTER_US, Grain, Slice, Sum, Sums, Timed
from pertoken.ports.archive import ANY, Among
from pertoken.store.amounts import gather, pairs
from pertoken.store.coarse import column_of, ready_cuts, ready_days
from pertoken.store.event_rows import FETCH, SELECTED, has
from pertoken.store.latency import UNTIMED, read_counts
from pertoken.store.schema import ADDED, COUNTED, coarse_sums, day_rollups, rollups, series, series_tags

TABLES = {Grain.QUARTER: rollups, Grain.DAY: day_rollups}
WIDTHS_US = {Grain.QUARTER: QUARTER_US, Grain.DAY: DAY_US}
COLUMNS = (*COUNTED, *pairs(ADDED))  # of the sums of a roll-up, in their order
FEW = 1_000  # series whose roll-ups are found by them; those of more, by time
_COMMON = {"provider", "model"}  # what nearly all series share with many

ONCE = Signed(0, 1)

EqualTo = tuple[tuple[str, str], ...]
_Row = tuple[int, Any, str, Sequence[int]]  # a span or a mark, values, currency, sums in the order of COLUMNS
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
    """A slice, or a part of one, that coarse sums of some marks say, or roll-ups, of some series alone."""

    piece: Slice
    shares: Mapping[int, Sequence[Signed]] | None = None  # by the ids of marks; None: roll-ups say it
    series_ids: Sequence[int] | None = None  # None: of all

    @property
    def bounds(self) -> dict[str, Any]:
        """The parameters of its query."""
        if self.shares is not None:
            return {"sum_ids": list(self.shares)}
        found: dict[str, Any] = {"since_us": self.piece.start_us, "until_us": self.piece.end_us}
        if self.series_ids is not None:
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
    for part in _parts(connection, piece, name, where, among):
        yield from _sums(connection, part, dimensions, where, among)


def read_latencies(
    connection: sa.Connection, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]
) -> Iterator[Timed]:
    """Yield the latency counts of the roll-ups of a slice by its spans and by `dimensions`, each once."""
    name = name_for(piece, [*dimensions, *where])
    found: dict[tuple[Any, ...], LatencyCounts] = {}
    is_timed = piece.grain is Grain.DAY or name in {MODEL, TEAM}
    for part in _parts(connection, piece, name if is_timed else None, where):
        _add_latencies(found, connection, part, dimensions, where)
    return (Timed(key[0], key[1:], counts) for key, counts in found.items() if counts)


def read_values(connection: sa.Connection, dimension: str, where: Mapping[str, str], part: str, most: int) -> list[str]:
    """Return the first values of a dimension, in order, of series that have all of `where`, that contain a text."""
    column = SELECTED[dimension]
    query = sa.select(column).distinct().where(column != "", *(has(name, value) for name, value in where.items()))
    found = connection.execute(query.order_by(column)).scalars()  # not by LIKE: SQLite knows the case of ASCII alone
    wanted = part.lower()
    return list(itertools.islice((value for value in found if wanted in value.lower()), most))


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


def _parts(
    connection: sa.Connection, piece: Slice, name: str | None, where: Mapping[str, str], among: Among = ANY
) -> Iterator[_Part]:
    """Yield what says a slice, each instant of it once."""
    shares: Mapping[int, Sequence[Signed]] = {}
    rest = [piece]
    if name is not None:
        shares, rest = (_of_days if piece.grain is Grain.DAY else _of_cuts)(connection, piece, name)
    if shares:
        yield _Part(piece, shares)
    if rest:
        few = few_series(connection, where, among)
        for one in rest if few is None or few else ():
            for of_day in _by_day(connection, one):
                yield _Part(of_day, series_ids=few)


def _of_days(connection: sa.Connection, piece: Slice, name: str) -> tuple[dict[int, list[Signed]], list[Slice]]:
    """Return the marks of days that say a slice, with the spans that these are in, and what they leave."""
    days = ready_days(connection, name, piece)
    spans = [(day.start_us + piece.offset_us) // piece.width_us if piece.width_us else 0 for day in days]
    shares = {day.sum_id: [Signed(span, 1)] for day, span in zip(days, spans, strict=True)}
    return shares, without_days(piece, [day.start_us for day in days])


def _of_cuts(connection: sa.Connection, piece: Slice, name: str) -> tuple[dict[int, list[Signed]], list[Slice]]:
    """Return the same of a slice of quarters: marks of days up to cuts."""
    cuts = ready_cuts(connection, name, piece)
    shares, rest = between_cuts(piece, [cut.until_us for cut in cuts])
    return {cut.sum_id: shares[cut.until_us] for cut in cuts if cut.until_us in shares}, rest


def _by_day(connection: sa.Connection, piece: Slice) -> Iterator[Slice]:
    """Cut a long slice of quarters into days of its zone, those alone that have roll-ups: small sums sort faster."""
    if piece.grain is not Grain.QUARTER or piece.end_us - piece.start_us <= DAY_US:
        yield piece
        return
    bounds = {"since_us": piece.start_us, "until_us": piece.end_us}
    first_us, last_us = connection.execute(_ENDS, bounds).one()
    if first_us is not None:
        first_us = (first_us + piece.offset_us) // DAY_US * DAY_US - piece.offset_us
        for at_us in range(first_us, last_us + 1, DAY_US):
            yield piece._replace(start_us=max(at_us, piece.start_us), end_us=min(at_us + DAY_US, piece.end_us))


def _shared(rows: Iterable[_Row], shares: Mapping[int, Sequence[Signed]]) -> Iterator[_Row]:
    """Yield rows by mark as rows by the spans that the marks count in; what comes to nothing is not there."""
    found: dict[tuple[int, Sequence[str | None], str], Sequence[int]] = {}
    for sum_id, values, currency, amounts in rows:
        for span, sign in shares[sum_id]:
            key = (span, values, currency)
            before = found.get(key)
            if before is None:
                found[key] = amounts if sign > 0 else [-amount for amount in amounts]
            else:
                found[key] = list(map(add if sign > 0 else sub, before, amounts))
    return ((*key, amounts) for key, amounts in found.items() if any(amounts))


def few_series(connection: sa.Connection, where: Mapping[str, str], among: Among = ANY) -> list[int] | None:
    """Return the series that have all of `where`, and some value of each of `among`; None where they are not few.

    Tags of `among` are not looked at.
    """
    among = {name: values for name, values in among.items() if not name.startswith(TAG_PREFIX)}
    if not (where.keys() | among.keys()) - _COMMON:
        return None
    query = _series_query(tuple(sorted(where.items())))
    for name, values in among.items():
        query = query.where(SELECTED[name].in_(values))
    found = list(connection.execute(query).scalars())
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
    if part.shares is not None:
        query = _coarse_query(asked, by_mark=_by_mark(part.shares))
    else:
        is_long = span is None and piece.end_us - piece.start_us > WIDTHS_US[piece.grain]
        query = _query(piece.grain, asked, is_long=is_long, is_few=part.series_ids is not None)
    values_end = len(dimensions) + 1
    bounds = {**part.bounds, **{f"among_{at}": list(some) for at, some in enumerate(among.values())}}
    rows = itertools.chain.from_iterable(connection.execute(query, bounds).partitions(FETCH))
    split: Iterable[_Row] = ((row[0], row[1:values_end], row[values_end], row[values_end + 1 :]) for row in rows)
    if part.shares is not None and _by_mark(part.shares):
        split = _shared(split, part.shares)
    for at, values, currency, amounts in split:
        yield Sum(at, values, currency, rollup_sums(amounts))


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
    if part.shares is not None:
        rows: sa.FromClause = coarse_sums
        source, columns = _alone(rows, names)
        spans: sa.ColumnElement[int] = coarse_sums.c.sum_id
        within = [_of_marks()]
    else:
        rows = _as_they_are(TABLES[piece.grain], is_few=part.series_ids is not None)
        source, columns = _joined(rows, names)
        spans, within = _span(rows, span), []
    query = sa.select(spans, *(columns[name] for name in dimensions), rows.c.latency).select_from(source)
    has = (columns[name] == value for name, value in where.items())
    query = query.where(rows.c.latency.not_in(UNTIMED), *within, *has)
    for at, *values, text in connection.execute(query, part.bounds, execution_options={"yield_per": FETCH}):
        counts = read_counts(text)
        for one, sign in part.shares[at] if part.shares is not None else [Signed(at, 1)]:
            add_counts(found.setdefault((one, *values), {}), counts, sign)


@lru_cache(maxsize=1024)
def _query(grain: Grain, asked: _Asked, *, is_long: bool, is_few: bool) -> sa.Select[Any]:
    """Return the query for span, values, currency and sums, each amount in its two parts.

    What is long, and in one span, is summed by series first: they are few, and numbers sort faster than texts.
    """
    rows = (_by_series if is_long else _as_they_are)(TABLES[grain], is_few=is_few)
    source, columns = _joined(rows, asked.names)
    return _grouped(rows, source, columns, asked, _span(rows, asked.span) if asked.span else None)


@lru_cache(maxsize=1024)
def _coarse_query(asked: _Asked, *, by_mark: bool) -> sa.Select[Any]:
    """Return the same query of coarse sums, for the ids of marks in place of spans, or all marks together."""
    source, columns = _alone(coarse_sums, asked.names)
    key = coarse_sums.c.sum_id if by_mark else None
    return _grouped(coarse_sums, source, columns, asked, key).where(_of_marks())


def _grouped(
    rows: sa.FromClause,
    source: sa.FromClause,
    columns: Columns,
    asked: _Asked,
    span: sa.ColumnElement[int] | None,
) -> sa.Select[Any]:
    values: list[sa.ColumnElement[Any]] = [
        columns[name].label(f"value_{at}") for at, name in enumerate(asked.dimensions)
    ]
    sums = [sa.func.sum(rows.c[name]) for name in COLUMNS]
    at = sa.literal_column("0") if span is None else span
    picked = [at.label("span"), *values, rows.c.currency, *sums]
    query = sa.select(*picked).select_from(source).where(*(columns[name] == value for name, value in asked.where))
    for number, name in enumerate(asked.among):
        query = query.where(sa.func.coalesce(columns[name], "").in_(sa.bindparam(f"among_{number}", expanding=True)))
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


def _of_marks() -> sa.ColumnElement[bool]:
    return coarse_sums.c.sum_id.in_(sa.bindparam("sum_ids", expanding=True))


def _by_mark(shares: Mapping[int, Sequence[Signed]]) -> bool:
    """Tell whether marks count differently, so that their sums are not to be added up as they are."""
    return any(of != [ONCE] for of in shares.values())


_ENDS = sa.select(
    *(
        sa.select(end(rollups.c.start_us)).where(*_within(rollups)).scalar_subquery()
        for end in (sa.func.min, sa.func.max)
    )
)
