"""Where a provider's own statement is charged, what the price book says is kept beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, unless 0001 has just made it."""
    if not any(column["name"] == "book_lines" for column in sa.inspect(op.get_bind()).get_columns("events")):
        op.add_column("events", sa.Column("book_lines", sa.Text, nullable=False, server_default=""))
