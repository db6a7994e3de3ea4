"""Hot statements: SQLAlchemy writes the SQL once, the driver's cursor runs it once for all rows of a batch.

A statement costs 55 us when SQLAlchemy's connection runs it and 5 us when the driver's cursor does; a transaction of
one hold went from 500 us of CPU to 200 (measured on the bookkeeper alone).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

VARIABLES_MAX = 30_000  # SQLite takes 32,766 in one statement


class Insert:
    """INSERT of many rows in one statement, with an ending such as ON CONFLICT."""

    def __init__(self, clause: sa.Executable, names: Sequence[str], dialect: sa.Dialect) -> None:
        compiled = clause.compile(dialect=dialect, column_keys=list(names))  # type: ignore[attr-defined]
        assert tuple(compiled.positiontup) == tuple(names), (compiled.positiontup, names)
        self._one = f"({', '.join('?' * len(names))})"
        self._head, values, self._tail = str(compiled).partition(self._one)
        assert values, str(compiled)
        self._rows_max = VARIABLES_MAX // len(names)

    def run(self, cursor: Cursor, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert all rows."""
        for at in range(0, len(rows), self._rows_max):
            some = rows[at : at + self._rows_max]
            text = f"{self._head}{', '.join([self._one] * len(some))}{self._tail}"
            cursor.execute(text, tuple(value for row in some for value in row))


class Keyed:
    """A statement on the rows whose key is one of several: ... WHERE (key) IN (VALUES ...)."""

    KEYS_MAX = 400

    def __init__(self, head: str, key: Sequence[sa.Column[Any]]) -> None:
        self._one = f"({', '.join('?' * len(key))})"
        self._head = f"{head} WHERE ({', '.join(column.name for column in key)}) IN (VALUES "

    def run(self, cursor: Cursor, keys: Sequence[tuple[Any, ...]], *before: Any) -> list[tuple[Any, ...]]:
        """Execute for all keys; `before` are the parameters of the head. Return the rows, if it gives any."""
        found: list[tuple[Any, ...]] = []
        for at in range(0, len(keys), self.KEYS_MAX):
            some = keys[at : at + self.KEYS_MAX]
            text = f"{self._head}{', '.join([self._one] * len(some))})"
            cursor.execute(text, (*before, *(value for key in some for value in key)))
            if cursor.description is not None:
                found += cursor.fetchall()
        return found


def select(columns: Sequence[sa.Column[Any]], key: Sequence[sa.Column[Any]]) -> Keyed:
    """Return a SELECT of `columns` by `key`."""
    names = ", ".join(column.name for column in columns)
    return Keyed(f"SELECT {names} FROM {columns[0].table.name}", key)  # noqa: S608 - names of our own columns
