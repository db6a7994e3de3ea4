"""Sessions of the pages, the links that start them, and who changed what."""

from alembic import op

from pertoken.store.audit import audit
from pertoken.store.sessions import sessions, sign_in_links

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the tables."""
    for table in (sessions, sign_in_links, audit):
        table.create(op.get_bind(), checkfirst=True)
