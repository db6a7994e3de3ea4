"""Makes changes through the control plane's routes, which check permissions and values and write the messages."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from pertoken.api.doing import transact
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.reading import decode_body
from pertoken.api.route import Asked, Route
from pertoken.api.routes import reratings
from pertoken.api.table import ROUTES
from pertoken.core.access import may
from pertoken.web.page import NotHere, NotTaken, Visit

PLAIN = {
    r"expected `str` of length >= 1": "this may not be empty",
    r"expected `str` of length <= (\d+)": r"this may have \1 characters at most",
    r"expected `int[^`]*` >= (\d+)": r"write a whole number, \1 or more",
    r"expected `int[^`]*` <= (\d+)": r"write a whole number, \1 at most",
    r"expected `int.*": "write a whole number",
}  # the control plane's messages about types, reworded for people
_ROUTES = {(route.method, route.path): route for route in ROUTES}
_RATING = _ROUTES["POST", reratings.PATH]


def act(visit: Visit, method: str, path: str, name: str = "", body: Mapping[str, Any] | None = None) -> Any:
    """Run a route in the visit's transaction, and return its answer. Raises NotTaken, NotHere.

    `path` is the route's path, with its parameter in braces; `name` is the value of the parameter.
    """
    route = _ROUTES[method, path]
    try:
        return _do(visit, route, name, body)
    except ApiRefused as refused:
        if refused.problem is Problem.NOT_FOUND:
            raise NotHere(str(refused)) from refused
        raise NotTaken(_plainly(str(refused), refused.param), refused.param) from refused


def placed(wrong: NotTaken, fields: Collection[str]) -> NotTaken:
    """Return the error with its field. If the route names no field, it is the last field in the message."""
    last = {field: str(wrong).rfind(field.partition("_")[0].removesuffix("s")) for field in fields}
    field = max(last, key=lambda name: last[name])
    return wrong if wrong.field or last[field] < 0 else NotTaken(str(wrong), field)


def _plainly(message: str, param: str | None) -> str:
    """Return a message for the user of a form, without types and schemas."""
    if (param or "").endswith("currency") and "schema" in message:
        return "write the three letters of a currency, such as USD"
    for pattern, words in PLAIN.items():
        if re.match(pattern, message):
            return re.sub(pattern, words, message)
    return message


def plan_rating(visit: Visit, body: Mapping[str, Any]) -> reratings.PlannedRerating:
    """Return the corrections that rating events again would make. Raises NotTaken."""
    try:
        return reratings.plan(visit.opened, _asked(visit, _RATING, "", body))
    except ApiRefused as refused:
        raise NotTaken(str(refused), refused.param) from refused


def rate_again(visit: Visit, body: Mapping[str, Any]) -> int:
    """Rate events again, like the control plane's route; return the number of corrections. Raises NotTaken."""
    _need(visit, _RATING)
    try:
        asked = _asked(visit, _RATING, "", body)
        planned = reratings.plan(visit.opened, asked)
        if planned.correcting is not None:
            with visit.site.store.write() as opened:
                reratings.note(opened, asked, planned, "page")
            visit.site.correct(planned.correcting)
        return reratings.answer_of(planned).corrections
    except ApiRefused as refused:
        raise NotTaken(str(refused), refused.param) from refused


def _do(visit: Visit, route: Route, name: str, body: Mapping[str, Any] | None) -> Any:
    _need(visit, route)
    return transact(route, visit.opened, _asked(visit, route, name, body), "page")


def _need(visit: Visit, route: Route) -> None:
    if not may(visit.principal, route.action):
        raise NotTaken(f"the role {visit.principal.role} may not {route.action}")


def _asked(visit: Visit, route: Route, name: str, body: Mapping[str, Any] | None) -> Asked:
    """Return a request for the route. Raises ApiRefused."""
    site = visit.site
    struct = None if route.body is None else decode_body(msgspec.json.encode(body or {}), route)
    return Asked(
        visit.principal, visit.view, name, route.query(), struct, visit.now_us, site.clock, site.hasher, site.prices(),
        site.pricing,
    )  # fmt: skip
