"""What all tables are made of, and those that several modules use; one that a module alone uses stands there.

`tables` has all of them. Migrations bring a database here; nothing else creates tables.
Amounts are integer picos, each in two columns, as are the sums of tokens (`store.amounts`).
"""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from pertoken.core.events import GATEWAY, Timeline
from pertoken.core.reporting import SUMS
from pertoken.store.amounts import columns, fits

Row = sa.Row[*tuple[Any, ...]]

metadata = sa.MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"})

Microseconds = sa.BigInteger  # microseconds since the epoch, UTC
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER PRIMARY KEY counts up by itself there
_Ordered = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by bytes, for ranges of names

# Of the sums of roll-ups: those that one column holds, for they count events.
COUNTED = (
    "calls", "unpriced_calls", "uncounted_calls", "failed_calls", "hung_up_calls", "estimated_calls", "sold_calls",
)  # fmt: skip
ADDED = SUMS[len(COUNTED) :]  # those that are amounts
assert SUMS[: len(COUNTED)] == COUNTED

TIMELINE = tuple(f"{name.removesuffix('_us')}_after_us" for name in Timeline._fields)

# Between these PostgreSQL has a partition of events for each month; one more on either side takes the rest.
PARTITIONED_FROM_US = 1_577_836_800_000_000  # 2020-01-01
PARTITIONED_TO_US = 4_102_444_800_000_000  # 2100-01-01


# One row: the directory's revision. Whatever changes keys, budgets, customers, prices or trust in counts adds one.
revision = sa.Table(
    "revision",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),  # one among those of its team: other teams may use it as well
    sa.Column("secret_hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("old_secret_hash", sa.LargeBinary, unique=True),  # of before the last rotation
    sa.Column("old_secret_until_us", Microseconds),
    sa.Column("secret_hint", sa.Text, nullable=False),  # the last four characters, to recognise it by
    sa.Column("team", sa.Text),
    sa.Column("customer", sa.Text),
    sa.Column("tags", sa.Text, nullable=False),  # JSON object
    sa.Column("created_at_us", Microseconds, nullable=False),
    sa.Column("expires_at_us", Microseconds),
    sa.Column("revoked_at_us", Microseconds),
)

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("budget_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("axis", sa.Text, nullable=False),
    *columns("limit_amount"),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),  # JSON object
    sa.Column("each_dimension", sa.Text),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("steps", sa.Text, nullable=False),  # between commas
    sa.Column("warn_percent", sa.Integer),
    sa.Column("set_by", sa.Text),  # a team; null: an admin
    sa.Column("created_at_us", Microseconds, nullable=False),
    sa.Column("removed_at_us", Microseconds),
    fits("limit_amount"),
)
sa.Index(  # a name is one among the budgets of a team
    "ix_budgets_name_live",
    budgets.c.name,
    sqlite_where=budgets.c.removed_at_us.is_(None),
    postgresql_where=budgets.c.removed_at_us.is_(None),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("budget_id", sa.Text),
    sa.Column("each_value", sa.Text),
    sa.Column("window_start_us", Microseconds),
    *columns("held"),
    *columns("spent"),
    sa.PrimaryKeyConstraint("budget_id", "window_start_us", "each_value"),  # those of one window are asked for together
    fits("held", "spent"),
    sa.CheckConstraint("held_high >= 0", name="held_not_negative"),
    sqlite_with_rowid=False,
)

# Since when there is everything, of what is only kept for a time.
horizons = sa.Table(
    "horizons",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("before_us", Microseconds, nullable=False),
)

# One row for each distinct attribution: events, holds and roll-ups point here instead of repeating seven texts.
series = sa.Table(
    "series",
    metadata,
    sa.Column("series_id", Id, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),  # of all below: texts may be too long to index
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),  # JSON object, names sorted
)

sa.Index(  # who named a customer first
    "ix_series_customer",
    series.c.customer,
    sqlite_where=series.c.customer != "",
    postgresql_where=series.c.customer != "",
)

