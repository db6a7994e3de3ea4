"""What keeps cost from growing with history: roll-ups of quarters of an hour and of days, tags of series, indexes."""

import json

import sqlalchemy as sa
from alembic import op

from pertoken.store import schema
from pertoken.store.migrations import before_0006

revision = "0002"
down_revision = "0001"

TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
QUARTER_US, DAY_US = 900_000_000, 86_400_000_000


def upgrade() -> None:
    """Bring a database of roll-ups by the hour here; one that 0001 has just made has everything."""
    connection = op.get_bind()
    if not any(column["name"] == "hour_us" for column in sa.inspect(connection).get_columns("rollups")):
        return
    op.drop_table("rollups")
    for table, width_us in ((before_0006.rollups, QUARTER_US), (before_0006.day_rollups, DAY_US)):
        table.create(connection)
        connection.exec_driver_sql(_sums(connection.dialect.name, table.name, width_us))
    schema.series_tags.create(connection)
    schema.horizons.create(connection)
    _write_tags(connection)
    _move_counters(connection)
    for table, name in ((schema.ended_holds, "ix_ended_holds_ended_at_us"), (schema.events, "ix_events_source")):
        [index] = [one for one in table.indexes if one.name == name]
        index.create(connection)


def _sums(dialect: str, table: str, width_us: int) -> str:
    """Return the statement that fills a table of roll-ups from the events."""
    tokens = (
        f"coalesce(sum(CAST({_tokens(dialect, unit)} AS bigint)), 0)" for unit in TOKENS
    )  # an event need not name each
    unpriced = "CASE WHEN status = 'priced' THEN 0 ELSE 1 END"
    corrected = "CASE WHEN corrects IS NOT NULL AND was_unpriced THEN 1 ELSE 0 END"
    calls = "sum(CASE WHEN corrects IS NULL THEN 1 ELSE 0 END)"
    sums = ", ".join([calls, f"sum({unpriced} - {corrected})", *tokens, "sum(cost_picos)", "sum(price_picos)"])
    start = f"occurred_at_us / {width_us} * {width_us}"
    return f"INSERT INTO {table} SELECT {start}, series_id, currency, {sums} FROM events GROUP BY 1, 2, 3"  # noqa: S608 - names of our own


def _tokens(dialect: str, unit: str) -> str:
    return f"json_extract(quantities, '$.{unit}')" if dialect == "sqlite" else f"quantities::json ->> '{unit}'"


def _write_tags(connection: sa.Connection) -> None:
    series = sa.table("series", sa.column("series_id"), sa.column("tags"))
    tags = [
        {"series_id": series_id, "number": number, "name": name, "value": value}
        for series_id, text in connection.execute(sa.select(series.c.series_id, series.c.tags))
        for number, (name, value) in enumerate(sorted(json.loads(text or "{}").items()))
    ]
    if tags:
        connection.execute(sa.insert(schema.series_tags), tags)


def _move_counters(connection: sa.Connection) -> None:
    """Put counters in the order of their windows."""
    op.rename_table("counters", "old_counters")
    if connection.dialect.name == "postgresql":  # the name of a key is taken in the whole schema there
        op.execute("ALTER INDEX pk_counters RENAME TO pk_old_counters")
    before_0006.counters.create(connection)
    names = "budget_id, each_value, window_start_us, held, spent"
    op.execute(f"INSERT INTO counters ({names}) SELECT {names} FROM old_counters")  # noqa: S608 - as above
    op.drop_table("old_counters")
