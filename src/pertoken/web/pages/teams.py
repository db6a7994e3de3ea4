"""Teams: the spending and the keys of each, and how much it may report."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pertoken.core.access import Action
from pertoken.web import grid, use
from pertoken.web.acting import act
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Deed, Done, NotTaken, Page, PageContext, Visit, place


def show(visit: Visit) -> PageContext:
    """Return the teams that the visitor may see."""
    return {
        "grid": grid.listed(
            visit,
            _columns(visit),
            list(_rows(visit)),
            sort="-cost",
            empty="There is no team yet. Make a key for one, or run: pertoken key create NAME --team TEAM",
            command="pertoken usage --by team",
            api="/api/v1/teams",
        ),
        "may_write": visit.may(Action.TEAMS_WRITE),
    }


def names(visit: Visit) -> set[str]:
    """Return the teams that the visitor may see, with or without usage."""
    return {name for name in visit.opened.administration.teams() if visit.view.team in (None, name)}


def _rows(visit: Visit) -> Iterator[dict[str, Any]]:
    """Yield a row for each team and currency."""
    spent = use.by_value(visit, "team")
    keys = Counter(key.team for key in visit.opened.archive.list_keys() if key.revoked_at_us is None)
    for name in sorted(names(visit) | spent.keys() - {""}):
        yield from ({"name": name, "keys": keys[name], **used._asdict()} for used in spent.get(name, use.UNUSED))


def _columns(visit: Visit) -> list[Column]:
    return [
        Column("name", "team", Cells.NAME, lambda row: visit.link(place("/teams", row["name"])), narrow=True),
        Column("keys", "live keys", Cells.COUNT, lambda row: visit.link("/keys", q=row["name"])),
        Column("calls", "calls", Cells.COUNT, lambda row: visit.link("/calls", team=row["name"])),
        Column("tokens", "tokens", Cells.COUNT),
        Column("cost", "cost", Cells.AMOUNT, narrow=True),
    ]


def make(visit: Visit, form: Mapping[str, str]) -> Done:
    """Add a team by the first customer that it may name."""
    name, customer = form.get("name", "").strip(), form.get("customer", "").strip()
    if not name or not customer:
        raise NotTaken("enter the name of the team and one customer that it may name", "customer" if name else "name")
    act(visit, "PUT", "/api/v1/teams/{name}", name, {"customers": [customer]})
    return Done(visit.link(place("/teams", name)), f"The team {name} may name the customer {customer}.")


PAGE = Page(
    "/teams",
    "Teams",
    Action.TEAMS_READ,
    show,
    "pages/teams.html",
    "Operate",
    deeds=(Deed("make", Action.TEAMS_WRITE, make),),
)
