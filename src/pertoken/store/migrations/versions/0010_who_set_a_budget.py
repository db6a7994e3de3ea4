"""Budgets know who set them: the owner of a team may change none that an admin has set."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column, unless the table was made with it. Who set the budgets of before is not known: an admin, then."""
    if all(column["name"] != "set_by" for column in sa.inspect(op.get_bind()).get_columns("budgets")):
        op.add_column("budgets", sa.Column("set_by", sa.Text))
