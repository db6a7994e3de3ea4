"""Events as rows: what is selected for them, and how a row becomes an event again."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from pertoken.core.budgets import Attribution
from pertoken.core.events import Event, EventStatus, Timeline
from pertoken.core.money import join
from pertoken.core.usage import Completeness, Parts
from pertoken.ports.failures import StoreFailed
from pertoken.store import codec
from pertoken.store.ledger import read_attribution
from pertoken.store.schema import Row, events, series

FETCH = 2_000
SERIES_MEMORY_MAX = 50_000

EVENTS = sa.select(events)
EVENTS_OF_SERIES = EVENTS.join(series, series.c.series_id == events.c.series_id)  # where those of some are selected
_SERIES = sa.select(series).where(series.c.series_id == sa.bindparam("series_id"))
BY_TIME = (events.c.occurred_at_us, events.c.id)
SELECTED: Mapping[str, sa.Column[Any]] = {
    "key": series.c.key_id,
    "team": series.c.team,
    "customer": series.c.customer,
    "user": series.c.user_name,
    "provider": series.c.provider,
    "model": series.c.model,
    "conversation": events.c.conversation,
    "source": events.c.source,
}

read_lines = msgspec.json.Decoder(tuple[tuple[str, int, str, int], ...]).decode


def within(since_us: int, until_us: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition that an event occurred in [since, until)."""
    return events.c.occurred_at_us >= since_us, events.c.occurred_at_us < until_us


class EventRows:
    """Reads events on one connection, and remembers whose they are: most are of a few series."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._attributions: dict[int, Attribution] = {}  # without conversation

    def read(self, query: sa.Select[Any]) -> Iterator[Event]:
        """Yield the events of a query on EVENTS; few of its rows are in memory at once. Raises StoreFailed."""
        return map(self.event, self._connection.execute(query, execution_options={"yield_per": FETCH}))

    def event(self, row: Row) -> Event:
        """Return the event of a row. Raises StoreFailed where the row is not as it was written."""
        try:
            return _read(row, self.attribution(row.series_id, row.conversation))
        except (msgspec.DecodeError, ValueError, TypeError, AttributeError) as error:
            raise StoreFailed(f"event {row.event_id!r} cannot be read, the database is damaged: {error}") from error

    def attribution(self, series_id: int, conversation: str | None = None) -> Attribution:
        """Return the attribution of a series and a conversation. Raises StoreFailed where there is no such series."""
        known = self._attributions.get(series_id)
        if known is None:
            if len(self._attributions) >= SERIES_MEMORY_MAX:
                self._attributions.clear()
            row = self._connection.execute(_SERIES, {"series_id": series_id}).first()
            if row is None:
                raise StoreFailed(f"series {series_id} is gone, the database is damaged")
            known = self._attributions[series_id] = read_attribution(row, None)
        return known if conversation is None else known._replace(conversation=conversation)


def read_parts(text: str) -> Parts:
    """Return what each of several models used."""
    return tuple((model, used) for model, used in codec.decode(text)) if text else ()


def _read(row: Row, attribution: Attribution) -> Event:
    (
        _, source, event_id, _, _, occurred_at_us, recorded_at_us, opened_at_us, status, completeness, quantities,
        currency, cost_high, cost_low, price_high, price_low, lines, model_served, service_tier, response_id, raw,
        reason, changed, held_high, held_low, overrun_high, overrun_low, late, context, priced_as, parts, corrects,
        was_unpriced, book_lines, held_us, sent_us, first_byte_us, last_byte_us, attempts, *_,
    ) = row  # fmt: skip
    return Event(
        source,
        event_id,
        attribution,
        occurred_at_us,
        recorded_at_us,
        opened_at_us,
        EventStatus(status),
        Completeness(completeness),
        codec.decode(quantities),
        currency,
        join(cost_high, cost_low),
        None if price_high is None else join(price_high, price_low),
        read_lines(lines),
        model_served,
        service_tier,
        response_id,
        raw,
        reason,
        changed,
        held_picos=join(held_high, held_low),
        overrun_picos=join(overrun_high, overrun_low),
        late=late,
        context=codec.decode_tags(context),
        priced_as=priced_as,
        parts=read_parts(parts),
        corrects=corrects,
        was_unpriced=was_unpriced,
        book_lines=read_lines(book_lines) if book_lines else (),
        timeline=Timeline(held_us, sent_us, first_byte_us, last_byte_us),
        attempts=attempts,
    )