# The tags of each series again, one a row: what reports select and group by.
series_tags = sa.Table(
    "series_tags",
    metadata,
    sa.Column("series_id", Id, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # of the names in order: a name may be too long to index
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)


def _hold_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("hold_id", sa.Text, primary_key=True),
        sa.Column("series_id", Id, nullable=False),
        sa.Column("conversation", sa.Text),
        *columns("amount_picos"),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("opened_at_us", Microseconds, nullable=False),
        sa.Column("expires_at_us", Microseconds, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
    ]


# The open holds, and only those: as many rows as calls are under way. Their owner puts their expiry off as it lives.
holds = sa.Table("holds", metadata, *_hold_columns(), fits("amount_picos"), sqlite_with_rowid=False)

# Holds that ended without a charge, voided or expired: kept for some months, to be explained. One that was settled
# lives on in its event.
ended_holds = sa.Table(
    "ended_holds",
    metadata,
    *_hold_columns(),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("ended_at_us", Microseconds, nullable=False),
    sa.Column("error", sa.Text),  # how the provider failed the attempt
    sqlite_with_rowid=False,
)
sa.Index("ix_ended_holds_ended_at_us", ended_holds.c.ended_at_us)

# Which events there are, for ever: what is archived stays known. Those of PostgreSQL are in partitions by month, each
# with indexes of its own, so that uniqueness needs this table.
identities = sa.Table(
    "identities",
    metadata,
    sa.Column("event_id", _Ordered, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("body_hash", sa.LargeBinary, nullable=False),
    sa.Column("occurred_at_us", Microseconds, nullable=False),  # where to find the event
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("series_id", Id, nullable=False),
    sa.Column("conversation", sa.Text),
    sa.Column("occurred_at_us", Microseconds, nullable=False),
    sa.Column("recorded_at_us", Microseconds, nullable=False),
    sa.Column("opened_at_us", Microseconds, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("completeness", sa.Text, nullable=False),
    sa.Column("quantities", sa.Text, nullable=False),  # JSON object: unit -> inclusive quantity
    sa.Column("currency", sa.Text, nullable=False),
    *columns("cost_picos"),
    *columns("price_picos", nullable=True),
    sa.Column("lines", sa.Text, nullable=False),  # JSON: [[unit, quantity, price id, amount picos], ...]
    sa.Column("model_served", sa.Text),
    sa.Column("service_tier", sa.Text),
    sa.Column("response_id", sa.Text),
    sa.Column("raw", sa.LargeBinary, nullable=False),  # the provider's own usage object
    sa.Column("reason", sa.Text),
    sa.Column("changed", sa.Text),
    *columns("held_picos"),
    *columns("overrun_picos"),
    sa.Column("late", sa.Boolean, nullable=False),
    sa.Column(
        "context", sa.Text, nullable=False
    ),  # JSON object: tier, batch, speed, region as rated; "" where standard
    sa.Column("priced_as", sa.Text),
    sa.Column("parts", sa.Text, nullable=False),  # JSON: [[model, quantities], ...]; "" where one model served
    sa.Column("corrects", sa.Text),  # event id of the same source
    sa.Column("was_unpriced", sa.Boolean, nullable=False),
    sa.Column("book_lines", sa.Text, nullable=False, server_default=""),  # as lines; "" where the book decides
    # Microseconds after the call was opened; null where nobody knows.
    *(sa.Column(name, sa.BigInteger) for name in TIMELINE),
    sa.Column("attempts", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("entry_id", Id),
    fits("cost_picos", "price_picos"),
)
sa.Index(
    "ix_events_corrects",
    events.c.corrects,
    sqlite_where=events.c.corrects.is_not(None),
    postgresql_where=events.c.corrects.is_not(None),
)
sa.Index("ix_events_occurred_at_us", events.c.occurred_at_us)
sa.Index(  # the gateway's own are most, and cost no more for this
    "ix_events_source",
    events.c.source,
    events.c.occurred_at_us,
    sqlite_where=events.c.source != GATEWAY,
    postgresql_where=events.c.source != GATEWAY,
)
sa.Index(
    "ix_events_conversation",
    events.c.conversation,
    sqlite_where=events.c.conversation.is_not(None),
    postgresql_where=events.c.conversation.is_not(None),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("entry_id", Id, primary_key=True),
    sa.Column("posted_at_us", Microseconds, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
)

postings = sa.Table(
    "postings",
    metadata,
    sa.Column("entry_id", Id, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    *columns("amount_picos"),  # debit positive, credit negative
    fits("amount_picos"),
    sqlite_with_rowid=False,
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("currency", sa.Text, primary_key=True),
    *columns("balance_picos"),
    fits("balance_picos"),
)


def _rollup_columns() -> list[sa.Column[Any] | sa.CheckConstraint]:
    return [
        sa.Column("start_us", Microseconds, primary_key=True),
        sa.Column("series_id", Id, primary_key=True),
        sa.Column("currency", sa.Text, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in COUNTED),
        *(column for name in ADDED for column in columns(name)),
        sa.Column("latency", sa.Text, nullable=False, server_default=""),  # JSON: core.latency.Counts
        fits("cost_picos", "price_picos"),  # nobody has as many tokens
    ]


# The sums of each quarter of an hour: all clocks in use are whole quarters ahead of UTC, so these say any zone's hours.
rollups = sa.Table("rollups", metadata, *_rollup_columns(), sqlite_with_rowid=False)

# The sums of each day (UTC): what spares reports over months, and new budgets, most of the reading.
day_rollups = sa.Table("day_rollups", metadata, *_rollup_columns(), sqlite_with_rowid=False)

# Files that events went to. The first `removed` of a file's events are not in `events` any more.
archives = sa.Table(
    "archives",
    metadata,
    sa.Column("archive_id", Id, primary_key=True),
    sa.Column("month_us", Microseconds, nullable=False),  # the start of the month in UTC
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("folder", sa.Text, nullable=False),  # where it was written, for people
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("conversations", sa.BigInteger, nullable=False),  # of the events: those that belong to one
    sa.Column("removed", sa.BigInteger, nullable=False),
    sa.Column("made_at_us", Microseconds, nullable=False),
)

# What the removed events come to: by series, in the order of reports, and by the entries that were posted for them.
archived_sums = sa.Table(
    "archived_sums",
    metadata,
    sa.Column("archive_id", Id, primary_key=True),
    *(column for column in _rollup_columns() if column.name != "start_us"),
    sqlite_with_rowid=False,
)
archived_entries = sa.Table(
    "archived_entries",
    metadata,
    sa.Column("archive_id", Id, primary_key=True),
    sa.Column("entry_id", Id, primary_key=True),
    *columns("amount_picos"),
    fits("amount_picos"),
    sqlite_with_rowid=False,
)


class MarkState(StrEnum):
    """How far the summing of a day by one thing is."""

    BEGUN = "begun"
    READY = "ready"
    FINE = "fine"  # there would be nearly as many rows as there are roll-ups, so these are read


# Coarse sums (core.coarse): which days are summed by what, up to which instants, and those sums. Sums belong to their
# mark. Whatever adds to the roll-ups of a day removes the day's marks that reach beyond it in the same transaction, and
# without its mark a sum is not read any more. A mark's id is never used again: a sum that is still being written for a
# mark that is gone is never read either.
summed_days = sa.Table(
    "summed_days",
    metadata,
    sa.Column("sum_id", Id, primary_key=True),
    sa.Column("start_us", Microseconds, nullable=False),
    sa.Column("until_us", Microseconds, nullable=False),  # up to where: a cut, or the day's end
    sa.Column("name", sa.Text, nullable=False),  # what it is summed by; empty: all that it is to be summed by
    sa.Column("state", sa.Text, nullable=False),
    sa.UniqueConstraint("start_us", "until_us", "name", name="one_mark"),
    sa.Index("ix_summed_days_name", "name", "start_us", "until_us"),
    sqlite_autoincrement=True,
)

coarse_sums = sa.Table(
    "coarse_sums",
    metadata,
    sa.Column("sum_id", Id, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # texts may be too long to index
    sa.Column("provider", sa.Text, nullable=False),  # these three are empty where it is not summed by them
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

# What customers are charged by. Rows are only added: what was charged stays as it is.
plan_versions = sa.Table(
    "plan_versions",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("from_us", Microseconds, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("applied_at_us", Microseconds, nullable=False),
)
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("customer", sa.Text, primary_key=True),
    sa.Column("from_us", Microseconds, primary_key=True),
    sa.Column("plan", sa.Text),  # null: from then on none
    sa.Column("made_at_us", Microseconds, nullable=False),
)

_ById = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # in the order of a cursor

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("customer_id", _ById, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("created_at_us", Microseconds, nullable=False),
    sa.Column("parent", _ById),
    sa.Column("team", sa.Text),
    sa.Column("metadata", sa.Text, nullable=False),  # JSON object
    sa.Column("begins_at_us", Microseconds),
    sa.Column("closed_at_us", Microseconds),
)
sa.Index("ix_customers_team", customers.c.team, customers.c.customer_id)
sa.Index("ix_customers_parent", customers.c.parent, customers.c.customer_id)
sa.Index(
    "ix_customers_closed_at_us",
    customers.c.closed_at_us,
    sqlite_where=customers.c.closed_at_us.is_not(None),
    postgresql_where=customers.c.closed_at_us.is_not(None),
)
