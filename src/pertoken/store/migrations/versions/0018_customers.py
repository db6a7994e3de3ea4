"""Customers."""

from alembic import op

from pertoken.store.schema import customers

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Make the table."""
    customers.create(op.get_bind(), checkfirst=True)
