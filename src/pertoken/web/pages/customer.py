"""One customer: its usage, its conversations and calls, and the teams that may name it."""

from collections.abc import Mapping
from typing import Any

from pertoken.core.access import Action
from pertoken.web import shown, use
from pertoken.web.acting import act
from pertoken.web.page import Deed, Done, NotHere, NotTaken, Page, PageContext, Visit, place
from pertoken.web.pages.budgets import COUNTS, fitting

LOOKED_AT = 100  # the newest calls, in which conversations are looked for
CONVERSATIONS = 10


def show(visit: Visit) -> PageContext:
    """Return one customer. Raises NotHere."""
    if visit.view.customer not in (None, visit.name):
        raise NotHere(f"There is no customer {visit.name}, or it is not yours to see.")
    where = {"customer": visit.name}
    posted = use.newest(visit, where, LOOKED_AT)
    owners = visit.opened.administration.owners(visit.name)
    if visit.view.team is not None:
        owners &= {visit.view.team}
        if not owners and not posted:
            raise NotHere(f"There is no customer {visit.name}, or it is not yours to see.")
    if not owners and not posted:
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
    deeds=(Deed("share", Action.TEAMS_WRITE, share), Deed("unshare", Action.TEAMS_WRITE, unshare)),
)
