"""Virtual keys with their state and spending, and a form that makes one."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.core.directory import Key
from pertoken.web import grid, use
from pertoken.web.acting import act, placed
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Deed, Done, NotTaken, Page, PageContext, Visit

TAG = "="  # between a tag's name and its value, in a form


def show(visit: Visit) -> PageContext:
    """Return the keys that the visitor may see, with their spending in the range."""
    total = {"calls": 0, "cost": Decimal(0), "currency": ""}
    rows = list(_rows(visit))
    columns = _columns(visit)
    return {
        "grid": grid.listed(
            visit, columns, rows, sort="name",
            empty="There is no key yet. Make one above, or run: pertoken key create NAME",
            command="pertoken key list", api="/api/v1/keys", total=None if not rows else total | _sums(rows),
        ),
        "may_write": visit.may(Action.KEYS_WRITE),
    }  # fmt: skip


def _sums(rows: list[dict[str, Any]]) -> dict[str, Any]:
    currencies = {row["currency"] for row in rows}
    calls = sum(row["calls"] for row in rows)
    if len(currencies) != 1:
        return {"calls": calls, "cost": None}
    return {"calls": calls, "cost": sum(row["cost"] or 0 for row in rows), "currency": currencies.pop()}


def _rows(visit: Visit) -> Iterator[dict[str, Any]]:
    """Yield a row for each key and currency."""
    spent = use.by_value(visit, "key")
    for key in visit.opened.archive.list_keys():
        of_key = {
            "name": key.name, "key_id": key.key_id, "state": state_of(key, visit.now_us), "team": key.team,
            "customer": key.customer, "tags": ", ".join(f"{name}{TAG}{value}" for name, value in key.tags),
            "secret": f"…{key.secret_hint}", "made": key.created_at_us, "expires": key.expires_at_us,
        }  # fmt: skip
        yield from ({**of_key, **used._asdict()} for used in spent.get(key.key_id, use.UNUSED))


def state_of(key: Key, now_us: int) -> str:
    """Return the state of a key, as a word."""
    if key.revoked_at_us is not None:
        return "revoked"
    return "expired" if key.expires_at_us is not None and key.expires_at_us <= now_us else "live"


def _columns(visit: Visit) -> list[Column]:
    def to_key(row: grid.GridRow) -> str:
        return visit.link(f"/keys/{row['key_id']}")

    columns = [
        Column("name", "name", Cells.NAME, to_key, narrow=True),
        Column("key_id", "id", Cells.ID, hidden=True),
        Column("state", "state", Cells.STATE, beneath=True),
        Column("team", "team", Cells.NAME, beneath=True),
        Column("customer", "customer", Cells.NAME),
        Column("tags", "tags", Cells.NAME, hidden=True),
        Column("secret", "secret", Cells.TEXT),
        Column("made", "made", Cells.TIME),
        Column("expires", "expires", Cells.TIME),
        Column("calls", "calls", Cells.COUNT, lambda row: visit.link("/calls", key=row["key_id"])),
    ]
    if visit.may(Action.COSTS_READ):
        columns.append(Column("cost", "cost", Cells.AMOUNT, narrow=True))
    return columns


def make(visit: Visit, form: Mapping[str, str]) -> Done:
    """Make a key."""
    body = {
        "name": form.get("name", "").strip(),
        "team": form.get("team", "").strip() or None,
        "customer": form.get("customer", "").strip() or None,
        "tags": _tags(form.get("tags", "")),
        "expires_at": form.get("expires_at") or None,
    }
    try:
        made = act(visit, "POST", "/api/v1/keys", body=body)
    except NotTaken as wrong:
        raise placed(wrong, body) from wrong
    return Done(visit.link(f"/keys/{made.id}"), f"The key {made.name} was made.", made.secret)


def _tags(text: str) -> dict[str, str]:
    pairs = [one.strip() for one in text.split(",") if one.strip()]
    wrong = next((one for one in pairs if TAG not in one), None)
    if wrong is not None:
        raise NotTaken(f"{wrong!r} is not a tag; write name=value, with commas between", "tags")
    return {name.strip(): value.strip() for name, _, value in (one.partition(TAG) for one in pairs)}


PAGE = Page(
    "/keys", "Keys", Action.KEYS_READ, show, "pages/keys.html", "Operate",
    deeds=(Deed("make", Action.KEYS_WRITE, make),),
)  # fmt: skip
