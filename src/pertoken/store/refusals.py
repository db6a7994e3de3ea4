"""Refused calls in the database: their counts, and the last calls in full."""

from collections.abc import Mapping

import sqlalchemy as sa

from pertoken.core.refusals import WHOLE_MAX, Batch, RefusedCall, RefusedKind, RefusedSearch
from pertoken.store import codec
from pertoken.store.ledger import read_attribution
from pertoken.store.schema import Microseconds, Row, metadata
from pertoken.store.statement import Sql

# How many calls were refused, by hour, reason, budget and key: kept as long as holds that ended. Empty: none.
refused_counts = sa.Table(
    "refused_counts",
    metadata,
    sa.Column("hour_us", Microseconds, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("budget", sa.Text, primary_key=True),  # the name of the one that decided
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The last refused calls, whole (core.refusals.WHOLE_MAX of them). They point to no series: they must not make any.
refused_calls = sa.Table(
    "refused_calls",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("at_us", Microseconds, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("budget", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),  # JSON object, names sorted
    sa.Column("conversation", sa.Text, nullable=False),
)
sa.Index("ix_refused_calls_at_us", refused_calls.c.at_us)

SELECTED: Mapping[str, sa.Column[str]] = {
    name: refused_calls.c[column]
    for name, column in {
        "key": "key_id", "team": "team", "customer": "customer", "user": "user_name",
        "provider": "provider", "model": "model", "conversation": "conversation", "code": "code", "budget": "budget",
    }.items()
}  # fmt: skip


def save(connection: sa.Connection, sql: Sql, batch: Batch) -> None:
    """Add counts, and keep the newest calls whole."""
    new = sql.insert(refused_counts)
    sums = {"calls": refused_counts.c.calls + new.excluded.calls}
    put = new.on_conflict_do_update(index_elements=list(refused_counts.primary_key), set_=sums)
    rows = [{"hour_us": of.hour_us, "code": of.code, "budget": of.budget, "key_id": of.key, "calls": calls}
            for of, calls in sorted(batch.counts.items())]  # fmt: skip
    connection.execute(put, rows)
    connection.execute(sql.insert(refused_calls).on_conflict_do_nothing(), [_row(call) for call in batch.whole])
    number = sa.select(sa.func.count()).select_from(refused_calls).scalar_subquery()
    extra = int(connection.execute(sa.select(number - WHOLE_MAX)).scalar_one())
    if extra > 0:
        oldest = sa.select(refused_calls.c.call_id).order_by(refused_calls.c.at_us, refused_calls.c.call_id)
        connection.execute(sa.delete(refused_calls).where(refused_calls.c.call_id.in_(oldest.limit(extra))))


def find(connection: sa.Connection, call_id: str) -> RefusedCall | None:
    """Return one refused call while it is kept."""
    row = connection.execute(sa.select(refused_calls).where(refused_calls.c.call_id == call_id)).first()
    return None if row is None else _read(row)


def search(connection: sa.Connection, asked: RefusedSearch) -> list[RefusedCall]:
    """Return the newest refused calls that fit, the newest first."""
    fits = [SELECTED[name] == value for name, value in asked.where.items()]
    query = sa.select(refused_calls).where(refused_calls.c.at_us >= asked.since_us, *fits)
    query = query.where(refused_calls.c.at_us < asked.until_us)
    if asked.before is not None:
        query = query.where(sa.tuple_(refused_calls.c.at_us, refused_calls.c.call_id) < asked.before)
    query = query.order_by(refused_calls.c.at_us.desc(), refused_calls.c.call_id.desc()).limit(asked.limit)
    return [_read(row) for row in connection.execute(query)]


def counts(connection: sa.Connection, since_us: int, until_us: int) -> dict[RefusedKind, int]:
    """Return how many calls were refused in the hours that begin in [since, until)."""
    query = sa.select(refused_counts).where(refused_counts.c.hour_us >= since_us, refused_counts.c.hour_us < until_us)
    return {RefusedKind(*row[:4]): row[4] for row in connection.execute(query)}


def _row(call: RefusedCall) -> dict[str, object]:
    of = call.attribution
    return {
        "call_id": call.call_id,
        "at_us": call.at_us,
        "code": call.code,
        "message": call.message,
        "budget": call.budget or "",
        "key_id": of.key or "",
        "team": of.team or "",
        "customer": of.customer or "",
        "user_name": of.user or "",
        "provider": of.provider or "",
        "model": of.model or "",
        "tags": codec.encode_tags(of.tags),
        "conversation": of.conversation or "",
    }


def _read(row: Row) -> RefusedCall:
    of = read_attribution(row, row.conversation or None)
    return RefusedCall(row.call_id, row.at_us, row.code, row.message, row.budget or None, of)
