"""The tables of the pages: who is signed in, what was changed by whom, which views were saved."""

import sqlalchemy as sa

from pertoken.store.schema import Id, Instant, metadata

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),  # of what the cookie holds
    sa.Column("admin_id", sa.Text, nullable=False),
    sa.Column("started_at_us", Instant, nullable=False),
    sa.Column("seen_at_us", Instant, nullable=False),
)

sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("admin_id", sa.Text, nullable=False),
    sa.Column("made_at_us", Instant, nullable=False),
)

# Who changed what. Rows are added and never altered.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", Id, primary_key=True),
    sa.Column("at_us", Instant, nullable=False),
    sa.Column("actor_id", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("through", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("team", sa.Text),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
)
sa.Index("ix_audit_object", audit.c.object, audit.c.number)
