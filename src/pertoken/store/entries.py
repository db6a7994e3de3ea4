"""Writes entries with their postings, and what these change of balances.

Whoever posts something in a transaction of its own does it through this class, so that `verify` finds it.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.bookkeeping import Entry
from pertoken.core.money import split
from pertoken.store.amounts import pairs
from pertoken.store.schema import accounts, entries, postings
from pertoken.store.statement import Sql


class EntryWriter:
    """Writes entries on a connection."""

    def __init__(self, sql: Sql) -> None:
        names = [column.name for column in entries.columns if column is not entries.autoincrement_column]
        self._insert = sql.write(sa.insert(entries).returning(entries.c.entry_id), names)
        self._insert_posting = sql.write(sa.insert(postings), ["entry_id", "account", *pairs(["amount_picos"])])
        self._add_balance = sql.add(accounts, ["balance_picos"])

    def post(self, cursor: Cursor, new_entries: Iterable[Entry], posted_at_us: int) -> list[int]:
        """Write entries, and return their ids in the same order."""
        ids = []
        for kind, currency, its_postings in new_entries:
            [entry_id] = self._insert.run_returning(cursor, (posted_at_us, kind.value, currency))
            amounts = [(account, *split(picos)) for account, picos in its_postings]
            self._insert_posting.run(cursor, [(entry_id, *one) for one in amounts])
            self._add_balance.run(cursor, [(account, currency, *parts) for account, *parts in amounts])
            ids.append(entry_id)
        return ids
