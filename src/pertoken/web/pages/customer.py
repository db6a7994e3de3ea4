"""One customer: its usage, conversations and calls, and the teams that may name it; forms that change and close it."""

from collections.abc import Mapping
from typing import Any

from pertoken.core.access import Action
from pertoken.core.customers import Customer
from pertoken.services.customers import find_customer
from pertoken.web import shown, use
from pertoken.web.acting import act, placed
from pertoken.web.page import Deed, Done, NotHere, NotTaken, Page, PageContext, Visit, place
from pertoken.web.pages.budgets import COUNTS, fitting

LOOKED_AT = 100  # the newest calls, in which conversations are looked for
CONVERSATIONS = 10
# the fields of the form that changes it, each with what the route calls it
FIELDS = {"name": "name", "currency": "currency", "timezone": "timezone", "parent": "parent", "own_team": "team"}


def show(visit: Visit) -> PageContext:
    """Return one customer. Raises NotHere."""
    if visit.view.customer not in (None, visit.name):
        raise NotHere(f"There is no customer {visit.name}, or it is not yours to see.")
    where = {"customer": visit.name}
    posted = use.newest(visit, where, LOOKED_AT)
    owners = visit.opened.administration.owners(visit.name)
    made = find_customer(visit.opened.customers, visit.view, visit.name)
    if visit.view.team is not None:
        owners &= {visit.view.team}
        if not owners and not posted and made is None:
            raise NotHere(f"There is no customer {visit.name}, or it is not yours to see.")
    if not owners and not posted and made is None:
        raise NotHere(f"There is no customer {visit.name}: no call names it.")
    rows = use.call_rows(visit, posted)
    return {
        "customer": visit.name,
        "use": use.of(visit, where, ("model", "team")),
        "calls": rows[: use.CALLS],
        "all_calls": visit.link("/calls", customer=visit.name) if visit.may(Action.CALLS_READ) else None,
        "conversations": _conversations(visit, rows),
        "looked_at": len(rows),
        "owners": sorted(owners),
        "limits": fitting(visit, lambda budget: dict(budget.scope).get("customer") == visit.name)
        if visit.may(Action.BUDGETS_READ)
        else None,
        "counts": COUNTS,
        "sees_teams": visit.may(Action.TEAMS_READ),
        "may_write": visit.may(Action.TEAMS_WRITE),
        "made": made,
        "own": None if made is None or not visit.may(Action.CUSTOMERS_READ) else _own(visit, made),
        "may_change": made is not None and visit.may(Action.CUSTOMERS_WRITE),
        "changes": FIELDS,
    }


def _own(visit: Visit, made: Customer) -> dict[str, Any]:
    """Return what only who sees customers may see of one."""
    return {
        "metadata": made.metadata,
        "begins": None if made.begins_at_us is None else shown.time(made.begins_at_us, visit.zone),
        "closed": None if made.closed_at_us is None else shown.time(made.closed_at_us, visit.zone),
    }


def _conversations(visit: Visit, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the conversations among the newest calls, the newest first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["conversation"]
        if name:
            one = found.setdefault(
                name,
                {
                    "name": shown.identity(name),
                    "at": row["at"],
                    "calls": 0,
                    "address": visit.link("/calls", conversation=name) if visit.may(Action.CALLS_READ) else None,
                },
            )
            one["calls"] += 1
    return list(found.values())[:CONVERSATIONS]


def change(visit: Visit, form: Mapping[str, str]) -> Done:
    """Change the customer. Its metadata stays as it is."""
    said = {field: form.get(name, "").strip() for name, field in FIELDS.items()}
    body = {field: text or None if field in ("parent", "team") else text for field, text in said.items()}
    try:
        act(visit, "PUT", "/api/v1/customers/{id}", visit.name, body)
    except NotTaken as wrong:
        at_fault = placed(wrong, said)
        names = {field: name for name, field in FIELDS.items()}
        raise NotTaken(str(wrong), names.get(at_fault.field or "")) from wrong
    return Done(visit.link(place("/customers", visit.name)), f"The customer {visit.name} was changed.")


def close(visit: Visit, form: Mapping[str, str]) -> Done:
    """Close the customer, if its id was typed."""
    if form.get("typed_name", "").strip() != visit.name:
        raise NotTaken(f"type the id of the customer to close it: {visit.name}", "typed_name")
    try:
        act(visit, "DELETE", "/api/v1/customers/{id}", visit.name)
    except NotTaken as wrong:
        raise NotTaken(str(wrong), "typed_name") from wrong
    said = f"The customer {visit.name} was closed: its next call is refused."
    return Done(visit.link(place("/customers", visit.name)), said)


def share(visit: Visit, form: Mapping[str, str]) -> Done:
    """Let a team name the customer."""
    team = _team(form)
    _put(visit, team, {"customers": [visit.name]})
    return Done(visit.link(place("/customers", visit.name)), f"The team {team} may name this customer.")


def unshare(visit: Visit, form: Mapping[str, str]) -> Done:
    """Stop a team from naming the customer."""
    team = _team(form)
    _put(visit, team, {"without": [visit.name]})
    return Done(visit.link(place("/customers", visit.name)), f"The team {team} may no longer name this customer.")


def _team(form: Mapping[str, str]) -> str:
    team = form.get("team", "").strip()
    if not team:
        raise NotTaken("name a team", "team")
    return team


def _put(visit: Visit, team: str, body: Mapping[str, Any]) -> None:
    try:
        act(visit, "PUT", "/api/v1/teams/{name}", team, body)
    except NotTaken as wrong:
        raise NotTaken(str(wrong), "team") from wrong


PAGE = Page(
    "/customers/{name}",
    "Customer",
    Action.USAGE_READ,
    show,
    "pages/customer.html",
    parent="/customers",
    deeds=(
        Deed("change", Action.CUSTOMERS_WRITE, change),
        Deed("close", Action.CUSTOMERS_WRITE, close),
        Deed("share", Action.TEAMS_WRITE, share),
        Deed("unshare", Action.TEAMS_WRITE, unshare),
    ),
)
