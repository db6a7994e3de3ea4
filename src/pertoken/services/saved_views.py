"""Keeps what people looked at in Explore, under names."""

from pertoken.core.access import Principal, view
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.core.saved_views import QUERY_MAX, VIEWS_MAX, SavedView
from pertoken.core.texts import why_no_name
from pertoken.ports.clock import Clock
from pertoken.ports.saved_views import SavedViews


class BadView(Exception):
    """A view cannot be kept; `field` is name or query."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def list_views(views: SavedViews, principal: Principal) -> list[SavedView]:
    """Return the views that somebody may use: their own first, then those that are shared, each by name."""
    own = [one for one in views.list_all() if one.is_for(principal)]
    return sorted(own, key=lambda one: (one.owner_id != principal.principal_id, one.name, one.view_id))


def find_view(views: SavedViews, principal: Principal, view_id: str) -> SavedView | None:
    """Return a view that somebody may use."""
    return next((one for one in list_views(views, principal) if one.view_id == view_id), None)


def save_view(
    views: SavedViews, clock: Clock, principal: Principal, name: str, query: str, *, shared: bool
) -> SavedView:
    """Keep a view; one of the same person and name is replaced. Raises BadView."""
    why = why_no_name(name)
    if why is not None:
        raise BadView(why, "name")
    if len(query) > QUERY_MAX or not query.isascii() or not query.isprintable() or " " in query:
        raise BadView(f"not the query of an address, of {QUERY_MAX:,} characters at most", "query")
    own = [one for one in views.list_all() if one.owner_id == principal.principal_id]
    for one in own:
        if one.name == name:
            views.remove(one.view_id)
    if sum(one.name != name for one in own) >= VIEWS_MAX:
        raise BadView(f"{VIEWS_MAX} views are saved already; remove one first", "name")
    now_us = clock.now_us()
    saved = SavedView(
        new_id("view", now_us, clock.random_bits(RANDOM_BITS)), name, query, principal.principal_id, principal.name,
        view(principal), shared, now_us,
    )  # fmt: skip
    views.add(saved)
    return saved
