"""Hot statements: SQLAlchemy writes the SQL once, the driver's cursor runs it once for all rows of a batch.

A statement costs 55 us when SQLAlchemy's connection runs it and 5 us when the driver's cursor does; a transaction of
one hold went from 500 us of CPU to 200 (measured on the bookkeeper alone).
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.store.amounts import added, pair

Insert = sqlite.Insert | postgresql.Insert  # alike, but for the class


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
    """A SELECT of the rows whose key is one of several: each is looked up by the index of the key.

    Not "WHERE (key) IN (VALUES ...)": of a key of two columns SQLite finds one so, and reads the whole table for more.
    """

    KEYS_MAX = 400

    def __init__(self, columns: Sequence[sa.Column[Any]], key: Sequence[sa.Column[Any]], mark: str) -> None:
        table = columns[0].table.name
        self._one = f"({', '.join([mark] * len(key))})"
        self._head = f"WITH wanted ({', '.join(f'k{at}' for at in range(len(key)))}) AS (VALUES "
        names = ", ".join(f"{table}.{column.name}" for column in columns)
        same = " AND ".join(f"{table}.{column.name} = wanted.k{at}" for at, column in enumerate(key))
        self._tail = f") SELECT {names} FROM wanted CROSS JOIN {table} WHERE {same}"  # noqa: S608 - our own names

    def run(self, cursor: Cursor, keys: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return the rows of all keys; each key is to be named once."""
        found: list[tuple[Any, ...]] = []
        for at in range(0, len(keys), self.KEYS_MAX):
            some = keys[at : at + self.KEYS_MAX]
            text = f"{self._head}{', '.join([self._one] * len(some))}{self._tail}"
            cursor.execute(text, [value for key in some for value in key])
            found += cursor.fetchall()
        return found


class Sql:
    """Writes hot statements as one kind of database reads them."""

    def __init__(self, dialect: sa.Dialect, insert: Callable[[sa.Table], Insert], mark: str) -> None:
        """Take the kind's dialect, its INSERT that knows ON CONFLICT, and what stands for a parameter."""
        self._dialect = dialect
        self.insert = insert
        self._mark = mark

    def write(self, clause: sa.Executable, names: Sequence[str]) -> Write:
        """Return a statement whose rows are in the order of `names`."""
        return Write(clause, names, self._dialect)

    def add(self, table: sa.Table, sums: Sequence[str], merged: Sequence[str] = ()) -> Write:
        """Return a statement that adds to the sums of a row, making it if it is not there; some are amounts.

        The texts of `merged` take the place of those before, unless they are empty.
        """
        new = self.insert(table)
        sets: dict[str, sa.ColumnElement[int]] = {}
        for name in sums:
            if pair(name)[0] in table.c:
                sets |= added(table, new.excluded, name)
            else:
                sets[name] = table.c[name] + new.excluded[name]
        for name in merged:
            sets[name] = sa.func.coalesce(sa.func.nullif(new.excluded[name], sa.literal_column("''")), table.c[name])
        put = new.on_conflict_do_update(index_elements=list(table.primary_key), set_=sets)
        return self.write(put, [column.name for column in table.columns])

    def select(self, columns: Sequence[sa.Column[Any]], key: Sequence[sa.Column[Any]]) -> Keyed:
        """Return a SELECT of `columns` by `key`."""
        return Keyed(columns, key, self._mark)


SQLITE = Sql(sqlite.dialect(paramstyle="qmark"), sqlite.insert, "?")
POSTGRESQL = Sql(postgresql.dialect(paramstyle="format"), postgresql.insert, "%s")  # type: ignore[no-untyped-call]
