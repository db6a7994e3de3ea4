"""The currency of a hold: until now every amount that was held was one of US dollars, or taken for one."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, unless 0001 has just made it."""
    inspector = sa.inspect(op.get_bind())
    for table in ("holds", "ended_holds"):
        if not any(column["name"] == "currency" for column in inspector.get_columns(table)):
            op.add_column(table, sa.Column("currency", sa.Text, nullable=False, server_default="USD"))
