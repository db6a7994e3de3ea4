"""The price book's rows in the database: reads them into a `PriceBook`, adds and closes rows, never changes one."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from pertoken.core.conditions import Conditions
from pertoken.core.money import join, split
from pertoken.core.periods import Window
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.prices import Clause, Match, PriceRow, Quota, Source
from pertoken.store import codec
from pertoken.store.amounts import columns, fits, pair
from pertoken.store.directory import bump_revision
from pertoken.store.schema import Microseconds, Row, metadata

prices = sa.Table(
    "prices",
    metadata,
    sa.Column("price_id", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("match", sa.Text, nullable=False),
    sa.Column("rule", sa.Text),  # JSON tree of clauses
    sa.Column("unit", sa.Text, nullable=False),
    *columns("amount_picos"),
    sa.Column("per", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("valid_from_us", Microseconds, nullable=False),
    sa.Column("valid_to_us", Microseconds, nullable=False),
    sa.Column("recorded_at_us", Microseconds, nullable=False),
    sa.Column("superseded_at_us", Microseconds),  # when a newer row took its place; a superseded row is kept, not used
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("input_above", sa.BigInteger),
    sa.Column("conditions", sa.Text, nullable=False),  # JSON object, all must hold
    sa.Column("covers", sa.Text, nullable=False),  # JSON list of units
    sa.Column("marginal", sa.Boolean, nullable=False),
    sa.Column("minimum", sa.BigInteger, nullable=False),
    sa.Column("is_factor", sa.Boolean, nullable=False),
    sa.Column("stacks", sa.Boolean, nullable=False),
    sa.Column("quota", sa.Text),  # JSON list: quantity, window, group
    fits("amount_picos"),
)
sa.Index("ix_prices_provider", prices.c.provider, prices.c.model)

TEXTS_MAX = 4_096  # that are remembered of a kind: about 2,000 rules are shipped
_MATCHES = {one.value: one for one in Match}
_SOURCES = {one.value: one for one in Source}
# As PriceRow has them, with the amount in two columns.
_FIELDS = [
    prices.c[column] for name in PriceRow._fields for column in (pair(name) if name == "amount_picos" else (name,))
]
_RECORDED_AT = [column.name for column in _FIELDS].index("recorded_at_us")


def read_book(connection: sa.Connection, sellers: Sellers, believed_at_us: int | None = None) -> PriceBook:
    """Return the book of all rows in use, or of those that were believed at an instant."""
    if believed_at_us is None:
        return PriceBook(read_rows(connection), sellers)
    believed = (
        row
        for row in read_rows(connection, superseded=True)
        if row.recorded_at_us <= believed_at_us
        and (row.superseded_at_us is None or row.superseded_at_us > believed_at_us)
    )
    return PriceBook(believed, sellers)


def read_rows(connection: sa.Connection, *, source: Source | None = None, superseded: bool = False) -> list[PriceRow]:
    """Return all rows in use, of one `source` if given; with `superseded` also those that a newer row replaced."""
    query = sa.select(*_FIELDS)
    if source is not None:
        query = query.where(prices.c.source == source)
    if not superseded:
        query = query.where(prices.c.superseded_at_us.is_(None))
    return [_read(row) for row in connection.execute(query)]


def add_rows(connection: sa.Connection, rows: Sequence[PriceRow]) -> int:
    """Add the rows that are not there yet, by their id; return how many were new."""
    known = set(connection.execute(sa.select(prices.c.price_id)).scalars())
    new = {row.price_id: _write(row) for row in rows if row.price_id not in known}
    if new:
        connection.execute(sa.insert(prices), list(new.values()))
        bump_revision(connection)
    return len(new)


def supersede(connection: sa.Connection, price_ids: Iterable[str], at_us: int) -> None:
    """Take rows out of use; they stay for the events that were rated by them."""
    ids = [{"b_id": price_id} for price_id in price_ids]
    if ids:
        by_id = sa.update(prices).where(prices.c.price_id == sa.bindparam("b_id"))
        connection.execute(by_id.values(superseded_at_us=at_us), ids)
        bump_revision(connection)


def is_empty(connection: sa.Connection) -> bool:
    """Tell whether no price was ever imported."""
    return connection.execute(sa.select(prices.c.price_id).limit(1)).first() is None


def _read(row: Row) -> PriceRow:
    """Return the price of a row of `_FIELDS`. There are thousands, of which many share a text, so it is read once."""
    identity, provider, model, match, unit, high, low, per, currency, valid_from_us, valid_to_us = row[:_RECORDED_AT]
    recorded_at_us, source, evidence, input_above, conditions, rule, covers, *rest = row[_RECORDED_AT:]
    marginal, minimum, is_factor, stacks, quota, superseded_at_us = rest
    return PriceRow(
        identity, provider, model, _MATCHES[match], unit, join(high, low), per, currency,
        valid_from_us, valid_to_us, recorded_at_us, _SOURCES[source], evidence, input_above,
        _read_conditions(conditions), None if rule is None else _read_rule(rule), _read_covers(covers),
        marginal, minimum, is_factor, stacks, None if quota is None else _read_quota(quota), superseded_at_us,
    )  # fmt: skip


def _write(row: PriceRow) -> dict[str, Any]:
    fields = row._asdict()
    return {
        **fields,
        **dict(zip(pair("amount_picos"), split(fields.pop("amount_picos")), strict=True)),
        "conditions": codec.encode(dict(row.conditions)),
        "rule": None if row.rule is None else codec.encode(row.rule),
        "covers": codec.encode(row.covers),
        "quota": None if row.quota is None else codec.encode(row.quota),
    }


@functools.lru_cache(TEXTS_MAX)
def _read_conditions(text: str) -> Conditions:
    return tuple(sorted(codec.decode(text).items()))


@functools.lru_cache(TEXTS_MAX)
def _read_covers(text: str) -> tuple[str, ...]:
    return tuple(codec.decode(text))


@functools.lru_cache(TEXTS_MAX)
def _read_quota(text: str) -> Quota:
    quantity, window, group = codec.decode(text)
    return Quota(quantity, Window(window), group)


@functools.lru_cache(TEXTS_MAX)
def _read_rule(text: str) -> Clause:
    return _read_clause(codec.decode(text))


def _read_clause(value: list[Any]) -> Clause:
    op, text, parts = value
    return Clause(op, text, tuple(_read_clause(part) for part in parts))
