"""Customers: who was used for in the range, and what that cost."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.core.money import format_amount
from pertoken.core.reporting import CALLS, SUMS, slices
from pertoken.web import grid
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Context, Page, Visit, place

INPUT, OUTPUT, COST, PRICE, SOLD = map(
    SUMS.index, ("input_tokens", "output_tokens", "cost_picos", "price_picos", "sold_calls")
)


def show(visit: Visit) -> Context:
    """Return the customers of the range, the dearest first: from roll-ups, a page of them."""
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
    """Yield a row for each customer and currency. There may be very many: what is not shown is not made a text."""
    found: dict[tuple[str, str], list[int]] = {}
    for piece in slices(visit.range.since_us, visit.range.until_us, (), visit.zone):
        for one in visit.opened.archive.sums(piece, ("customer",), {}):
            if one.values[0]:
                sums = found.setdefault((one.values[0], one.currency), [0] * 5)
                amounts = (one.sums[CALLS], one.sums[INPUT] + one.sums[OUTPUT], one.sums[COST], one.sums[PRICE])
                for at, amount in enumerate((*amounts, one.sums[SOLD])):
                    sums[at] += amount
    for (name, currency), (calls, tokens, cost, price, sold) in found.items():
        yield {
            "name": name,
            "calls": calls,
            "tokens": tokens,
            "cost": Decimal(format_amount(cost, currency)),
            "price": Decimal(format_amount(price, currency)) if sold or price else None,
            "currency": currency,
        }


def _columns(visit: Visit) -> list[Column]:
    def to_customer(row: grid.Row) -> str:
        return visit.link(place("/customers", row["name"]))

    return [
        Column("name", "customer", Cells.NAME, to_customer, narrow=True),
        Column("calls", "calls", Cells.COUNT, lambda row: visit.link("/calls", customer=row["name"])),
        Column("tokens", "tokens", Cells.COUNT),
        Column("price", "charged", Cells.AMOUNT),
        Column("cost", "cost", Cells.AMOUNT, narrow=True),
    ]


PAGE = Page("/customers", "Customers", Action.TEAMS_READ, show, "pages/customers.html", "Charge")
