"""Hot statements: SQLAlchemy writes the SQL once, the driver's cursor runs it once for all rows of a batch.

A statement costs 55 us when SQLAlchemy's connection runs it and 5 us when the driver's cursor does; a transaction of
one hold went from 500 us of CPU to 200 (measured on the bookkeeper alone).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor


class Write:
    """INSERT of rows, with an ending such as ON CONFLICT, or a DELETE by key.

    One short text for any number of rows: the driver keeps it prepared (rows in one VALUES list gain nothing from
    eight rows on, and every other number of rows is another text to prepare).
    """

    def __init__(self, clause: sa.Executable, names: Sequence[str], dialect: sa.Dialect) -> None:
        compiled = clause.compile(dialect=dialect, column_keys=list(names))  # type: ignore[attr-defined]
        assert tuple(compiled.positiontup) == tuple(names), (compiled.positiontup, names)
        self._text = str(compiled)

    def run(self, cursor: Cursor, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute for every row."""
        if rows:
            cursor.executemany(self._text, rows)

    def run_returning(self, cursor: Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Execute for one row and return what its RETURNING gives."""
        cursor.execute(self._text, row)
        [found] = cursor.fetchall()
        return tuple(found)


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
