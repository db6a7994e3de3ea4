"""Saved views of Explore, in the database."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.access import View
from pertoken.core.saved_views import SavedView
from pertoken.ports import saved_views as port
from pertoken.store.schema import Microseconds, metadata

saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("view_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("owner_name", sa.Text, nullable=False),
    sa.Column("team", sa.Text),  # the one whose rows its owner sees; null: of all
    sa.Column("customer", sa.Text),
    sa.Column("is_shared", sa.Boolean, nullable=False),
    sa.Column("made_at_us", Microseconds, nullable=False),
)


class SavedViews:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def list_all(self) -> list[SavedView]:
        """Return every view, by name."""
        rows = self._connection.execute(sa.select(saved_views).order_by(saved_views.c.name, saved_views.c.view_id))
        return [
            SavedView(view_id, name, query, owner_id, owner_name, View(team, customer), is_shared, made_at_us)
            for view_id, name, query, owner_id, owner_name, team, customer, is_shared, made_at_us in rows
        ]

    def add(self, saved: SavedView) -> None:
        """Keep a new view."""
        row = saved._asdict()
        seen = row.pop("seen")
        self._connection.execute(sa.insert(saved_views).values(**row, team=seen.team, customer=seen.customer))

    def remove(self, view_id: str) -> None:
        """Remove a view."""
        self._connection.execute(sa.delete(saved_views).where(saved_views.c.view_id == view_id))


OPENS: Callable[[sa.Connection], port.SavedViews] = SavedViews
