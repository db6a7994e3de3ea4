"""Coarse sums of days, and indexes that find the roll-ups of few series."""

from alembic import op

from pertoken.store.schema import ROLLUPS_FOUND_BY, SERIES_FOUND_BY, coarse_sums, summed_days

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the tables and indexes; a process fills them afterwards."""
    for table in (summed_days, coarse_sums):
        table.create(op.get_bind(), checkfirst=True)
    for index in (*SERIES_FOUND_BY, *ROLLUPS_FOUND_BY):
        index.create(op.get_bind(), checkfirst=True)
