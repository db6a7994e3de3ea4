"""Versions of plans, and subscriptions to them."""

from alembic import op

from pertoken.store.schema import plan_versions, subscriptions

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make the tables."""
    plan_versions.create(op.get_bind(), checkfirst=True)
    subscriptions.create(op.get_bind(), checkfirst=True)
