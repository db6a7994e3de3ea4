"""How many calls are in a roll-up of which nothing is known that budgets could count."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

WIDTHS_US = {"rollups": 900_000_000, "day_rollups": 86_400_000_000}


def upgrade() -> None:
    """Add the column, unless the tables were made anew with it, and fill it from the events that are unpriced at 0."""
    connection = op.get_bind()
    for table in (*WIDTHS_US, "archived_sums"):
        if all(column["name"] != "uncounted_calls" for column in sa.inspect(connection).get_columns(table)):
            op.add_column(table, sa.Column("uncounted_calls", sa.BigInteger, nullable=False, server_default="0"))
        of_archives = f"UPDATE {table} SET uncounted_calls = unpriced_calls"  # noqa: S608 - our own names
        op.execute(_fill(table, WIDTHS_US[table]) if table in WIDTHS_US else of_archives)


def _fill(table: str, width_us: int) -> str:
    """Return the statement that counts the events of each roll-up: those without a line, less those corrected since.

    Where all events are archived, those that are unpriced are taken for such: hardly any had a line before.
    """
    unknown = "e.corrects IS NULL AND e.status <> 'priced' AND e.lines = '[]'"
    corrected = "e.corrects IS NOT NULL AND e.was_unpriced AND e.lines NOT LIKE '%,-%'"
    counted = f"sum(CASE WHEN {unknown} THEN 1 WHEN {corrected} THEN -1 ELSE 0 END)"
    of_rollup = (
        f"e.series_id = {table}.series_id AND e.currency = {table}.currency "
        f"AND e.occurred_at_us >= {table}.start_us AND e.occurred_at_us < {table}.start_us + {width_us}"
    )
    return (
        f"UPDATE {table} SET uncounted_calls = (SELECT CASE WHEN count(*) = 0 THEN {table}.unpriced_calls "  # noqa: S608 - our own names
        f"ELSE {counted} END FROM events e WHERE {of_rollup}) WHERE unpriced_calls <> 0"
    )
