"""Saved views of Explore as a resource."""

from typing import Annotated

import msgspec

from pertoken.api.fields import Instant, PageQuery, Text, page
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action, Principal
from pertoken.core.periods import format_time
from pertoken.core.saved_views import QUERY_MAX, SavedView
from pertoken.ports.store import Opened
from pertoken.services.saved_views import BadView, find_view, list_views, save_view


class ViewBody(msgspec.Struct, forbid_unknown_fields=True):
    """A view to save. It replaces your own view of that name. All admin keys with the same access see a shared view."""

    name: Text
    query: Annotated[str, msgspec.Meta(max_length=QUERY_MAX, pattern=r"^[!-~]*$(?!\n)")]
    shared: bool = False


class ViewAnswer(msgspec.Struct, kw_only=True):
    """A saved view; its address is `/explore?` and its query."""

    id: str
    name: str
    query: str
    shared: bool
    owner: str
    is_own: bool
    created_at: Instant


class ViewsAnswer(msgspec.Struct):
    """Saved views, your own and shared ones, by name."""

    views: list[ViewAnswer]
    next_cursor: str | None


def show_views(opened: Opened, asked: Asked) -> ViewsAnswer:
    """Return the views that the principal may use."""
    found = list_views(opened.saved_views, asked.principal)
    shown, cursor = page(found, lambda one: (one.name, one.view_id), asked.query, (str, str))
    return ViewsAnswer([_answer(one, asked.principal) for one in shown], cursor)


def keep_view(opened: Opened, asked: Asked) -> ViewAnswer:
    """Save a view."""
    body: ViewBody = asked.body
    try:
        saved = save_view(
            opened.saved_views, asked.clock, asked.principal, body.name, body.query, shared=body.shared
        )  # fmt: skip
    except BadView as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error), error.field) from error
    return _answer(saved, asked.principal)


def remove_view(opened: Opened, asked: Asked) -> ViewAnswer:
    """Remove a view."""
    found = find_view(opened.saved_views, asked.principal, asked.name)
    if found is None:
        raise ApiRefused(Problem.NOT_FOUND, f"no view {asked.name!r}; see: GET /api/v1/views", "id")
    if not found.may_be_removed_by(asked.principal):
        raise ApiRefused(Problem.FORBIDDEN, f"the view is {found.owner_name}'s: only they or an admin may remove it")
    opened.saved_views.remove(found.view_id)
    return _answer(found, asked.principal)


def _answer(saved: SavedView, principal: Principal) -> ViewAnswer:
    return ViewAnswer(
        id=saved.view_id,
        name=saved.name,
        query=saved.query,
        shared=saved.is_shared,
        owner=saved.owner_name,
        is_own=saved.owner_id == principal.principal_id,
        created_at=format_time(saved.made_at_us),
    )


ROUTES = (
    Route(
        "GET", "/api/v1/views", Action.VIEWS_READ, "List saved views of Explore.", show_views, ViewsAnswer, PageQuery
    ),
    Route(
        "POST", "/api/v1/views", Action.VIEWS_WRITE, "Save a view of Explore under a name.", keep_view, ViewAnswer,
        body=ViewBody, status=201,
    ),
    Route(
        "DELETE", "/api/v1/views/{id}", Action.VIEWS_WRITE, "Remove a saved view.", remove_view, ViewAnswer,
        problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
