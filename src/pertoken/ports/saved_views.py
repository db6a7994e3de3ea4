"""Saved views of Explore."""

from typing import Protocol

from pertoken.core.saved_views import SavedView


class SavedViews(Protocol):
    """All saved views, in one transaction."""

    def list_all(self) -> list[SavedView]:
        """Return every view, by name."""

    def add(self, saved: SavedView) -> None:
        """Store a new view."""

    def remove(self, view_id: str) -> None:
        """Remove a view."""
