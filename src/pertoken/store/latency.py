"""The latency counts of roll-ups: a column of JSON that its writer merges (docs/decisions/0011).

Nobody else writes while a transaction does, so what it read, or what the last one on the same connection left, is what
is there. An empty text in a written row leaves the counts as they are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.latency import LatencyCounts, add_counts
from pertoken.store.statement import Sql

COLUMN = "latency"
MEMORY_MAX = 20_000  # rows whose counts are remembered
UNTIMED = ("", "{}")  # of what no counts are kept
GroupKey = tuple[Any, ...]  # of a roll-up

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[int, int]).decode


def read_counts(text: str) -> LatencyCounts:
    """Return the counts of a column."""
    return _decode(text) if text else {}


def write_counts(counts: LatencyCounts) -> str:
    """Return the column of counts."""
    return _encode(counts).decode() if counts else ""


class LatencyColumn:
    """Merges counts into the rows of one table. Owned by one thread; told when what it remembers may be wrong."""

    def __init__(self, sql: Sql, table: sa.Table) -> None:
        key = list(table.primary_key)
        self._select = sql.select([*key, table.c[COLUMN]], key)
        self._known: dict[GroupKey, LatencyCounts] = {}

    def merged(self, cursor: Cursor, new: Mapping[GroupKey, LatencyCounts], sign: int = 1) -> dict[GroupKey, str]:
        """Return the texts of the rows of `new` with those counts added, or taken away."""
        known = self._known
        unknown = [key for key in new if key not in known]
        if unknown:
            if len(known) + len(unknown) > MEMORY_MAX:
                known.clear()
                unknown = list(new)
            for key in unknown:
                known[key] = {}
            for *key_of, text in self._select.run(cursor, unknown):
                known[tuple(key_of)] = read_counts(text)
        texts = {}
        for key, counts in new.items():
            row = known[key]
            if sign > 0:
                for place, calls in counts.items():
                    row[place] = row.get(place, 0) + calls
            else:
                add_counts(row, counts, sign)
            texts[key] = _encode(row).decode()
        return texts

    def forget(self) -> None:
        """Forget remembered rows: another connection has written, or a transaction failed."""
        self._known.clear()
