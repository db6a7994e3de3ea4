"""Customers belong to teams, teams report within an allowance, names are a team's own; refused calls are recorded."""

import sqlalchemy as sa
from alembic import op

from pertoken.store import schema
from pertoken.store.refusals import refused_calls, refused_counts
from pertoken.store.teams import customer_teams, team_allowances, team_reports

revision = "0009"
down_revision = "0008"

NEW = (customer_teams, team_allowances, team_reports)
REFUSED = (refused_counts, refused_calls)
# Whoever named a customer may go on: those of several teams, or of a key, are written down; else the first one has it.
NAMED = (
    "SELECT customer, team FROM series WHERE customer <> '' "
    "UNION SELECT customer, coalesce(team, '') FROM keys WHERE customer IS NOT NULL AND customer <> ''"
)
OF_KEYS = "SELECT customer FROM keys WHERE customer IS NOT NULL AND team IS NOT NULL"
OF_SEVERAL = f"SELECT customer FROM ({NAMED}) AS n GROUP BY customer HAVING count(*) > 1"  # noqa: S608 - no input
SHARED = (
    f"INSERT INTO customer_teams (customer, team) SELECT customer, team FROM ({NAMED}) AS named "  # noqa: S608
    f"WHERE customer IN ({OF_KEYS}) OR customer IN ({OF_SEVERAL})"
)


def upgrade() -> None:
    """Make what is missing, unless 0001 has just made it."""
    connection = op.get_bind()
    tables = sa.inspect(connection).get_table_names()
    if customer_teams.name not in tables:
        for table in NEW:
            table.create(connection)
        op.execute(SHARED)
    for table in REFUSED:
        if table.name not in tables:
            table.create(connection)
    inspector = sa.inspect(connection)
    if all(index["name"] != "ix_series_customer" for index in inspector.get_indexes("series")):
        next(one for one in schema.series.indexes if one.name == "ix_series_customer").create(connection)
    for index in inspector.get_indexes("budgets"):
        if index["name"] == "ix_budgets_name_live" and index["unique"]:
            op.drop_index("ix_budgets_name_live", "budgets")
            next(one for one in schema.budgets.indexes if one.name == "ix_budgets_name_live").create(connection)
    for rule in inspector.get_unique_constraints("keys"):
        if rule["column_names"] == ["name"]:
            _free_names(connection, rule["name"])


def _free_names(connection: sa.Connection, rule: str | None) -> None:
    """Let two keys have one name; SQLite drops no rule, so the table is made anew there."""
    if connection.dialect.name == "postgresql":
        assert rule is not None
        op.drop_constraint(rule, "keys", type_="unique")
        return
    op.rename_table("keys", "old_keys")
    schema.keys.create(connection)
    names = ", ".join(column["name"] for column in sa.inspect(connection).get_columns("old_keys"))
    op.execute(f"INSERT INTO keys ({names}) SELECT {names} FROM old_keys")  # noqa: S608 - names of our own
    op.drop_table("old_keys")
