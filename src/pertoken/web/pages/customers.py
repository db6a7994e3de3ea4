"""Customers with usage in the range, and its cost."""

from collections.abc import Iterator
from typing import Any

from pertoken.core.access import Action
from pertoken.web import grid, use
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Page, PageContext, Visit, place


def show(visit: Visit) -> PageContext:
    """Return a page of the customers in the range, the dearest first, from roll-ups."""
    return {
        "grid": grid.listed(
            visit,
            _columns(visit),
            list(_rows(visit)),
            sort="-cost",
            empty="No call of this range names a customer. Keys name one, or the header x-pertoken-customer.",
            command="pertoken usage --by customer",
            api="/api/v1/usage?by=customer",
        )
    }


def _rows(visit: Visit) -> Iterator[dict[str, Any]]:
    """Yield a row for each customer and currency."""
    for name, pieces in use.by_value(visit, "customer").items():
        yield from ({"name": name, **used._asdict()} for used in pieces if name)


def _columns(visit: Visit) -> list[Column]:
    def to_customer(row: grid.GridRow) -> str:
        return visit.link(place("/customers", row["name"]))

    return [
        Column("name", "customer", Cells.NAME, to_customer, narrow=True),
        Column("calls", "calls", Cells.COUNT, lambda row: visit.link("/calls", customer=row["name"])),
        Column("tokens", "tokens", Cells.COUNT),
        Column("price", "charged", Cells.AMOUNT),
        Column("cost", "cost", Cells.AMOUNT, narrow=True),
    ]


PAGE = Page("/customers", "Customers", Action.TEAMS_READ, show, "pages/customers.html", "Charge")
