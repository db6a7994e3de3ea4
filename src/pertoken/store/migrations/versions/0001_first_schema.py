"""The first schema: directory, ledger, events, roll-ups, prices."""

import sqlalchemy as sa
from alembic import op

from pertoken.store import schema
from pertoken.store.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table. Later migrations alter; this one may follow the schema until the first release."""
    connection = op.get_bind()
    tables = list(metadata.sorted_tables)
    if connection.dialect.name == "postgresql":
        tables.remove(schema.events)
        _create_partitioned(connection, schema.events)
    metadata.create_all(connection, tables)
    connection.execute(sa.insert(schema.revision).values(id=1, value=1))


def _create_partitioned(connection: sa.Connection, table: sa.Table) -> None:
    """Create the events by month, with the partitions that take what lies before and after all months."""
    parent = table.to_metadata(sa.MetaData())
    parent.c.occurred_at_us.primary_key = True
    parent.c.id.autoincrement = True  # of a key of two columns, none counts by itself unasked
    parent.append_constraint(
        sa.PrimaryKeyConstraint(parent.c.id, parent.c.occurred_at_us)
    )  # must name the month's column
    for check in [one for one in parent.constraints if isinstance(one, sa.CheckConstraint)]:
        parent.constraints.remove(check)  # they are SQLite's, which a copy forgets
    parent.dialect_options["postgresql"]["partition_by"] = "RANGE (occurred_at_us)"
    parent.create(connection)
    for name, within in (
        ("events_before", f"FROM (MINVALUE) TO ({schema.PARTITIONED_FROM_US})"),
        ("events_after", f"FROM ({schema.PARTITIONED_TO_US}) TO (MAXVALUE)"),
    ):
        connection.exec_driver_sql(f"CREATE TABLE {name} PARTITION OF events FOR VALUES {within}")
