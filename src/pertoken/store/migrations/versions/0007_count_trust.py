"""How far our counts are believed, by provider and model."""

import sqlalchemy as sa
from alembic import op

from pertoken.store.trust import count_trust

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table, unless 0001 has just made it."""
    connection = op.get_bind()
    if count_trust.name not in sa.inspect(connection).get_table_names():
        count_trust.create(connection)
