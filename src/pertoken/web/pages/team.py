"""One team: its usage, keys and customers, and how much it may report a day."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.core.reporting import slices
from pertoken.services.teams import team_fields
from pertoken.web import shown, use
from pertoken.web.acting import act
from pertoken.web.page import Deed, Done, NotHere, NotTaken, Page, PageContext, Visit, place
from pertoken.web.pages.budgets import COUNTS, fitting
from pertoken.web.pages.keys import state_of

KEYS_SHOWN = 20
CUSTOMERS_SHOWN = 100


def show(visit: Visit) -> PageContext:
    """Return one team. Raises NotHere."""
    fields = team_fields(visit.opened.administration, _known(visit), visit.now_us)
    keys = [key for key in visit.opened.archive.list_keys() if key.team == visit.name]
    live = sorted(keys, key=lambda key: (key.revoked_at_us is not None, -key.created_at_us))
    where = {"team": visit.name}
    found = use.newest(visit, where, 1)
    return {
        "team": visit.name,
        "use": use.of(visit, where, ("key", "customer", "model")),
        "last": use.call_rows(visit, found)[0] if found else None,
        "keys": [
            {
                "key": key,
                "state": state_of(key, visit.now_us),
                "made": shown.time(key.created_at_us, visit.zone, visit.now_us),
                "address": visit.link(place("/keys", key.key_id)),
            }
            for key in live[:KEYS_SHOWN]
        ],
        "keys_found": len(keys),
        "customers": fields["customers"][:CUSTOMERS_SHOWN],
        "customers_found": len(fields["customers"]),
        "reports": fields["reports"],
        "shares": _shares(fields["reports"]),
        "limits": fitting(visit, lambda budget: dict(budget.scope).get("team") == visit.name),
        "counts": COUNTS,
        "may_write": visit.may(Action.TEAMS_WRITE),
    }


def _known(visit: Visit) -> str:
    """Return the name, if the visitor may see the team and it exists."""
    name = visit.name
    if visit.view.team not in (None, name):
        raise NotHere(f"There is no team {name}, or it is not yours to see.")
    if visit.view.team == name or name in visit.opened.administration.teams():
        return name
    pieces = slices(visit.range.since_us, visit.range.until_us, (), visit.zone)
    if any(True for piece in pieces for _ in visit.opened.archive.sums(piece, (), {"team": name})):
        return name
    raise NotHere(f"There is no team {name}: it has no key and no customer, and used nothing in this range.")


def _shares(reports: Mapping[str, Any] | None) -> list[tuple[str, Any, Any, float]]:
    """Return how much of each limit of an allowance was reported today."""
    if reports is None:
        return []
    today = reports["reported_today"]
    rows = [
        (f"money, {reports['currency']}", shown.amount(today["money"]), shown.amount(reports["money"])),
        ("events", shown.count(today["events"]), shown.count(reports["events"])),
        ("tokens", shown.count(today["tokens"]), shown.count(reports["tokens"])),
    ]
    most = (Decimal(reports["money"]), Decimal(reports["events"]), Decimal(reports["tokens"]))
    used = (Decimal(today["money"]), Decimal(today["events"]), Decimal(today["tokens"]))
    return [
        (*row, float(min(of / limit, Decimal(1))) if limit else float(bool(of)))
        for row, of, limit in zip(rows, used, most, strict=True)
    ]


def allow(visit: Visit, form: Mapping[str, str]) -> Done:
    """Set how much the team may report a day."""
    body: dict[str, Any] = {
        "money": form.get("money", "").strip(),
        "currency": form.get("currency", "").strip() or "USD",
    }
    for name in ("events", "tokens"):
        text = form.get(name, "").strip()
        if text:
            body[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
    if not body["money"]:
        raise NotTaken("enter how much money the team may report a day", "money")
    _put(visit, {"reports": body})
    return Done(_back(visit), f"The team {visit.name} may report {body['money']} {body['currency']} a day.")


def forbid(visit: Visit, _form: Mapping[str, str]) -> Done:
    """End the team's allowance."""
    _put(visit, {"reports": None})
    return Done(_back(visit), f"The team {visit.name} may no longer report usage.")


def share(visit: Visit, form: Mapping[str, str]) -> Done:
    """Let the team name a customer."""
    customer = _customer(form)
    _put(visit, {"customers": [customer]})
    return Done(_back(visit), f"The team {visit.name} may name the customer {customer}.")


def unshare(visit: Visit, form: Mapping[str, str]) -> Done:
    """Stop the team from naming a customer."""
    customer = _customer(form)
    _put(visit, {"without": [customer]})
    return Done(_back(visit), f"The team {visit.name} may no longer name the customer {customer}.")


def _customer(form: Mapping[str, str]) -> str:
    customer = form.get("customer", "").strip()
    if not customer:
        raise NotTaken("name a customer", "customer")
    return customer


def _put(visit: Visit, body: Mapping[str, Any]) -> None:
    try:
        act(visit, "PUT", "/api/v1/teams/{name}", visit.name, body)
    except NotTaken as wrong:
        field = (wrong.field or "").removeprefix("reports.").partition("[")[0]
        fields = {"customers": "customer", "without": "customer", "reports": "money"}
        raise NotTaken(str(wrong), fields.get(field, field) or None) from wrong


def _back(visit: Visit) -> str:
    return visit.link(place("/teams", visit.name))


PAGE = Page(
    "/teams/{name}",
    "Team",
    Action.TEAMS_READ,
    show,
    "pages/team.html",
    parent="/teams",
    deeds=tuple(
        Deed(name, Action.TEAMS_WRITE, do)
        for name, do in (("allow", allow), ("forbid", forbid), ("share", share), ("unshare", unshare))
    ),
)
