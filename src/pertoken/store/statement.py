"""Hot statements, compiled once: SQLAlchemy writes the SQL, the driver runs it on plain tuples.

Compiling and binding dictionaries at every execution costs 25 us a call and 9 us a row; this costs 3 and 1 (measured
on the committer: a hold and its settlement went from 250 us to 90 us of CPU).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pertoken.store.schema import Row


class Statement:
    """One statement whose parameters are given as tuples in the order of `names`."""

    def __init__(self, clause: sa.Executable, names: Sequence[str], dialect: sa.Dialect) -> None:
        compiled = clause.compile(dialect=dialect, column_keys=list(names))  # type: ignore[attr-defined]
        self._sql = str(compiled)
        assert tuple(compiled.positiontup) == tuple(names), (compiled.positiontup, names)

    def run(self, connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
        """Execute once for each row."""
        connection.exec_driver_sql(self._sql, rows)


class Lookup:
    """Reads the rows whose key is one of several: SELECT ... WHERE key IN (VALUES ...)."""

    CHUNK = 400

    def __init__(self, columns: Sequence[sa.Column[Any]], key: Sequence[sa.Column[Any]]) -> None:
        names = ", ".join(column.name for column in columns)
        self._width = len(key)
        self._head = f"SELECT {names} FROM {columns[0].table.name} WHERE "  # noqa: S608 - names of our own columns
        self._head += f"({', '.join(column.name for column in key)}) IN (VALUES "
        self._texts: dict[int, str] = {}

    def rows(self, connection: sa.Connection, keys: Sequence[tuple[Any, ...]]) -> list[Row]:
        """Return the rows of `keys` that there are, in any order."""
        found: list[Row] = []
        for at in range(0, len(keys), self.CHUNK):
            some = keys[at : at + self.CHUNK]
            values = tuple(value for key in some for value in key)
            found += connection.exec_driver_sql(self._text(len(some)), values).all()
        return found

    def _text(self, count: int) -> str:
        text = self._texts.get(count)
        if text is None:
            one = f"({', '.join('?' * self._width)})"
            text = self._texts[count] = f"{self._head}{', '.join([one] * count)})"
        return text
