"""Coarse sums up to cuts within a day."""

from alembic import op

from pertoken.store.schema import coarse_sums, summed_days

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the tables again: a process fills them afterwards."""
    for table in (coarse_sums, summed_days):
        table.drop(op.get_bind(), checkfirst=True)
        table.create(op.get_bind())
