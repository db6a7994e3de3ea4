"""Saved views of Explore."""

from alembic import op

from pertoken.store.saved_views import saved_views

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table."""
    saved_views.create(op.get_bind(), checkfirst=True)
