"""The tables of coarse sums (core.coarse): which days are summed by what, and those sums.

Sums belong to their mark. Whatever adds to the roll-ups of a day removes the day's marks in the same transaction, and
without its mark a sum is not read any more. A mark's id is never used again, so that a sum which is still being written
for a mark that is gone is never read either.
"""

from enum import StrEnum

import sqlalchemy as sa

from pertoken.store.amounts import columns, fits
from pertoken.store.schema import (
    ADDED,
    COUNTED,
    Id,
    Microseconds,
    day_rollups,
    metadata,
    rollups,
    series,
    series_tags,
)


class MarkState(StrEnum):
    """How far the summing of a day by one thing is."""

    BEGUN = "begun"
    READY = "ready"
    FINE = "fine"  # there would be nearly as many rows as there are roll-ups, so these are read


summed_days = sa.Table(
    "summed_days",
    metadata,
    sa.Column("sum_id", Id, primary_key=True),
    sa.Column("start_us", Microseconds, nullable=False),
    sa.Column("name", sa.Text, nullable=False),  # what it is summed by; empty: all that it is to be summed by
    sa.Column("state", sa.Text, nullable=False),
    sa.UniqueConstraint("start_us", "name", name="one_mark"),
    sqlite_autoincrement=True,
)

coarse_sums = sa.Table(
    "coarse_sums",
    metadata,
    sa.Column("sum_id", Id, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # texts may be too long to index
    sa.Column("start_us", Microseconds, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),  # these two are empty where it is summed by a dimension
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("value", sa.Text),  # of the dimension; null: without that tag
    sa.Column("currency", sa.Text, nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTED),
    *(column for name in ADDED for column in columns(name)),
    sa.Column("latency", sa.Text, nullable=False),  # JSON: core.latency.Counts
    fits("cost_picos", "price_picos"),
    sqlite_with_rowid=False,
)

# What belongs to few series is found by these: the series first, then their roll-ups. PostgreSQL hashes the texts, for
# they may be too long to index otherwise.
SERIES_FOUND_BY = (
    sa.Index("ix_series_key_id", series.c.key_id, postgresql_using="hash"),
    sa.Index("ix_series_team", series.c.team, postgresql_using="hash"),
    sa.Index("ix_series_user_name", series.c.user_name, postgresql_using="hash"),
    sa.Index("ix_series_tags_value", series_tags.c.value, postgresql_using="hash"),
)
ROLLUPS_FOUND_BY = (
    sa.Index("ix_day_rollups_series_id", day_rollups.c.series_id, day_rollups.c.start_us),
    sa.Index("ix_rollups_series_id", rollups.c.series_id, rollups.c.start_us),
)
