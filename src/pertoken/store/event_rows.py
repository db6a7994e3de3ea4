"""Events as rows of a query: what is selected for them, and whose each is."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from pertoken.core.budgets import TAG_PREFIX, Attribution
from pertoken.core.events import Event
from pertoken.ports.failures import StoreFailed
from pertoken.store.event_columns import event_of
from pertoken.store.ledger import read_attribution
from pertoken.store.schema import Row, events, series, series_tags

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


def has(name: str, value: str) -> sa.ColumnElement[bool]:
    """Return the condition that an event joined with its series has a value of a dimension, or of a tag."""
    if not name.startswith(TAG_PREFIX):
        return SELECTED[name] == value
    tag = series_tags.c.series_id == series.c.series_id, series_tags.c.name == name.removeprefix(TAG_PREFIX)
    return sa.exists().where(*tag, series_tags.c.value == value)


def is_of_series(name: str) -> bool:
    """Tell whether roll-ups know a dimension too."""
    return name.startswith(TAG_PREFIX) or SELECTED[name].table is series


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
            return event_of(row, self.attribution(row.series_id, row.conversation))
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
