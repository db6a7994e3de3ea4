"""Runs a route in a transaction, and records in the same transaction who changed what."""

from typing import Any, cast

import msgspec

from pertoken.api.problem import ApiRefused
from pertoken.api.route import Asked, Route, Transact
from pertoken.api.table import ROUTES
from pertoken.ports.store import Opened
from pertoken.services import audit

_READS = {route.path: route.before or cast("Transact", route.do) for route in ROUTES if route.method == "GET"}
HIDDEN = ("secret", "standing")  # not in the audit log: secrets, and values that change without an action


def transact(route: Route, opened: Opened, asked: Asked, through: str) -> msgspec.Struct:
    """Return a route's answer. `through` says where the request came from: api or page."""
    do = cast("Transact", route.do)
    if route.method == "GET":
        return do(opened, asked)
    before = _before(route, opened, asked)
    answer = do(opened, asked)
    after = _plain(answer)
    is_gone = route.method == "DELETE" and "id" not in after
    audit.record(
        opened.audit, asked.principal, through, asked.now_us, action=route.action, path=_object(route, asked, after),
        before=before, after=None if is_gone else after, team=_team(route, asked, {**(before or {}), **after}),
    )  # fmt: skip
    return answer


def _before(route: Route, opened: Opened, asked: Asked) -> dict[str, Any] | None:
    """Return the object that is about to change, as a read would show it; None if it does not exist yet."""
    reads = _READS.get(route.path)
    if reads is None or route.parameter is None:
        return None
    try:
        return _plain(reads(opened, asked._replace(query=None, body=None)))
    except ApiRefused:
        return None


def _plain(answer: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(answer)
    return {name: value for name, value in fields.items() if name not in HIDDEN}


def _object(route: Route, asked: Asked, after: dict[str, Any]) -> str:
    """Return the path of the changed object."""
    if route.parameter is not None:
        return route.path.replace(f"{{{route.parameter}}}", asked.name)
    if f"{route.path}/{{model}}" in _READS:
        return f"{route.path}/{asked.body.model}"
    return f"{route.path}/{after['id']}" if "id" in after else route.path


def _team(route: Route, asked: Asked, fields: dict[str, Any]) -> str | None:
    """Return the team that the changed object belongs to."""
    if asked.view.team is not None:
        return asked.view.team
    if route.path.startswith("/api/v1/teams/"):
        return asked.name
    return fields.get("team") or (fields.get("scope") or {}).get("team")
