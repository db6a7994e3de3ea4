"""Reads stored events, holds, counters, roll-ups and postings. Never writes."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pertoken.core.budgets import Budget, CounterKey
from pertoken.core.coarse import SummedDay
from pertoken.core.directory import Key
from pertoken.core.events import Event
from pertoken.core.holds import EndedHold, Hold
from pertoken.core.money import join
from pertoken.core.periods import Window, bounds
from pertoken.core.prices import PriceRow
from pertoken.core.refusals import RefusedCall, RefusedKind, RefusedSearch
from pertoken.core.reporting import Grain, Rollup, Slice, Sum, Timed, Total, sum_events, time_events
from pertoken.core.trust import Doubt
from pertoken.ports import archive as port
from pertoken.ports.archive import ANY, Among
from pertoken.ports.events import Posted, Search
from pertoken.ports.months import Archived, EventsArchived
from pertoken.store import catalog, directory, refusals, trust
from pertoken.store.amounts import pair
from pertoken.store.archived import read_archived
from pertoken.store.coarse import read_summed
from pertoken.store.event_rows import BY_TIME, EVENTS, EVENTS_OF_SERIES, FETCH, EventRows, has, within
from pertoken.store.latency import read_counts
from pertoken.store.ledger import read_ended_hold, read_hold
from pertoken.store.retention import COUNTERS, ENDED_HOLDS
from pertoken.store.schema import (
    Row,
    accounts,
    archived_entries,
    archived_sums,
    budgets,
    counters,
    ended_holds,
    entries,
    events,
    holds,
    horizons,
    identities,
    postings,
    rollups,
    series,
)
from pertoken.store.search import search
from pertoken.store.sums import TABLES, read_latencies, read_sums, read_values, rollup_sums

CHOICES_MAX = 200  # in one condition: SQLite takes no deeper ones than 1,000
DAMAGE_MAX = 10  # findings in one damaged file: the first says enough


class Archive:
    """One connection's view of everything stored; consistent as long as its transaction is."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._events = EventRows(connection)

    def list_keys(self) -> list[Key]:
        """Return every virtual key, revoked ones too."""
        return directory.read_keys(self._connection)

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""
        return directory.read_budgets(self._connection)

    def doubts(self) -> list[Doubt]:
        """Return the models whose providers count more than we do, by provider and model."""
        return trust.read_doubts(self._connection)

    def prices(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""
        return catalog.read_rows(self._connection, superseded=True)

    def rollups(self, grain: Grain, since_us: int, until_us: int) -> Iterator[Rollup]:
        """Yield the sums of quarters of an hour, or of days, that begin in [since, until)."""
        table = TABLES[grain]
        query = sa.select(table).where(table.c.start_us >= since_us, table.c.start_us < until_us)
        for start_us, series_id, currency, *sums, counts in self._stream(query.order_by(table.c.start_us)):
            owner = self._events.attribution(series_id)
            yield Rollup(start_us, owner, currency, rollup_sums(sums), read_counts(counts))

    def summed_days(self) -> Iterator[SummedDay]:
        """Yield every day that is summed coarsely, by each thing that it is summed by, in order."""
        return read_summed(self._connection)

    def newest_us(self) -> int | None:
        """Return the start of the newest quarter of an hour in which anything was used, None where nothing was."""
        found: int | None = self._connection.execute(sa.select(sa.func.max(rollups.c.start_us))).scalar_one()
        return found

    def sums(
        self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str], among: Among = ANY
    ) -> Iterator[Sum]:
        """Yield the sums of a slice by its spans and by `dimensions`, of those that have every value of `where`.

        Of each dimension of `among`, which are some of `dimensions`, those values alone; what is absent is empty.
        Values may come more than once. Raises EventsArchived for a slice of events.
        """
        if piece.grain is not Grain.EVENT:
            return read_sums(self._connection, piece, dimensions, where, among)
        events = self._of_slice(piece, where)
        some = (one for one in events if all((one.attribution.value(name) or "") in among[name] for name in among))
        return sum_events(some, piece, dimensions)

    def values(self, dimension: str, where: Mapping[str, str], part: str, most: int) -> list[str]:
        """Return the first values of a dimension, ever used with all of `where`, that contain a text in any case."""
        return read_values(self._connection, dimension, where, part, most)

    def latencies(self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]) -> Iterator[Timed]:
        """Yield the latency counts of a slice in the same way."""
        if piece.grain is not Grain.EVENT:
            return read_latencies(self._connection, piece, dimensions, where)
        return time_events(self._of_slice(piece, where), piece, dimensions)

    def _of_slice(self, piece: Slice, where: Mapping[str, str]) -> Iterator[Event]:
        self._need_events(piece.start_us, piece.end_us)
        fits = [has(name, value) for name, value in where.items()]
        return self._events.read(EVENTS_OF_SERIES.where(*within(piece.start_us, piece.end_us), *fits))

    def events(self) -> Iterator[Event]:
        """Yield every event, in the order they were posted."""
        return self._events.read(EVENTS.order_by(events.c.id))

    def events_by_time(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events that occurred in [since, until), in the order they occurred. Raises EventsArchived."""
        self._need_events(since_us, until_us)
        return self._events.read(EVENTS.where(*within(since_us, until_us)).order_by(*BY_TIME))

    def live_events(self, span: tuple[int, int] | None = None) -> Iterator[Event]:
        """Yield the events, of the span alone if said, that are not archived, in the order they occurred."""
        query = EVENTS if span is None else EVENTS.where(*within(*span))
        return self._events.read(query.order_by(*BY_TIME))

    def search_events(self, asked: Search) -> list[Posted]:
        """Return the newest events that fit, by when they occurred, the newest first."""
        return search(self._connection, self._events, asked)

    def posted_after(self, number: int, limit: int) -> list[Posted]:
        """Return the events that were posted after the one with the `number` of its place, in the order of posting."""
        rows = self._connection.execute(EVENTS.where(events.c.id > number).order_by(events.c.id).limit(limit))
        return [Posted((row.occurred_at_us, row.id), self._events.event(row)) for row in rows]

    def last_number(self) -> int:
        """Return the number of the event that was posted last, or 0."""
        return self._connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0

    def corrections(self, since_us: int, until_us: int) -> list[Event]:
        """Return the corrections of events that occurred in [since, until), in the order they were posted.

        Raises EventsArchived.
        """
        self._need_events(since_us, until_us)
        query = EVENTS.where(events.c.corrects.is_not(None), *within(since_us, until_us))
        return list(self._events.read(query.order_by(events.c.id)))

    def conversation_events(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events of [since, until) that belong to a conversation. Raises EventsArchived."""
        self._need_events(since_us, until_us, conversations=True)
        return self._events.read(EVENTS.where(events.c.conversation.is_not(None), *within(since_us, until_us)))

    def call_events(self, call_id: str) -> list[Event]:
        """Return the events of one call, without those that are archived."""
        times_us = [at_us for _, at_us in self._named(call_id)]
        same = sa.or_(events.c.event_id == call_id, events.c.event_id.startswith(f"{call_id}.", autoescape=True))
        query = EVENTS.where(events.c.occurred_at_us.in_(times_us), same).order_by(events.c.id)
        return list(self._events.read(query))

    def call_archived(self, call_id: str) -> list[Archived]:
        """Return the files that may have events of one call, where some are archived."""
        there = {event.event_id for event in self.call_events(call_id)}
        times_us = [at_us for event_id, at_us in self._named(call_id) if event_id not in there]
        months_us = {bounds(Window.MONTH, at_us, "UTC")[0] for at_us in times_us}
        return [one for one in self.archived() if one.month_us in months_us]

    def archived(self) -> list[Archived]:
        """Return the files that have events which are not in the database any more."""
        return [one for one in read_archived(self._connection) if one.removed]

    def archived_sums(self, archived: Archived) -> Iterator[Total]:
        """Yield what the removed events of a file come to, by attribution and currency."""
        query = sa.select(archived_sums).where(archived_sums.c.archive_id == archived.archive_id)
        for _, series_id, currency, *sums, counts in self._stream(query):
            yield Total(self._events.attribution(series_id), currency, rollup_sums(sums), read_counts(counts))

    def archived_entries(self, archived: Archived) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of the removed events of a file, in the order of entries."""
        query = sa.select(archived_entries).where(archived_entries.c.archive_id == archived.archive_id)
        for _, entry_id, high, low in self._stream(query.order_by(archived_entries.c.entry_id)):
            yield entry_id, join(high, low)

    def open_hold(self, hold_id: str) -> Hold | None:
        """Return one hold while it is open."""
        row = self._connection.execute(_HOLDS.where(holds.c.hold_id == hold_id)).first()
        return None if row is None else read_hold(row)

    def open_holds(self) -> list[Hold]:
        """Return the holds that have not ended."""
        return [read_hold(row) for row in self._connection.execute(_HOLDS)]

    def ended_hold(self, hold_id: str) -> EndedHold | None:
        """Return one hold that was released without a charge."""
        row = self._connection.execute(_ENDED_HOLDS.where(ended_holds.c.hold_id == hold_id)).first()
        return None if row is None else read_ended_hold(row)

    def failed_holds(self) -> Iterator[EndedHold]:
        """Yield the holds that were released because a provider failed, in the order they were opened."""
        rows = self._connection.execute(_FAILED_HOLDS, execution_options={"yield_per": FETCH})
        return map(read_ended_hold, rows)

    def ended_holds_horizon_us(self) -> int:
        """Return the instant before which released holds have been deleted."""
        return self._horizon_us(ENDED_HOLDS)

    def refused_call(self, call_id: str) -> RefusedCall | None:
        """Return one refused call, while it is one of the last."""
        return refusals.find(self._connection, call_id)

    def refused_calls(self, asked: RefusedSearch) -> list[RefusedCall]:
        """Return the newest refused calls that fit, of those that are kept."""
        return refusals.search(self._connection, asked)

    def refused_counts(self, since_us: int, until_us: int) -> dict[RefusedKind, int]:
        """Return how many calls were refused in the hours that begin in [since, until)."""
        return refusals.counts(self._connection, since_us, until_us)

    def counters(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter."""
        return self._counters(sa.true())

    def counters_of(self, keys: Collection[CounterKey]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of the counters among `keys` that there are."""
        return self._counters_among([_is_counter(*key) for key in keys])

    def counters_in(self, windows: Collection[tuple[str, int]]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter in `windows`: budget id and start of the window."""
        return self._counters_among([_is_counter(budget_id, None, start_us) for budget_id, start_us in windows])

    def budget_starts(self) -> dict[str, int]:
        """Return when each budget in force was set."""
        live = sa.select(budgets.c.budget_id, budgets.c.created_at_us).where(budgets.c.removed_at_us.is_(None))
        return {row[0]: row[1] for row in self._connection.execute(live)}

    def counters_horizon_us(self) -> int:
        """Return before when counters of short windows are not kept any more."""
        return self._horizon_us(COUNTERS)

    def _horizon_us(self, name: str) -> int:
        return self._connection.execute(sa.select(horizons.c.before_us).where(horizons.c.name == name)).scalar() or 0

    def entry_costs(self) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of every event that an entry was posted for, in the order of posting."""
        query = sa.select(events.c.entry_id, *(events.c[name] for name in pair("cost_picos")))
        for entry_id, high, low in self._stream(query.where(events.c.entry_id.is_not(None)).order_by(events.c.id)):
            yield entry_id, join(high, low)

    def postings(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield (entry id, currency, account, amount in picos) of every posting, in the order of their entries."""
        query = sa.select(postings, entries.c.currency).join(entries, entries.c.entry_id == postings.c.entry_id)
        query = query.order_by(postings.c.entry_id, postings.c.account)
        for entry_id, account, high, low, currency in self._stream(query):
            yield entry_id, currency, account, join(high, low)

    def balances(self) -> dict[tuple[str, str], int]:
        """Return the balance in picos of each (account, currency)."""
        rows = self._connection.execute(sa.select(accounts))
        return {(account, currency): join(high, low) for account, currency, high, low in rows}

    def damage(self) -> list[str]:
        """Return what the database finds wrong with its own file; one that keeps itself whole is not asked."""
        if self._connection.dialect.name != "sqlite":
            return []
        found = self._connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGE_MAX})").scalars()
        return [line for line in found if line != "ok"]

    def _named(self, call_id: str) -> list[tuple[str, int]]:
        """Return the event ids of one call, archived or not, and when they occurred: attempts have a suffix."""
        after = f"{call_id}/"  # the character after the dot
        named = sa.or_(
            identities.c.event_id == call_id,
            sa.and_(identities.c.event_id > f"{call_id}.", identities.c.event_id < after),
        )
        rows = self._connection.execute(sa.select(identities.c.event_id, identities.c.occurred_at_us).where(named))
        return [(row[0], row[1]) for row in rows]

    def _need_events(self, since_us: int, until_us: int, *, conversations: bool = False) -> None:
        """Raise EventsArchived where events of [since, until) are archived, of `conversations` alone if said."""
        found = [
            one
            for one in self.archived()
            if one.month_us < until_us
            and bounds(Window.MONTH, one.month_us, "UTC")[1] > since_us
            and (one.conversations or not conversations)
        ]
        if found:
            raise EventsArchived(found)

    def _counters_among(self, some: Sequence[sa.ColumnElement[bool]]) -> dict[CounterKey, tuple[int, int]]:
        found = {}
        for at in range(0, len(some), CHOICES_MAX):
            found.update(self._counters(sa.or_(*some[at : at + CHOICES_MAX])))
        return found

    def _counters(self, which: sa.ColumnElement[bool]) -> dict[CounterKey, tuple[int, int]]:
        rows = self._connection.execute(sa.select(counters).where(which))
        return {CounterKey(*row[:3]): (join(row[3], row[4]), join(row[5], row[6])) for row in rows}

    def _stream(self, query: sa.Select[Any]) -> Iterator[Row]:
        yield from self._connection.execute(query, execution_options={"yield_per": FETCH})


_HOLDS = sa.select(holds, series).join(series, series.c.series_id == holds.c.series_id)
_ENDED_HOLDS = sa.select(ended_holds, series).join(series, series.c.series_id == ended_holds.c.series_id)
_FAILED_HOLDS = _ENDED_HOLDS.where(ended_holds.c.error.is_not(None)).order_by(ended_holds.c.opened_at_us)


def _is_counter(budget_id: str, each: str | None, window_start_us: int) -> sa.ColumnElement[bool]:
    of_window = sa.and_(counters.c.budget_id == budget_id, counters.c.window_start_us == window_start_us)
    return of_window if each is None else sa.and_(of_window, counters.c.each_value == each)


OPENS: Callable[[sa.Connection], port.Archive] = Archive
