"""Amounts, and the sums of tokens, in two columns each: one of 64 bits was full at 4.6 million US dollars."""

import sqlalchemy as sa
from alembic import op

from pertoken.store.tables import metadata

revision = "0006"
down_revision = "0005"

HALF = 10**12
SUMS = (
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_picos",
    "price_picos",
)  # fmt: skip
AMOUNTS = {
    "budgets": ("limit_amount",),
    "counters": ("held", "spent"),
    "holds": ("amount_picos",),
    "ended_holds": ("amount_picos",),
    "events": ("cost_picos", "price_picos", "held_picos", "overrun_picos"),
    "postings": ("amount_picos",),
    "accounts": ("balance_picos",),
    "rollups": SUMS,
    "day_rollups": SUMS,
    "archived_sums": SUMS,
    "archived_entries": ("amount_picos",),
    "prices": ("amount_picos",),
}


def upgrade() -> None:
    """Divide every amount, unless 0001 has just made the tables as they are now."""
    connection = op.get_bind()
    divide = _divide_sqlite if connection.dialect.name == "sqlite" else _divide_postgresql
    for table, amounts in AMOUNTS.items():
        names = [column["name"] for column in sa.inspect(connection).get_columns(table)]
        if amounts[0] in names:
            divide(table, amounts, names)


def _divide_sqlite(table: str, amounts: tuple[str, ...], names: list[str]) -> None:
    """Make the table anew: SQLite removes no column that a CHECK names."""
    connection = op.get_bind()
    for index in sa.inspect(connection).get_indexes(table):
        if index["name"] is not None and not index["name"].startswith("sqlite_autoindex"):
            op.drop_index(index["name"], table)
    op.rename_table(table, f"old_{table}")
    metadata.tables[table].create(connection)
    kept = [name for name in names if name not in amounts]
    low = "({0} % {1} + {1}) % {1}"  # division and rest round towards zero there
    halves = [f"({one} - {low.format(one, HALF)}) / {HALF}, {low.format(one, HALF)}" for one in amounts]
    into = ", ".join([*kept, *(f"{one}_high, {one}_low" for one in amounts)])
    values = ", ".join([*kept, *halves])
    op.execute(f"INSERT INTO {table} ({into}) SELECT {values} FROM old_{table}")  # noqa: S608 - names of our own
    op.drop_table(f"old_{table}")


def _divide_postgresql(table: str, amounts: tuple[str, ...], _: list[str]) -> None:
    for one in amounts:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {one}_high BIGINT, ADD COLUMN {one}_low BIGINT")
    high = "floor({0} / {1}::numeric)"
    sets = ", ".join(
        f"{one}_high = {high.format(one, HALF)}, {one}_low = {one} - {high.format(one, HALF)} * {HALF}"
        for one in amounts
    )
    op.execute(f"UPDATE {table} SET {sets}")  # noqa: S608 - names of our own
    for one in amounts:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {one}")
        op.execute(f"ALTER TABLE {table} ALTER {one}_high SET NOT NULL, ALTER {one}_low SET NOT NULL")
    if table == "counters":  # the rule went with its column
        op.execute("ALTER TABLE counters ADD CONSTRAINT held_not_negative CHECK (held_high >= 0)")
