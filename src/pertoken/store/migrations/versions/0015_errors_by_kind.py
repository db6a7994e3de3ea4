"""Events and released holds say how their provider failed, and roll-ups count it."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

WIDTHS_US = {"rollups": 900_000_000, "day_rollups": 86_400_000_000}
FAILED = ("the provider failed: ", "the client hung up; the provider failed: ")
CUT = "the answer was cut: "
TIMED_OUT = (  # as every version said it
    "the transfer took longer than ", "no answer began within ", "no head of an answer came within ",
    "the body stalled for longer than ",
)  # fmt: skip
PLACES = {"timed_out": 202, "broke_off": 203, "cut": 204}  # in the column with the latency

events = sa.table(
    "events",
    *map(
        sa.column,
        ("id", "series_id", "currency", "occurred_at_us", "source", "corrects", "reason", "attempts", "error"),
    ),
)
archives = sa.table("archives", *map(sa.column, ("month_us", "events", "removed")))
summed_days = sa.table("summed_days", sa.column("start_us"))


def upgrade() -> None:
    """Add the columns, and count the events in the database; of archived events and of earlier holds nobody knows.

    A month that is half archived is left as it is: the file has all of its events, and says no kind of an error.
    """
    connection = op.get_bind()
    for table in ("events", "ended_holds"):
        if all(column["name"] != "error" for column in sa.inspect(connection).get_columns(table)):
            op.add_column(table, sa.Column("error", sa.Text))
    found: dict[str, Counter[tuple[int, int, str, int]]] = {table: Counter() for table in WIDTHS_US}
    kinds = []
    begun = archives.c.removed > 0, archives.c.removed < archives.c.events
    half_archived = set(connection.execute(sa.select(archives.c.month_us).where(*begun)).scalars())
    for row in connection.execute(_failed()).all():
        if half_archived and _month_us(row.occurred_at_us) in half_archived:
            continue
        kind = _kind(row.reason)
        kinds.append({"of_id": row.id, "of_time": row.occurred_at_us, "kind": kind})
        for table, width_us in WIDTHS_US.items():
            start_us = row.occurred_at_us // width_us * width_us
            found[table][start_us, row.series_id, row.currency, PLACES[kind]] += 1
    if not kinds:
        return
    one = sa.and_(events.c.id == sa.bindparam("of_id"), events.c.occurred_at_us == sa.bindparam("of_time"))
    connection.execute(sa.update(events).where(one).values(error=sa.bindparam("kind")), kinds)
    for table, counted in found.items():
        _count(connection, table, counted)
    days = [{"of_day": start_us} for start_us in {key[0] for key in found["day_rollups"]}]
    connection.execute(sa.delete(summed_days).where(summed_days.c.start_us == sa.bindparam("of_day")), days)


def _failed() -> sa.Select[Any]:
    """Return the query for the events of calls that their provider failed and roll-ups have counted."""
    begins = [events.c.reason.startswith(text, autoescape=True) for text in FAILED]
    of_call = events.c.source == "gateway", events.c.corrects.is_(None), events.c.attempts.is_not(None)
    return sa.select(events).where(*of_call, events.c.error.is_(None), sa.or_(*begins))


def _month_us(at_us: int) -> int:
    """Return the start of a month (UTC) from an instant in it."""
    month = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(day=1, hour=0, minute=0, second=0)
    return int(month.timestamp()) * 1_000_000


def _kind(reason: str) -> str:
    """Return the kind of an error by what the event says."""
    told = next(reason.removeprefix(text) for text in reversed(FAILED) if reason.startswith(text))
    return "cut" if told.startswith(CUT) else "timed_out" if told.startswith(TIMED_OUT) else "broke_off"


def _count(connection: sa.Connection, name: str, counted: Counter[tuple[int, int, str, int]]) -> None:
    """Add to the counts of roll-ups."""
    table = sa.table(name, *map(sa.column, ("start_us", "series_id", "currency", "latency")))
    more: dict[tuple[int, int, str], dict[str, int]] = {}
    for (*slot, place), calls in counted.items():
        more.setdefault(tuple(slot), {})[str(place)] = calls  # type: ignore[arg-type] # of three
    for (start_us, series_id, currency), counts in more.items():
        same = sa.and_(table.c.start_us == start_us, table.c.series_id == series_id, table.c.currency == currency)
        text = connection.execute(sa.select(table.c.latency).where(same)).scalar()
        if text is not None:
            merged = json.dumps({**json.loads(text or "{}"), **counts}, separators=(",", ":"))
            connection.execute(sa.update(table).where(same).values(latency=merged))
