"""Receipts."""

from alembic import op

from pertoken.store.receipts import receipts

revision = "receipts"
down_revision = "HEAD"


def upgrade() -> None:
    """Make the table, unless 0001 has just made it."""
    receipts.create(op.get_bind(), checkfirst=True)
