"""Issued receipts, in the database."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.money import join, split
from pertoken.core.receipts import Receipt
from pertoken.ports import receipts as port
from pertoken.store.amounts import columns, fits, pair
from pertoken.store.schema import Id, Microseconds, Row, metadata

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("number", Id, primary_key=True),
    sa.Column("customer", sa.Text, nullable=False),
    *columns("amount_picos"),
    sa.Column("issued_at_us", Microseconds, nullable=False),
    fits("amount_picos"),
)


class Receipts:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def list_all(self) -> list[Receipt]:
        """Return every receipt, by number."""
        return [_read(row) for row in self._connection.execute(sa.select(receipts).order_by(receipts.c.number))]

    def add(self, receipt: Receipt) -> None:
        """Keep a receipt."""
        row = receipt._asdict()
        amount = dict(zip(pair("amount_picos"), split(row.pop("amount_picos")), strict=True))
        self._connection.execute(sa.insert(receipts).values({**row, **amount}))


def _read(row: Row) -> Receipt:
    return Receipt(row.number, row.customer, join(row.amount_picos_high, row.amount_picos_low), row.issued_at_us)


OPENS: Callable[[sa.Connection], port.Receipts] = Receipts
