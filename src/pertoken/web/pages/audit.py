"""Who changed what, the newest first."""

import json
from typing import Any

from pertoken.core.access import Action
from pertoken.core.audit import Audited, AuditSearch, Change
from pertoken.web import grid
from pertoken.web.grid import Cells, Column
from pertoken.web.page import NotHere, Page, PageContext, Visit

COLUMNS = (
    Column("at", "time", Cells.TIME, narrow=True),
    Column("actor", "who", Cells.NAME, beneath=True),
    Column("role", "role", Cells.TEXT, hidden=True),
    Column("through", "by way of", Cells.TEXT),
    Column("action", "action", Cells.TEXT, beneath=True),
    Column("object", "what", Cells.NAME, narrow=True),
    Column("team", "team", Cells.NAME, hidden=True),
    Column("changed", "change", Cells.TEXT),
    Column("before", "before", Cells.TEXT, hidden=True),
    Column("after", "after", Cells.TEXT, hidden=True),
)


def show(visit: Visit) -> PageContext:
    """Return a page of the changes in the range."""
    after = visit.query.get("after")
    if after is not None and not after.isdecimal():
        raise NotHere("The address of this page of changes is not valid: open the list again.")
    asked = AuditSearch(
        visit.range.since_us, visit.range.until_us, grid.ROWS + 1, None if after is None else int(after[:18]),
        visit.view.team, visit.query.get("object") or None, visit.query.get("actor") or None,
    )  # fmt: skip
    found = visit.opened.audit.search(asked)
    rows = [_row(one) for one in found[: grid.ROWS]]
    cursor = str(found[grid.ROWS - 1].number) if len(found) > grid.ROWS else None
    return {
        "lede": "Who changed what, the newest first.",
        "grid": grid.paged(
            visit, COLUMNS, rows, cursor=cursor, api="/api/v1/audit",
            empty="Nothing was changed in this range. Changes to keys, budgets, teams and admins are listed here.",
        ),
    }  # fmt: skip


def _row(audited: Audited) -> dict[str, Any]:
    one = audited.change
    return {
        "at": one.at_us, "actor": one.actor_name, "role": one.role, "through": one.through, "action": one.action,
        "object": _object(one), "team": one.team, "before": one.before, "after": one.after,
        "changed": _difference(one.before, one.after),
    }  # fmt: skip


def _object(one: Change) -> str:
    """Return what was changed: its name first, if the path has its id in place of it."""
    path = one.object.removeprefix("/api/v1/")
    name = json.loads(one.after or one.before or "{}").get("name")
    return path if not name or name in path else f"{name} · {path}"


def _difference(before: str | None, after: str | None) -> str:
    """Say which fields changed, and how."""
    if before is None or after is None:
        return "made" if after is not None else "taken away"
    old, new = json.loads(before), json.loads(after)
    parts = [f"{name}: {old.get(name)} → {value}" for name, value in new.items() if old.get(name) != value]
    return "; ".join(parts) or "as it was"


PAGE = Page("/audit", "Audit", Action.AUDIT_READ, show, "pages/list.html", "Operate")
