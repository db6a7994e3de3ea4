"""Claims: which call a client's name stands for, and what it was answered."""

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.ledger import Books, Claimed, Command, OpenHold, Outcome
from pertoken.core.periods import DAY_US
from pertoken.store.schema import claims, holds
from pertoken.store.statement import Write, select

KEPT_US = DAY_US

_headers = msgspec.json.Decoder(tuple[tuple[bytes, bytes], ...])


def load(cursor: Cursor, books: Books, commands: Sequence[Command]) -> None:
    """Give the books every claim that `commands` ask about."""
    asked = {one.claim[:2] for one in commands if type(one) is OpenHold and one.claim is not None}
    if not asked:
        return
    rows = _CLAIMS.run(cursor, sorted(asked))
    waiting = [(row[3],) for row in rows if row[4] is None]
    still_open = {hold_id for (hold_id,) in _OPEN.run(cursor, waiting)}
    for owner, name, request_hash, call_id, status, headers, body, stream in rows:
        outcome = None if status is None else Outcome(status, _headers.decode(headers), body, bool(stream))
        books.claims[owner, name] = Claimed(request_hash, call_id, call_id in still_open, outcome)


def save(cursor: Cursor, books: Books, now_us: int) -> None:
    """Write new claims, and the outcomes of those whose call is still the one that has them."""
    _PUT.run(cursor, [_row(key, claimed, now_us) for key, claimed in books.new_claims.items()])
    _ANSWER.run(cursor, [_answer(key, claimed) for key, claimed in books.outcomes.items()])


def forget_old(connection: sa.Connection, now_us: int) -> None:
    """Remove the claims of more than a day ago."""
    connection.execute(sa.delete(claims).where(claims.c.claimed_at_us < now_us - KEPT_US))


def _row(key: tuple[str, str], claimed: Claimed, now_us: int) -> tuple[object, ...]:
    return (*key, claimed.request_hash, claimed.call_id, now_us, None, None, None, False)


def _answer(key: tuple[str, str], claimed: Claimed) -> tuple[object, ...]:
    outcome = claimed.outcome
    assert outcome is not None, claimed
    return outcome.status, msgspec.json.encode(outcome.headers), outcome.body, outcome.stream, *key, claimed.call_id


_NAMES: Iterable[str] = [column.name for column in claims.columns]
_DIALECT = sqlite.dialect(paramstyle="qmark")
_CLAIMS = select(
    [claims.c[name] for name in ("owner", "name", "request_hash", "call_id", "status", "headers", "body", "stream")],
    [claims.c.owner, claims.c.name],
)
_OPEN = select([holds.c.hold_id], [holds.c.hold_id])
_new = insert(claims)
_PUT = Write(
    _new.on_conflict_do_update(
        index_elements=["owner", "name"],
        set_={name: _new.excluded[name] for name in _NAMES if name not in ("owner", "name")},
    ),
    list(_NAMES),
    _DIALECT,
)
_ANSWER = Write(
    sa.update(claims)
    .values({name: sa.bindparam(f"new_{name}") for name in ("status", "headers", "body", "stream")})
    .where(
        claims.c.owner == sa.bindparam("of_owner"),
        claims.c.name == sa.bindparam("of_name"),
        claims.c.call_id == sa.bindparam("of_call"),
    ),
    ["new_status", "new_headers", "new_body", "new_stream", "of_owner", "of_name", "of_call"],
    _DIALECT,
)
