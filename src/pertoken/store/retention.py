"""How long to keep records that nothing else depends on, so that their tables do not grow for ever.

The process with the housekeeping lease removes them, a bounded number of rows in one transaction.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa

from pertoken.core.periods import DAY_US, Window
from pertoken.store.amounts import pair
from pertoken.store.claims import KEPT_US, claims
from pertoken.store.refusals import refused_counts
from pertoken.store.schema import budgets, counters, ended_holds, horizons

ROWS_MAX = 2_000  # removed from one table in one transaction: a call waits for it no longer than for a batch
SHORT = (Window.MINUTE, Window.HOUR)
COUNTERS, ENDED_HOLDS = "counters", "ended_holds"  # in the table of horizons


class Kept(NamedTuple):
    """How long to keep records that nothing else depends on."""

    ended_holds_us: int = 90 * DAY_US  # holds that were voided or expired
    counters_us: int = 90 * DAY_US  # of windows of minutes and hours


def forget_old(connection: sa.Connection, now_us: int, kept: Kept) -> bool:
    """Remove expired records; return whether more remain than one transaction removes."""
    removed = [
        _remove(connection, claims, claims.c.claimed_at_us < now_us - KEPT_US, ROWS_MAX),
        _forget_holds(connection, now_us - kept.ended_holds_us),
        _remove(connection, refused_counts, refused_counts.c.hour_us < now_us - kept.ended_holds_us, ROWS_MAX),
        _forget_counters(connection, now_us - kept.counters_us),
    ]
    return any(count >= ROWS_MAX for count in removed)


def _forget_holds(connection: sa.Connection, before_us: int) -> int:
    """Remove the holds that were opened and ended before an instant.

    The horizon is written down: `verify` asks for no errors of providers before it.
    """
    old = sa.and_(ended_holds.c.ended_at_us < before_us, ended_holds.c.opened_at_us < before_us)
    removed = _remove(connection, ended_holds, old, ROWS_MAX)
    if removed:
        _move_horizon(connection, ENDED_HOLDS, before_us)
    return removed


def _forget_counters(connection: sa.Connection, before_us: int) -> int:
    """Remove the counters of short windows that began before an instant, once nothing is held there.

    The horizon is written down: `verify` asks for none of them any more.
    """
    short = list(connection.execute(sa.select(budgets.c.budget_id).where(budgets.c.period.in_(SHORT))).scalars())
    removed = 0
    for budget_id in short:
        nothing_held = [counters.c[name] == 0 for name in pair("held")]
        old = sa.and_(counters.c.budget_id == budget_id, counters.c.window_start_us < before_us, *nothing_held)
        removed += _remove(connection, counters, old, ROWS_MAX - removed)
        if removed >= ROWS_MAX:
            break
    if removed:
        _move_horizon(connection, COUNTERS, before_us)
    return removed


def _move_horizon(connection: sa.Connection, name: str, before_us: int) -> None:
    ours = horizons.c.name == name
    known = connection.execute(sa.select(horizons.c.before_us).where(ours)).scalar()
    if known is None:
        connection.execute(sa.insert(horizons).values(name=name, before_us=before_us))
    elif known < before_us:
        connection.execute(sa.update(horizons).where(ours).values(before_us=before_us))


def _remove(connection: sa.Connection, table: sa.Table, old: sa.ColumnElement[bool], limit: int) -> int:
    """Remove up to `limit` of the `old` rows, by their keys; return how many those were."""
    key = list(table.primary_key)
    rows = connection.execute(sa.select(*key).where(old).limit(limit)).all()
    if rows:
        one = sa.and_(*(column == sa.bindparam(f"of_{column.name}") for column in key))
        named: list[dict[str, Any]] = [
            {f"of_{column.name}": value for column, value in zip(key, row, strict=True)} for row in rows
        ]
        connection.execute(sa.delete(table).where(one), named)
    return len(rows)
