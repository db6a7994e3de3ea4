"""Reading what was stored: events, holds, counters, roll-ups, postings. Never writes."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from pertoken.core.budgets import Budget, CounterKey
from pertoken.core.directory import Key
from pertoken.core.ledger import EndedHold, Event, EventStatus, Hold
from pertoken.core.prices import PriceRow
from pertoken.core.reporting import SUMS, Rollup
from pertoken.core.usage import Completeness
from pertoken.ports import Posted, Search
from pertoken.store import catalog, codec, directory
from pertoken.store.backend import StoreFailed
from pertoken.store.ledger import read_attribution, read_ended_hold, read_hold
from pertoken.store.schema import (
    Row,
    accounts,
    counters,
    ended_holds,
    entries,
    events,
    holds,
    identities,
    postings,
    rollups,
    series,
)

FETCH = 2_000
DAMAGE_MAX = 10  # findings in one damaged file: the first says enough

_read_lines = msgspec.json.Decoder(tuple[tuple[str, int, str, int], ...])


class Archive:
    """One connection's view of everything stored; consistent as long as its transaction is."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def list_keys(self) -> list[Key]:
        """Return every virtual key, revoked ones too."""
        return directory.read_keys(self._connection)

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""
        return directory.read_budgets(self._connection)

    def prices(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""
        return catalog.read_rows(self._connection, superseded=True)

    def rollups(self, since_us: int, until_us: int) -> Iterator[Rollup]:
        """Yield the hourly sums whose hour starts in [since, until)."""
        query = sa.select(rollups, series).join(series, series.c.series_id == rollups.c.series_id)
        for row in self._stream(query.where(rollups.c.hour_us >= since_us, rollups.c.hour_us < until_us)):
            yield Rollup(
                row.hour_us, read_attribution(row, None), row.currency, tuple(getattr(row, name) for name in SUMS)
            )

    def events(self, since_us: int = 0, until_us: int | None = None) -> Iterator[Event]:
        """Yield the events that occurred in [since, until), in the order they were posted."""
        query = _EVENTS.where(events.c.occurred_at_us >= since_us).order_by(events.c.id)
        if until_us is not None:
            query = query.where(events.c.occurred_at_us < until_us)
        for row in self._stream(query):
            yield _event(row)

    def events_by_time(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events that occurred in [since, until), in the order they occurred."""
        query = _EVENTS.where(events.c.occurred_at_us >= since_us, events.c.occurred_at_us < until_us)
        for row in self._stream(query.order_by(events.c.occurred_at_us, events.c.id)):
            yield _event(row)

    def search_events(self, search: Search) -> list[Posted]:
        """Return the newest events that fit, the newest first."""
        fits = [_SEARCHED[name] == value for name, value in search.where.items()]
        query = _EVENTS.where(events.c.occurred_at_us >= search.since_us, events.c.occurred_at_us < search.until_us)
        if search.before is not None:
            query = query.where(events.c.id < search.before)
        query = query.where(*fits).order_by(events.c.id.desc()).limit(search.limit)
        return [Posted(row.id, _event(row)) for row in self._connection.execute(query)]

    def corrections(self, since_us: int, until_us: int) -> list[Event]:
        """Return the corrections of events that occurred in [since, until), in the order they were posted."""
        query = _EVENTS.where(events.c.corrects.is_not(None), events.c.occurred_at_us >= since_us)
        query = query.where(events.c.occurred_at_us < until_us)
        return [_event(row) for row in self._connection.execute(query.order_by(events.c.id))]

    def conversation_events(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events of [since, until) that belong to a conversation."""
        query = _EVENTS.where(events.c.conversation.is_not(None))
        for row in self._stream(query.where(events.c.occurred_at_us >= since_us, events.c.occurred_at_us < until_us)):
            yield _event(row)

    def call_events(self, call_id: str) -> list[Event]:
        """Return the events of one call: its attempts have the call's id and a suffix."""
        after = f"{call_id}/"  # the character after the dot
        named = sa.or_(
            identities.c.event_id == call_id,
            sa.and_(identities.c.event_id > f"{call_id}.", identities.c.event_id < after),
        )
        times_us = list(self._connection.execute(sa.select(identities.c.occurred_at_us).where(named)).scalars())
        same = sa.or_(events.c.event_id == call_id, events.c.event_id.startswith(f"{call_id}.", autoescape=True))
        query = _EVENTS.where(events.c.occurred_at_us.in_(times_us), same).order_by(events.c.id)
        return [_event(row) for row in self._connection.execute(query)]

    def open_hold(self, hold_id: str) -> Hold | None:
        """Return one hold while it is open."""
        row = self._connection.execute(_HOLDS.where(holds.c.hold_id == hold_id)).first()
        return None if row is None else read_hold(row)

    def open_holds(self) -> list[Hold]:
        """Return the holds that have not ended."""
        return [read_hold(row) for row in self._connection.execute(_HOLDS)]

    def ended_hold(self, hold_id: str) -> EndedHold | None:
        """Return one hold that was let go without a charge."""
        row = self._connection.execute(_ENDED_HOLDS.where(ended_holds.c.hold_id == hold_id)).first()
        return None if row is None else read_ended_hold(row)

    def counters(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter."""
        rows = self._connection.execute(sa.select(counters))
        return {CounterKey(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}

    def entry_sums(self) -> dict[int, int]:
        """Return what the events of each entry cost together, by entry id."""
        query = sa.select(events.c.entry_id, sa.func.sum(events.c.cost_picos)).where(events.c.entry_id.is_not(None))
        return {row[0]: row[1] for row in self._connection.execute(query.group_by(events.c.entry_id))}

    def postings(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield (entry id, currency, account, amount in picos) of every posting."""
        query = sa.select(postings.c.entry_id, entries.c.currency, postings.c.account, postings.c.amount_picos)
        for row in self._stream(query.join(entries, entries.c.entry_id == postings.c.entry_id)):
            yield row[0], row[1], row[2], row[3]

    def balances(self) -> dict[tuple[str, str], int]:
        """Return the balance in picos of each (account, currency)."""
        return {(row[0], row[1]): row[2] for row in self._connection.execute(sa.select(accounts))}

    def damage(self) -> list[str]:
        """Return what the database finds wrong with its own file; one that keeps itself whole is not asked."""
        if self._connection.dialect.name != "sqlite":
            return []
        found = self._connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGE_MAX})").scalars()
        return [line for line in found if line != "ok"]

    def _stream(self, query: sa.Select[Any]) -> Iterator[Row]:
        yield from self._connection.execute(query, execution_options={"yield_per": FETCH})


_EVENTS = sa.select(events, series).join(series, series.c.series_id == events.c.series_id)
_SEARCHED: Mapping[str, sa.Column[Any]] = {
    "key": series.c.key_id,
    "team": series.c.team,
    "customer": series.c.customer,
    "user": series.c.user_name,
    "provider": series.c.provider,
    "model": series.c.model,
    "conversation": events.c.conversation,
    "source": events.c.source,
}
_HOLDS = sa.select(holds, series).join(series, series.c.series_id == holds.c.series_id)
_ENDED_HOLDS = sa.select(ended_holds, series).join(series, series.c.series_id == ended_holds.c.series_id)


def _event(row: Row) -> Event:
    """Return the event of a row. Raises StoreFailed where the row is not as it was written."""
    try:
        return _read_event(row)
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError) as error:
        raise StoreFailed(f"event {row.event_id!r} cannot be read, the database is damaged: {error}") from error


def _read_event(row: Row) -> Event:
    return Event(
        row.source,
        row.event_id,
        read_attribution(row, row.conversation),
        row.occurred_at_us,
        row.recorded_at_us,
        row.opened_at_us,
        EventStatus(row.status),
        Completeness(row.completeness),
        codec.decode(row.quantities),
        row.currency,
        row.cost_picos,
        row.price_picos,
        _read_lines.decode(row.lines),
        row.model_served,
        row.service_tier,
        row.response_id,
        row.raw,
        row.reason,
        row.changed,
        held_picos=row.held_picos,
        overrun_picos=row.overrun_picos,
        late=row.late,
        context=codec.decode_tags(row.context),
        priced_as=row.priced_as,
        parts=tuple((model, used) for model, used in codec.decode(row.parts)) if row.parts else (),
        corrects=row.corrects,
        was_unpriced=row.was_unpriced,
    )
