"""A lease in the database: of all processes that share it, one does the housekeeping."""

from typing import NamedTuple

import sqlalchemy as sa

from pertoken.store.database import Database
from pertoken.store.schema import Microseconds, metadata

# Which process does the work that is to be done once: letting expired holds go, removing what is only kept for a time.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),  # one higher with every change of holder
    sa.Column("until_us", Microseconds, nullable=False),
)

LEASE_US = 5_000_000  # a holder that stops is replaced after this time
APART_US = 60_000_000  # how far the clocks of two machines may be apart; what reaches further was said by a wrong one


class LeaseLost(Exception):
    """Another process has the lease by now; what was begun under it must not go on."""


class _Term(NamedTuple):
    token: int  # one higher with every change of holder: what an earlier holder still does can be told by it
    until_us: int


class Lease:
    """One process' claim to a lease. `hold` again and again; `guard` whatever is written under it."""

    def __init__(self, database: Database, name: str, holder: str) -> None:
        """`holder` names the process, and no other process ever."""
        self._database = database
        self._name = name
        self._holder = holder
        self._term: _Term | None = None

    def hold(self, now_us: int) -> bool:
        """Take the lease, or keep it; tell whether it is ours. Raises StoreFailed."""
        if self._term is not None and 0 <= self._term.until_us - LEASE_US // 2 - now_us <= LEASE_US:
            return True
        if self._term is None and self._is_anothers(now_us):
            return False
        with self._database.write() as connection:
            term = self._take(connection, now_us)
        self._term = term  # on disk only now
        return self._term is not None

    def guard(self, connection: sa.Connection) -> None:
        """Make sure, inside a transaction that writes, that the lease is still ours. Raises LeaseLost."""
        row = connection.execute(_READ, {"name": self._name}).one()  # never removed
        if self._term is None or (row.holder, row.token) != (self._holder, self._term.token):
            self._term = None
            raise LeaseLost(f"the lease {self._name!r} went to {row.holder}")

    def _is_anothers(self, now_us: int) -> bool:
        with self._database.read() as connection:
            row = connection.execute(_READ, {"name": self._name}).first()
        return row is not None and row.holder != self._holder and _holds(row.until_us, now_us)

    def _take(self, connection: sa.Connection, now_us: int) -> _Term | None:
        row = connection.execute(_READ, {"name": self._name}).first()
        until_us = now_us + LEASE_US
        if row is None:
            made = sa.insert(leases).values(name=self._name, holder=self._holder, token=1, until_us=until_us)
            connection.execute(made)
            return _Term(1, until_us)
        if row.holder != self._holder and _holds(row.until_us, now_us):
            return None
        token = row.token if row.holder == self._holder else row.token + 1
        kept = sa.update(leases).where(leases.c.name == self._name)
        connection.execute(kept.values(holder=self._holder, token=token, until_us=until_us))
        return _Term(token, until_us)


def read_all(connection: sa.Connection) -> list[tuple[str, str, int]]:
    """Return what each lease is for, who has it, and until when."""
    query = sa.select(leases.c.name, leases.c.holder, leases.c.until_us).order_by(leases.c.name)
    return [(row.name, row.holder, row.until_us) for row in connection.execute(query)]


def _holds(until_us: int, now_us: int) -> bool:
    """Tell whether a term is not over. One that ends in a year was taken while the clock was a year ahead."""
    return now_us < until_us <= now_us + LEASE_US + APART_US


_READ = sa.select(leases).where(leases.c.name == sa.bindparam("name"))
