"""Customers: those that were made, and all that have usage in the range, with its cost; a form that makes one."""

from collections.abc import Iterator, Mapping
from typing import Any

from pertoken.core.access import Action
from pertoken.core.customers import Customer
from pertoken.ports.customers import CustomerSearch
from pertoken.services.customers import list_customers
from pertoken.web import grid, use
from pertoken.web.acting import act, placed
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Deed, Done, NotTaken, Page, PageContext, Visit, place

UNUSED_MAX = 10_000  # customers without usage that are listed
FIELDS = ("id", "name", "currency", "timezone", "parent", "team", "from")


def show(visit: Visit) -> PageContext:
    """Return a page of the customers in the range, the dearest first, from roll-ups."""
    rows = list(_rows(visit))
    return {
        "grid": grid.listed(
            visit,
            _columns(visit),
            rows,
            sort="-cost",
            empty="No customer was made, and no call of this range names one. Keys name one, or x-pertoken-customer.",
            command="pertoken customer list",
            api="/api/v1/customers",
        ),
        "is_unused": bool(rows) and not any(row["calls"] for row in rows),
        "may_write": visit.may(Action.CUSTOMERS_WRITE),
        "team": visit.view.team or "",
    }


def _rows(visit: Visit) -> Iterator[dict[str, Any]]:
    """Yield a row for each customer and currency of its usage; one without usage has one row."""
    known = {
        one.customer_id: one for one in list_customers(visit.opened.customers, visit.view, CustomerSearch(UNUSED_MAX))
    }
    used = use.by_value(visit, "customer")
    rest = visit.opened.customers.find([name for name in used if name and name not in known])
    known |= {name: one for name, one in rest.items() if one.is_seen_by(visit.view)}
    for name, pieces in used.items():
        yield from ({"name": name, **_own(known.get(name)), **piece._asdict()} for piece in pieces if name)
    for name, one in known.items():
        if name not in used:
            yield from ({"name": name, **_own(one), **piece._asdict()} for piece in use.UNUSED)


def _own(customer: Customer | None) -> dict[str, Any]:
    """Return the columns that a customer has only if it was made."""
    if customer is None:
        return {}
    return {
        "title": customer.name, "state": str(customer.state), "billed_in": customer.currency, "zone": customer.zone,
        "parent": customer.parent, "team": customer.team, "begins": customer.begins_at_us,
    }  # fmt: skip


def _columns(visit: Visit) -> list[Column]:
    def to_customer(row: grid.GridRow) -> str:
        return visit.link(place("/customers", row["name"]))

    return [
        Column("name", "customer", Cells.NAME, to_customer, narrow=True),
        Column("title", "name", Cells.NAME, hidden=True),
        Column("state", "state", Cells.STATE),
        Column("billed_in", "currency", Cells.TEXT),
        Column("zone", "time zone", Cells.TEXT),
        Column("team", "team", Cells.NAME, hidden=True),
        Column("parent", "parent", Cells.NAME, hidden=True),
        Column("begins", "from", Cells.TIME, hidden=True),
        Column("calls", "calls", Cells.COUNT, lambda row: visit.link("/calls", customer=row["name"])),
        Column("tokens", "tokens", Cells.COUNT),
        Column("price", "charged", Cells.AMOUNT),
        Column("cost", "cost", Cells.AMOUNT, narrow=True),
    ]


def make(visit: Visit, form: Mapping[str, str]) -> Done:
    """Make a customer."""
    body = {name: form.get(name, "").strip() for name in FIELDS}
    try:
        made = act(visit, "POST", "/api/v1/customers", body={name: text for name, text in body.items() if text})
    except NotTaken as wrong:
        raise placed(wrong, body) from wrong
    return Done(visit.link(place("/customers", made.id)), f"The customer {made.id} was made.")


PAGE = Page(
    "/customers",
    "Customers",
    Action.CUSTOMERS_READ,
    show,
    "pages/customers.html",
    "Charge",
    deeds=(Deed("make", Action.CUSTOMERS_WRITE, make),),
)
