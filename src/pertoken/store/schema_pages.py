"""The tables of the pages: who is signed in, what was changed by whom, which views were saved."""

import sqlalchemy as sa

from pertoken.store.schema import Instant, metadata

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
