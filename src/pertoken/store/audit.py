"""The records of changes, in the database."""

import sqlalchemy as sa

from pertoken.core.audit import Audited, AuditSearch, Change
from pertoken.store.schema_pages import audit


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
