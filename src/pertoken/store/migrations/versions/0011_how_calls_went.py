"""Events know their timeline and may have no price; roll-ups count how calls ended and how long they took."""

import sqlalchemy as sa
from alembic import op

from pertoken.store import schema

revision = "0011"
down_revision = "0010"

WIDTHS_US = {"rollups": 900_000_000, "day_rollups": 86_400_000_000}
COUNTED = ("failed_calls", "hung_up_calls", "estimated_calls", "sold_calls")
TIMELINE = ("held_after_us", "sent_after_us", "first_byte_after_us", "last_byte_after_us")
HUNG_UP, FAILED = "the client hung up", "the provider failed"


def upgrade() -> None:
    """Add what is missing, and count how the calls ended that are in the database; of archived ones nobody knows."""
    connection = op.get_bind()
    for table in (*WIDTHS_US, "archived_sums"):
        there = {column["name"] for column in sa.inspect(connection).get_columns(table)}
        for name in (one for one in COUNTED if one not in there):
            op.add_column(table, sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
        if "latency" not in there:
            op.add_column(table, sa.Column("latency", sa.Text, nullable=False, server_default=""))
    names = [column["name"] for column in sa.inspect(connection).get_columns("events")]
    if "attempts" in names:  # the table was made anew meanwhile: what is in it had no price, and is counted below
        op.execute("UPDATE events SET attempts = 0, price_picos_high = NULL, price_picos_low = NULL")
    elif connection.dialect.name == "sqlite":
        _anew(names)
    else:
        _altered()
    for table, width_us in WIDTHS_US.items():
        op.execute(_count(table, width_us))


def _anew(names: list[str]) -> None:
    """Make the table of events anew: SQLite lets no column become empty."""
    connection = op.get_bind()
    for index in sa.inspect(connection).get_indexes("events"):
        op.drop_index(str(index["name"]), "events")
    op.rename_table("events", "old_events")
    schema.events.create(connection)
    kept = ", ".join(name for name in names if not name.startswith("price_picos"))
    op.execute(f"INSERT INTO events ({kept}, attempts) SELECT {kept}, 0 FROM old_events")  # noqa: S608 - names of our own
    op.drop_table("old_events")


def _altered() -> None:
    """Change the table of events in its place; a column that comes with a default writes no row."""
    added = [f"ADD COLUMN {name} BIGINT" for name in ("price_picos_high", "price_picos_low", *TIMELINE)]
    dropped = [f"DROP COLUMN {name}" for name in ("price_picos_high", "price_picos_low")]
    op.execute(f"ALTER TABLE events {', '.join(dropped)}")
    op.execute(f"ALTER TABLE events {', '.join(added)}, ADD COLUMN attempts BIGINT DEFAULT 0")
    op.execute("ALTER TABLE events ALTER COLUMN attempts DROP DEFAULT")


def _count(table: str, width_us: int) -> str:
    """Return the statement that counts in each roll-up which calls failed, were hung up, or were estimated."""
    hung_up, both = _begins(HUNG_UP), f"{HUNG_UP}; {FAILED}"
    ended = {
        "failed_calls": f"{_begins(FAILED)} OR {_begins(both)}",
        "hung_up_calls": hung_up,
        "estimated_calls": "completeness <> 'final'",
    }
    sums = ", ".join(f"sum(CASE WHEN {rule} THEN 1 ELSE 0 END) AS {name}" for name, rule in ended.items())
    start = f"occurred_at_us / {width_us} * {width_us}"
    found = (
        f"SELECT {start} AS start_us, series_id, currency, {sums} FROM events "  # noqa: S608 - names of our own
        f"WHERE corrects IS NULL AND ({' OR '.join(ended.values())}) GROUP BY 1, 2, 3"
    )
    same = " AND ".join(f"{table}.{name} = found.{name}" for name in ("start_us", "series_id", "currency"))
    sets = ", ".join(f"{name} = found.{name}" for name in ended)
    return f"UPDATE {table} SET {sets} FROM ({found}) AS found WHERE {same}"  # noqa: S608


def _begins(text: str) -> str:
    return f"substr(coalesce(reason, ''), 1, {len(text)}) = '{text}'"
