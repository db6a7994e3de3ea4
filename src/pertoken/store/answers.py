"""Stored answers to control-plane requests with an Idempotency-Key."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.periods import DAY_US
from pertoken.ports import store as port
from pertoken.store.schema import Microseconds, metadata

# What requests to the control plane that clients named were answered: kept for a day, without any secret.
answers = sa.Table(
    "answers",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),  # the admin key it was asked with
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("answered_at_us", Microseconds, nullable=False),
)
sa.Index("ix_answers_answered_at_us", answers.c.answered_at_us)

KEPT_US = DAY_US


class Answers:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, owner: str, name: str) -> port.Given | None:
        """Return what `owner` was given for the request it called `name`."""
        query = sa.select(answers.c.request_hash, answers.c.status, answers.c.body)
        row = self._connection.execute(query.where(answers.c.owner == owner, answers.c.name == name)).first()
        return None if row is None else port.Given(*row)

    def add(self, owner: str, name: str, given: port.Given, at_us: int) -> None:
        """Keep an answer, unless there is one of that name; those of more than a day ago are removed."""
        self._connection.execute(sa.delete(answers).where(answers.c.answered_at_us < at_us - KEPT_US))
        if self.find(owner, name) is None:
            kept = {"owner": owner, "name": name, **given._asdict(), "answered_at_us": at_us}
            self._connection.execute(sa.insert(answers).values(kept))


OPENS: Callable[[sa.Connection], port.Answers] = Answers
