"""Customers, in the database."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import sqlalchemy as sa

from pertoken.core.customers import Customer, CustomerState, Unknown, UnknownRule
from pertoken.ports import customers as port
from pertoken.store import codec, directory
from pertoken.store.database import Database
from pertoken.store.lease import Lease
from pertoken.store.schema import Row, customers, series

FOUND_MAX = 500  # that one statement looks for


class Customers:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, customer_ids: Collection[str]) -> dict[str, Customer]:
        """Return those of the customers that exist, by id."""
        found: dict[str, Customer] = {}
        for some in _chunks(customer_ids):
            rows = self._connection.execute(sa.select(customers).where(customers.c.customer_id.in_(some)))
            found.update({row.customer_id: _customer(row) for row in rows})
        return found

    def search(self, asked: port.CustomerSearch) -> list[Customer]:
        """Return the first customers that fit, by id."""
        query = sa.select(customers).where(customers.c.customer_id > asked.after)
        for column, value in ((customers.c.team, asked.team), (customers.c.parent, asked.parent)):
            if value is not None:
                query = query.where(column == value)
        if asked.state is not None:
            is_open = customers.c.closed_at_us.is_(None)
            query = query.where(is_open if asked.state is CustomerState.OPEN else sa.not_(is_open))
        rows = self._connection.execute(query.order_by(customers.c.customer_id).limit(asked.limit))
        return [_customer(row) for row in rows]

    def children(self, parents: Collection[str]) -> list[str]:
        """Return the ids of the customers whose parent is one of these."""
        found: list[str] = []
        for some in _chunks(parents):
            query = sa.select(customers.c.customer_id).where(customers.c.parent.in_(some))
            found += self._connection.execute(query).scalars()
        return found

    def add(self, customer: Customer) -> None:
        """Store a new customer; calls may name it from the next hold on."""
        self._connection.execute(sa.insert(customers).values(_row(customer)))
        directory.bump_revision(self._connection)

    def change(self, customer: Customer) -> None:
        """Store the new values of a customer."""
        same = customers.c.customer_id == customer.customer_id
        self._connection.execute(sa.update(customers).where(same).values(_row(customer)))
        directory.bump_revision(self._connection)


class CustomerMaker:
    """Makes the customers that calls and events name, if the rule says so. It knows how far it has read."""

    def __init__(self, database: Database, rule: UnknownRule) -> None:
        self._database = database
        self._rule = rule
        self._last_series = 0

    def make_new(self, now_us: int, lease: Lease | None = None) -> None:
        """Make all that are new, some in each transaction, under the lease if there is one. Raises StoreFailed."""
        while self._rule.unknown is Unknown.MAKE and self._is_behind():
            with self._database.write() as connection:
                if lease is not None:
                    lease.guard(connection)
                last = make_from_series(connection, self._last_series, self._rule.currency, self._rule.zone, now_us)
            self._last_series = last

    def _is_behind(self) -> bool:
        with self._database.read() as connection:
            newest = connection.execute(sa.select(sa.func.max(series.c.series_id))).scalar()
        return newest is not None and newest > self._last_series


def make_from_series(connection: sa.Connection, after: int, currency: str, zone: str, now_us: int) -> int:
    """Make the customers that calls and events named first in the series above `after`; return the last series read.

    The directory's revision stays: they may be named already.
    """
    named = sa.select(series.c.series_id, series.c.customer, series.c.team).where(series.c.series_id > after)
    rows = connection.execute(named.order_by(series.c.series_id).limit(SERIES_MAX)).all()
    first: dict[str, str] = {}
    for _, customer, team in rows:
        if customer:
            first.setdefault(customer, team)
    known = Customers(connection).find(first)
    new = [
        Customer(customer, customer, currency, zone, now_us, team=team or None)
        for customer, team in first.items()
        if customer not in known
    ]
    if new:
        connection.execute(sa.insert(customers), [_row(one) for one in new])
    return rows[-1].series_id if rows else after


SERIES_MAX = 5_000  # read in one transaction


def _chunks(ids: Collection[str]) -> Iterator[list[str]]:
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), FOUND_MAX):
        yield wanted[start : start + FOUND_MAX]


def _row(customer: Customer) -> dict[str, Any]:
    return {**customer._asdict(), "metadata": codec.encode(dict(customer.metadata))}


def _customer(row: Row) -> Customer:
    return Customer(
        row.customer_id, row.name, row.currency, row.zone, row.created_at_us, row.parent, row.team,
        tuple(sorted(codec.decode(row.metadata).items())), row.begins_at_us, row.closed_at_us,
    )  # fmt: skip


OPENS: Callable[[sa.Connection], port.Customers] = Customers
