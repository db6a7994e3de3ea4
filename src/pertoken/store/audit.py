"""The records of changes, in the database."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.audit import Audited, AuditSearch, Change
from pertoken.ports import audit as port
from pertoken.store.schema import Id, Microseconds, metadata

# Who changed what. Rows are added and never altered.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", Id, primary_key=True),
    sa.Column("at_us", Microseconds, nullable=False),
    sa.Column("actor_id", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("through", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("team", sa.Text),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
)
sa.Index("ix_audit_object", audit.c.object, audit.c.number)


class AuditLog:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, change: Change) -> None:
        """Write a change down."""
        self._connection.execute(sa.insert(audit).values(change._asdict()))

    def search(self, asked: AuditSearch) -> list[Audited]:
        """Return the newest changes that fit, the newest first."""
        query = sa.select(audit).where(audit.c.at_us >= asked.since_us, audit.c.at_us < asked.until_us)
        if asked.before is not None:
            query = query.where(audit.c.number < asked.before)
        for name in ("team", "object", "actor_id"):
            value = getattr(asked, name)
            if value is not None:
                query = query.where(audit.c[name] == value)
        rows = self._connection.execute(query.order_by(audit.c.number.desc()).limit(asked.limit))
        return [Audited(number, Change(*fields)) for number, *fields in rows]


OPENS: Callable[[sa.Connection], port.AuditLog] = AuditLog
