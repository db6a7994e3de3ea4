"""Admin keys: who may see and change what, by role; forms that make and revoke them."""

from collections.abc import Mapping

from pertoken.core.access import Action, Role
from pertoken.web import grid
from pertoken.web.acting import act, placed
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Deed, Done, NotTaken, Page, PageContext, Visit

COLUMNS = [
    Column("name", "name", Cells.NAME, narrow=True),
    Column("admin_id", "id", Cells.ID, hidden=True),
    Column("role", "role", Cells.TEXT, narrow=True),
    Column("of", "of", Cells.NAME),
    Column("state", "state", Cells.STATE),
    Column("secret", "secret", Cells.TEXT),
    Column("made", "made", Cells.TIME),
    Column("expires", "expires", Cells.TIME),
]
MEANINGS = {
    Role.ADMIN: "everything",
    Role.FINANCE: "sees everything, sets budgets, verifies the books",
    Role.VIEWER: "sees everything, changes nothing",
    Role.TEAM_OWNER: "its team: keys and budgets",
    Role.CUSTOMER: "its own usage, without costs",
}


def show(visit: Visit) -> PageContext:
    """Return all admin keys."""
    rows = [
        {
            "name": one.name,
            "admin_id": one.admin_id,
            "role": str(one.role),
            "of": one.team or one.customer,
            "state": "revoked" if one.revoked_at_us is not None else "live" if one.is_live(visit.now_us) else "expired",
            "secret": f"…{one.secret_hint}",
            "made": one.created_at_us,
            "expires": one.expires_at_us,
        }
        for one in visit.opened.admins.list_all()
    ]
    return {
        "grid": grid.listed(
            visit,
            COLUMNS,
            rows,
            sort="name",
            empty="There is no admin key beside the operator's own. Make one above.",
            command="pertoken admin list",
            api="/api/v1/admins",
        ),
        "roles": tuple(Role),
        "meanings": MEANINGS,
        "may_write": visit.may(Action.ADMINS_WRITE),
    }


def make(visit: Visit, form: Mapping[str, str]) -> Done:
    """Make an admin key."""
    role = form.get("role", "")
    of = {"team": form.get("team", "").strip() or None, "customer": form.get("customer", "").strip() or None}
    expires = form.get("expires_at") or None
    body = {"name": form.get("name", "").strip(), "role": role, **of, "expires_at": expires}
    try:
        made = act(visit, "POST", "/api/v1/admins", body=body)
    except NotTaken as wrong:
        raise placed(wrong, body) from wrong
    return Done(visit.link("/admins"), f"The admin key {made.name} was made, with the role {made.role}.", made.secret)


def revoke(visit: Visit, form: Mapping[str, str]) -> Done:
    """Revoke the admin key whose name was typed."""
    name = form.get("typed_name", "").strip()
    found = next((one for one in visit.opened.admins.list_all() if name in (one.name, one.admin_id)), None)
    if found is None:
        raise NotTaken("type the name of the admin key to revoke it", "typed_name")
    if found.admin_id == visit.principal.principal_id:
        raise NotTaken("you are signed in with this key; sign in with another one to revoke it", "typed_name")
    act(visit, "DELETE", "/api/v1/admins/{id}", found.admin_id)
    return Done(visit.link("/admins"), f"The admin key {found.name} was revoked. Everybody who used it is signed out.")


PAGE = Page(
    "/admins",
    "Admins",
    Action.ADMINS_READ,
    show,
    "pages/admins.html",
    "Operate",
    deeds=(Deed("make", Action.ADMINS_WRITE, make), Deed("revoke", Action.ADMINS_WRITE, revoke)),
)
