"""The first schema: directory, ledger, events, roll-ups, prices."""

import sqlalchemy as sa
from alembic import op

from pertoken.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table. Later migrations alter; this one may follow the schema until the first release."""
    metadata.create_all(op.get_bind())
    op.get_bind().execute(sa.insert(metadata.tables["revision"]).values(id=1, value=1))
