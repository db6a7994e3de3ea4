"""Months of events leaving the database for files, and coming back.

What leaves stays known: identities, entries and roll-ups are not touched, and what the removed events come to is kept
by series and by entry, in the transaction that removes them, so that the books can be proven at any moment.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.commands import posted
from pertoken.core.events import Event, OfReport
from pertoken.core.latency import count, places
from pertoken.core.money import split
from pertoken.core.periods import Window, bounds
from pertoken.core.prices import PriceRow
from pertoken.core.reporting import SUMS, event_sums
from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.months import Archived, MonthFile, StoredEvent
from pertoken.store import catalog
from pertoken.store.amounts import pair, pairs
from pertoken.store.archived import read_archived
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.event_columns import event_row
from pertoken.store.event_rows import BY_TIME, EVENTS, FETCH, EventRows, within
from pertoken.store.latency import COLUMN, UNTIMED, LatencyColumn
from pertoken.store.ledger import LedgerTables, RollupCounts, rollup_rows
from pertoken.store.schema import ADDED, COUNTED, archived_entries, archived_sums, archives, events, identities
from pertoken.store.statement import Sql

_WITH_HASH = EVENTS.add_columns(identities.c.body_hash).join(
    identities, sa.and_(identities.c.event_id == events.c.event_id, identities.c.source == events.c.source)
)


class DatabaseMonths:
    """Works on a database that others use at the same time. Raises StoreUnavailable; then nothing was done."""

    def __init__(self, database: Database, open_books: Callable[[], Bookkeeper]) -> None:
        """Take the database, and how to open its books where events are to be posted anew."""
        self._database = database
        self._open_books = open_books
        self._statements = _Statements(database.sql)
        self._tables = LedgerTables(database.sql)  # knows the ids of series

    def with_events(self, before_us: int) -> list[int]:
        """Return the starts of the months (UTC) before an instant that have events."""
        found = []
        at_us: int | None = 0
        oldest = sa.select(sa.func.min(events.c.occurred_at_us)).where(
            events.c.occurred_at_us >= sa.bindparam("at_us"), events.c.occurred_at_us < before_us
        )
        with _failing(), self._database.read() as connection:
            while (at_us := connection.execute(oldest, {"at_us": at_us}).scalar()) is not None:
                start_us, at_us = bounds(Window.MONTH, at_us, "UTC")
                found.append(start_us)
        return found

    @contextmanager
    def reading(self, month_us: int) -> Iterator[Iterator[StoredEvent]]:
        """Yield the events of a month, in the order they occurred, as they are at one instant."""
        query = _WITH_HASH.where(*within(*bounds(Window.MONTH, month_us, "UTC"))).order_by(*BY_TIME)
        with _failing(), self._database.read() as connection:
            read = EventRows(connection).event
            rows = connection.execute(query, execution_options={"yield_per": FETCH})
            yield (StoredEvent(_with_hash(read(row), row.body_hash), row.entry_id) for row in rows)

    def prices(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""
        with _failing(), self._database.read() as connection:
            return catalog.read_rows(connection, superseded=True)

    def archived(self) -> list[Archived]:
        """Return the files that the database knows, in the order of their months."""
        with _failing(), self._database.read() as connection:
            return read_archived(connection)

    def register(self, file: MonthFile, folder: str, instead_of: Collection[int]) -> Archived:
        """Remember a file of events that are all there, and forget those that it takes the place of."""
        with _failing(), self._database.write() as connection:
            for archive_id in instead_of:
                _set_removed(connection, archive_id, 0, 0)
                connection.execute(sa.delete(archives).where(archives.c.archive_id == archive_id))
            row = {
                "month_us": file.month_us,
                "file": file.name,
                "folder": folder,
                "sha256": file.sha256,
                "events": file.events,
                "conversations": file.conversations,
                "removed": 0,
                "made_at_us": file.made_at_us,
            }
            added = sa.insert(archives).values(row).returning(archives.c.archive_id)
            archive_id = connection.execute(added).scalar_one()
        return Archived(
            archive_id, file.name, file.month_us, folder, file.sha256, file.events, file.conversations, removed=0
        )

    def remove(self, archived: Archived, chunk: Sequence[StoredEvent]) -> Archived:
        """Remove the next of a file's events, and keep what they come to."""
        run = self._statements
        with _failing(), self._database.write() as connection:
            cursor = connection.connection.cursor()
            keys = [(one.event.occurred_at_us, one.event.event_id, one.event.source) for one in chunk]
            run.delete_event.run(cursor, keys)
            if cursor.rowcount != len(chunk):
                message = f"{len(chunk) - cursor.rowcount} events of {archived.name} are not in the database"
                raise StoreFailed(f"{message}: another command works on the same month, or its file is another's")
            self._add(cursor, archived, chunk, 1)
            removed = archived.removed + len(chunk)
            _set_removed(connection, archived.archive_id, archived.removed, removed)
        return archived._replace(removed=removed)

    def restore(self, archived: Archived, chunk: Sequence[StoredEvent]) -> Archived:
        """Bring back the last of a file's removed events."""
        run = self._statements
        with _failing(), self._database.write() as connection:
            cursor = connection.connection.cursor()
            owners = [self._tables.series_id(cursor, one.event.attribution) for one in chunk]
            rows = (event_row(one.event, owner, one.entry_id) for one, owner in zip(chunk, owners, strict=True))
            run.insert_event.run(cursor, list(rows))
            self._add(cursor, archived, chunk, -1)
            run.drop_nothing.run(cursor, sorted({(archived.archive_id, one.entry_id) for one in chunk if one.entry_id}))
            removed = archived.removed - len(chunk)
            _set_removed(connection, archived.archive_id, archived.removed, removed)
            if removed == 0:
                _forget_sums(connection, archived)
        return archived._replace(removed=removed)

    def add_prices(self, rows: Sequence[PriceRow]) -> None:
        """Add prices that are not known, for the record alone: none is used from now on."""
        if rows:
            with _failing(), self._database.write() as connection:
                catalog.add_rows(connection, [row._replace(superseded_at_us=row.recorded_at_us) for row in rows])

    def record(self, found: Sequence[Event]) -> tuple[int, int]:
        """Post events that the database does not know; return how many those were, and how many conflict."""
        with _failing():
            books = self._open_books()
            try:
                became = posted(books.record_all(found))
            finally:
                books.close()
        return became.new, became.conflicting

    def _add(self, cursor: Cursor, archived: Archived, chunk: Sequence[StoredEvent], sign: int) -> None:
        """Add what a chunk comes to, or take it back."""
        sums: dict[tuple[int, int, str], list[int]] = {}
        timed: RollupCounts = {}
        costs: dict[tuple[int, int], int] = {}
        for event, entry_id in chunk:
            owner = self._tables.series_id(cursor, event.attribution)
            key = (archived.archive_id, owner, event.currency)
            row = sums.setdefault(key, [0] * len(SUMS))
            for at, amount in enumerate(event_sums(event)):
                row[at] += sign * amount
            if places(event):
                count(timed.setdefault(key, {}), event)
            if entry_id is not None:
                entry = (archived.archive_id, entry_id)
                costs[entry] = costs.get(entry, 0) + sign * event.cost_picos
        texts = LatencyColumn(self._database.sql, archived_sums).merged(cursor, timed, sign)
        totals = {key: tuple(amounts) for key, amounts in sums.items()}
        self._statements.add_sums.run(cursor, rollup_rows(totals, texts))
        self._statements.add_entry.run(cursor, [(*key, *split(amount)) for key, amount in costs.items()])


