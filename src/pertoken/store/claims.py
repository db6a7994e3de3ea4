"""Claims in the database: which call a client's name stands for, and its answer."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.claims import Claimed, Outcome
from pertoken.core.commands import Command, OpenHold
from pertoken.core.ledger import Books
from pertoken.core.periods import DAY_US
from pertoken.store.schema import Microseconds, holds, metadata
from pertoken.store.statement import Sql

# Names that clients gave to calls, and what those were answered: kept for a day.
claims = sa.Table(
    "claims",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("claimed_at_us", Microseconds, nullable=False),
    sa.Column("status", sa.Integer),  # of the answer, null until there is one
    sa.Column("headers", sa.LargeBinary),  # JSON: [[name, value], ...]
    sa.Column("body", sa.LargeBinary),  # null where it was too large
    sa.Column("stream", sa.Boolean, nullable=False),
)
sa.Index("ix_claims_claimed_at_us", claims.c.claimed_at_us)

KEPT_US = DAY_US

_headers = msgspec.json.Decoder(tuple[tuple[bytes, bytes], ...])


class Claims:
    """Loads and saves the claims of `Books`."""

    def __init__(self, sql: Sql) -> None:
        names = [column.name for column in claims.columns]
        key = [claims.c.owner, claims.c.name]
        asked = ("owner", "name", "request_hash", "call_id", "status", "headers", "body", "stream")
        self._claims = sql.select([claims.c[name] for name in asked], key)
        self._open = sql.select([holds.c.hold_id], [holds.c.hold_id])
        new = sql.insert(claims)
        taken = {name: new.excluded[name] for name in names if name not in claims.primary_key.columns}
        self._put = sql.write(new.on_conflict_do_update(index_elements=["owner", "name"], set_=taken), names)
        answered = ("status", "headers", "body", "stream")
        self._answer = sql.write(
            sa.update(claims)
            .values({name: sa.bindparam(f"new_{name}") for name in answered})
            .where(
                claims.c.owner == sa.bindparam("of_owner"),
                claims.c.name == sa.bindparam("of_name"),
                claims.c.call_id == sa.bindparam("of_call"),
            ),
            [*(f"new_{name}" for name in answered), "of_owner", "of_name", "of_call"],
        )

    def load(self, cursor: Cursor, books: Books, commands: Sequence[Command]) -> None:
        """Give the books every claim that `commands` ask about."""
        asked = {one.claim[:2] for one in commands if type(one) is OpenHold and one.claim is not None}
        if not asked:
            return
        rows = self._claims.run(cursor, sorted(asked))
        waiting = [(row[3],) for row in rows if row[4] is None]
        still_open = {hold_id for (hold_id,) in self._open.run(cursor, waiting)}
        for owner, name, request_hash, call_id, status, headers, body, stream in rows:
            outcome = None if status is None else Outcome(status, _headers.decode(headers), body, bool(stream))
            books.claims[owner, name] = Claimed(request_hash, call_id, call_id in still_open, outcome)

    def save(self, cursor: Cursor, books: Books, now_us: int) -> None:
        """Write new claims, and the outcomes of those whose call is still the one that has them."""
        self._put.run(cursor, [_row(key, claimed, now_us) for key, claimed in books.new_claims.items()])
        self._answer.run(cursor, [_answer(key, claimed) for key, claimed in books.outcomes])


def _row(key: tuple[str, str], claimed: Claimed, now_us: int) -> tuple[object, ...]:
    return (*key, claimed.request_hash, claimed.call_id, now_us, None, None, None, False)


def _answer(key: tuple[str, str], claimed: Claimed) -> tuple[object, ...]:
    outcome = claimed.outcome
    assert outcome is not None, claimed
    return outcome.status, msgspec.json.encode(outcome.headers), outcome.body, outcome.stream, *key, claimed.call_id
