"""Sessions of the pages, and the links that start them."""

from alembic import op

from pertoken.store.schema_pages import sessions, sign_in_links

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the tables."""
    for table in (sessions, sign_in_links):
        table.create(op.get_bind(), checkfirst=True)
