"""Tables as they were before an amount had two columns, for the migrations that made them."""

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"})

Picos = sa.BigInteger().with_variant(sa.Numeric(38, 0), "postgresql")
_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def _key(*names: str) -> list[sa.Column[Any]]:
    types: dict[str, Any] = {"currency": sa.Text, "start_us": sa.BigInteger}
    return [sa.Column(name, types.get(name, _Id), primary_key=True) for name in names]


def _sums() -> list[sa.Column[Any]]:
    counts = [sa.Column(name, sa.BigInteger, nullable=False) for name in ("calls", "unpriced_calls", *_TOKENS)]
    return [*counts, *(sa.Column(name, Picos, nullable=False) for name in ("cost_picos", "price_picos"))]


counters = sa.Table(
    "counters",
    metadata,
    sa.Column("budget_id", sa.Text),
    sa.Column("each_value", sa.Text),
    sa.Column("window_start_us", sa.BigInteger),
    sa.Column("held", Picos, nullable=False),
    sa.Column("spent", Picos, nullable=False),
    sa.PrimaryKeyConstraint("budget_id", "window_start_us", "each_value"),
    sqlite_with_rowid=False,
)
rollups = sa.Table("rollups", metadata, *_key("start_us", "series_id", "currency"), *_sums(), sqlite_with_rowid=False)
day_rollups = sa.Table(
    "day_rollups", metadata, *_key("start_us", "series_id", "currency"), *_sums(), sqlite_with_rowid=False
)
archived_sums = sa.Table(
    "archived_sums", metadata, *_key("archive_id", "series_id", "currency"), *_sums(), sqlite_with_rowid=False
)
archived_entries = sa.Table(
    "archived_entries",
    metadata,
    *_key("archive_id", "entry_id"),
    sa.Column("amount_picos", Picos, nullable=False),
    sqlite_with_rowid=False,
)