class _Statements:
    """The statements that run once for each event."""

    def __init__(self, sql: Sql) -> None:
        key = ("occurred_at_us", "event_id", "source")  # found by the first's index: few share a microsecond
        same = sa.and_(*(events.c[name] == sa.bindparam(f"of_{name}") for name in key))
        self.delete_event = sql.write(sa.delete(events).where(same), [f"of_{name}" for name in key])
        names = [column.name for column in events.columns if column is not events.autoincrement_column]
        self.insert_event = sql.write(sa.insert(events), names)
        self.add_sums = sql.add(archived_sums, SUMS, [COLUMN])
        self.add_entry = sql.add(archived_entries, ["amount_picos"])
        one = sa.and_(*(column == sa.bindparam(f"of_{column.name}") for column in archived_entries.primary_key))
        zero: sa.ColumnClause[int] = sa.literal_column("0")
        nothing = sa.delete(archived_entries).where(
            one, *(archived_entries.c[name] == zero for name in pair("amount_picos"))
        )
        self.drop_nothing = sql.write(nothing, [f"of_{column.name}" for column in archived_entries.primary_key])


def _with_hash(event: Event, body_hash: bytes) -> Event:
    """Return an event with what its identity says; of what others did not report, that is nothing."""
    return event._replace(of=OfReport(body_hash)) if isinstance(event.of, OfReport) else event


def _set_removed(connection: sa.Connection, archive_id: int, before: int, after: int) -> None:
    """Say how many events of a file are removed. Raises StoreFailed where another command has said so meanwhile."""
    as_known = sa.and_(archives.c.archive_id == archive_id, archives.c.removed == before)
    if connection.execute(sa.update(archives).where(as_known).values(removed=after)).rowcount != 1:
        raise StoreFailed("another command works on the same month; wait for it to end")


def _forget_sums(connection: sa.Connection, archived: Archived) -> None:
    """Forget the sums of a file whose events are all back. Raises StoreFailed where they are not nothing by now."""
    ours = archived_sums.c.archive_id == archived.archive_id
    timed = archived_sums.c[COLUMN].not_in(UNTIMED)
    left = sa.or_(timed, *(archived_sums.c[name] != 0 for name in (*COUNTED, *pairs(ADDED))))
    entry = sa.select(archived_entries.c.entry_id).where(archived_entries.c.archive_id == archived.archive_id)
    rest = (sa.select(archived_sums.c.series_id).where(ours, left).limit(1), entry.limit(1))
    if any(connection.execute(query).first() is not None for query in rest):
        raise StoreFailed(f"the events of {archived.name} are not those that were removed; see: pertoken verify")
    connection.execute(sa.delete(archived_sums).where(ours))


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except StoreFailed as failure:
        raise StoreUnavailable(str(failure)) from failure
