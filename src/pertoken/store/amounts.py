"""Amounts in SQL: two integers each, so that sums have room beyond 64 bits on every database.

The pair is (high, low) of `core.money.split`. Sums of both are exact in 64 bits for nine million rows, and a balance
has room for 9 * 10**18 US dollars. What would not fit is refused by a CHECK in SQLite, which would make it a float, and
by PostgreSQL itself.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from pertoken.core.money import HALF, join, split

HIGH_MAX = 9 * 10**18


def pair(name: str) -> tuple[str, str]:
    """Return the names of an amount's two columns."""
    return f"{name}_high", f"{name}_low"


def pairs(names: Iterable[str]) -> list[str]:
    """Return the names of the columns of several amounts."""
    return [column for name in names for column in pair(name)]


def columns(name: str, *, nullable: bool = False) -> list[sa.Column[Any]]:
    """Return the two columns of an amount."""
    return [sa.Column(column, sa.BigInteger, nullable=nullable) for column in pair(name)]


def fits(*names: str) -> sa.CheckConstraint:
    """Return the rule that amounts fit their columns."""
    terms = " AND ".join(f"{high} BETWEEN {-HIGH_MAX} AND {HIGH_MAX}" for high, _ in map(pair, names))
    return sa.CheckConstraint(terms, name=f"fits_{names[0]}").ddl_if(dialect="sqlite")


def spread(amounts: Iterable[int]) -> list[int]:
    """Return the values of several amounts' columns."""
    row: list[int] = []
    for amount in amounts:
        if 0 <= amount < HALF:  # nearly all, so without a call
            row.append(0)
            row.append(amount)
        else:
            row += split(amount)
    return row


def gather(row: Sequence[int]) -> list[int]:
    """Return the amounts of their columns' values, or of sums of those."""
    return list(map(join, row[::2], row[1::2]))


def added(table: sa.Table, new: Any, name: str) -> dict[str, sa.ColumnElement[int]]:
    """Return what an amount of `table` becomes when that of the row `new` is added."""
    high, low = pair(name)
    sum_low = table.c[low] + new[low]
    half: sa.ColumnClause[int] = sa.literal_column(str(HALF), sa.BigInteger())
    return {high: table.c[high] + new[high] + sum_low // half, low: sum_low % half}
