"""Admin keys in the database."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.access import AdminKey, Role
from pertoken.ports import administration as port
from pertoken.store.schema import Microseconds, Row, metadata

# Keys to the control plane.
admin_keys = sa.Table(
    "admin_keys",
    metadata,
    sa.Column("admin_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("secret_hint", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("team", sa.Text),
    sa.Column("customer", sa.Text),
    sa.Column("created_at_us", Microseconds, nullable=False),
    sa.Column("expires_at_us", Microseconds),
    sa.Column("revoked_at_us", Microseconds),
)


class AdminKeys:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def list_all(self) -> list[AdminKey]:
        """Return every admin key, expired and revoked ones too, in the order of their creation."""
        query = sa.select(admin_keys).order_by(admin_keys.c.created_at_us, admin_keys.c.admin_id)
        return [_admin(row) for row in self._connection.execute(query)]

    def find(self, secret_hash: bytes) -> AdminKey | None:
        """Return the key whose secret hashes to `secret_hash`."""
        query = sa.select(admin_keys).where(admin_keys.c.secret_hash == secret_hash)
        row = self._connection.execute(query).first()
        return None if row is None else _admin(row)

    def get(self, admin_id: str) -> AdminKey | None:
        """Return the key of an id."""
        row = self._connection.execute(sa.select(admin_keys).where(admin_keys.c.admin_id == admin_id)).first()
        return None if row is None else _admin(row)

    def add(self, admin: AdminKey) -> None:
        """Store a new admin key. The caller has made sure that its name is free."""
        self._connection.execute(sa.insert(admin_keys).values(admin._asdict()))

    def revoke(self, admin_id: str, at_us: int) -> bool:
        """Revoke a live admin key; tell whether there was one."""
        live = sa.and_(admin_keys.c.admin_id == admin_id, admin_keys.c.revoked_at_us.is_(None))
        changed = self._connection.execute(sa.update(admin_keys).where(live).values(revoked_at_us=at_us))
        return changed.rowcount > 0


def _admin(row: Row) -> AdminKey:
    fields = row._asdict()
    return AdminKey(**{**fields, "role": Role(row.role)})


OPENS: Callable[[sa.Connection], port.AdminKeys] = AdminKeys
