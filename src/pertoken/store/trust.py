"""Trust in counts, in the database. It is part of the directory, so every change is a new revision."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.trust import Doubt, Trust
from pertoken.store.schema import Microseconds, metadata, revision
from pertoken.store.statement import Sql

# How far our count of a model's input is believed where its provider reported more, and what showed it.
count_trust = sa.Table(
    "count_trust",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),  # as the provider is asked for it
    sa.Column("constant_tokens", sa.BigInteger, nullable=False),
    sa.Column("ratio_percent", sa.BigInteger, nullable=False),
    sa.Column("byte_ratio_percent", sa.BigInteger, nullable=False),
    sa.Column("counted_tokens", sa.BigInteger, nullable=False),  # of the last call that changed it
    sa.Column("reported_tokens", sa.BigInteger, nullable=False),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("changed_at_us", Microseconds, nullable=False),
)

NAMES = [column.name for column in count_trust.c]


class HotDoubts:
    """Writes doubts in the transaction of the settlements that raised them."""

    def __init__(self, sql: Sql) -> None:
        new = sql.insert(count_trust)
        key = list(count_trust.primary_key)
        changed = {name: new.excluded[name] for name in NAMES if name not in count_trust.primary_key}
        self._put = sql.write(new.on_conflict_do_update(index_elements=key, set_=changed), NAMES)
        self._set = sql.write(sa.update(revision).values(value=sa.bindparam("new_value")), ["new_value"])

    def save(self, cursor: Cursor, doubts: Iterable[Doubt], new_revision: int) -> None:
        """Write doubts, and the revision that makes every decision on the trust of before stale."""
        self._put.run(cursor, [_row(doubt) for doubt in doubts])
        self._set.run(cursor, [(new_revision,)])


def read_doubts(connection: sa.Connection) -> list[Doubt]:
    """Return every doubt, by provider and model."""
    rows = connection.execute(sa.select(count_trust).order_by(count_trust.c.provider, count_trust.c.model))
    return [Doubt(row[0], row[1], Trust(*row[2:5]), *row[5:]) for row in rows]


def forget_doubt(connection: sa.Connection, provider: str, model: str) -> bool:
    """Remove a doubt; tell whether there was one."""
    one = sa.and_(count_trust.c.provider == provider, count_trust.c.model == model)
    return connection.execute(sa.delete(count_trust).where(one)).rowcount > 0


def _row(doubt: Doubt) -> tuple[Any, ...]:
    return (doubt.provider, doubt.model, *doubt.trust, *doubt[3:])
