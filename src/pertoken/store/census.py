"""Reads the names that keys have used, from series and from today's events of conversations."""

from functools import lru_cache

import sqlalchemy as sa

from pertoken.core.budgets import Attribution
from pertoken.core.census import Bounds, Census
from pertoken.core.periods import DAY_US
from pertoken.store import codec
from pertoken.store.schema import events, series

TAGS_REMEMBERED = 10_000


class CensusReader:
    """Brings a census up to what is in the books: all of it first, and then what came since."""

    def __init__(self, census: Census) -> None:
        self.census = census
        self._last_series = 0
        self._last_event = -1

    def read_new(self, connection: sa.Connection, now_us: int) -> None:
        """Take in what is new. Conversations are asked for again only where there are so many that a bound is near."""
        tags_of = lru_cache(maxsize=TAGS_REMEMBERED)(codec.decode_tags)  # the same few come again and again
        learn = self.census.learn_in_order
        for series_id, key, team, customer, user, tags in connection.execute(_SERIES, {"last": self._last_series}):
            self._last_series = series_id
            learn(Attribution(key or None, team or None, customer or None, user or None, None, None, tags_of(tags)))
        if self._last_event < 0 or self.census.is_watched:
            self._read_conversations(connection, now_us - now_us % DAY_US)

    def _read_conversations(self, connection: sa.Connection, day_us: int) -> None:
        last = self._last_event = max(self._last_event, 0)
        for event_id, key_id, conversation in connection.execute(_CONVERSATIONS, {"last": last, "day_us": day_us}):
            self._last_event = max(self._last_event, event_id)
            self.census.learn_conversation(key_id, conversation, day_us // DAY_US)


def read_census(connection: sa.Connection, bounds: Bounds, now_us: int) -> Census:
    """Return the census of what is in the books."""
    reader = CensusReader(Census(bounds))
    reader.read_new(connection, now_us)
    return reader.census


_SERIES = (
    sa.select(series.c.series_id, series.c.key_id, series.c.team, series.c.customer, series.c.user_name, series.c.tags)
    .where(series.c.series_id > sa.bindparam("last"))
    .order_by(series.c.series_id)
)
_CONVERSATIONS = (
    sa.select(events.c.id, series.c.key_id, events.c.conversation)
    .join(series, series.c.series_id == events.c.series_id)
    .where(
        events.c.occurred_at_us >= sa.bindparam("day_us"),
        events.c.occurred_at_us < sa.bindparam("day_us") + DAY_US,
        events.c.id > sa.bindparam("last"),
        events.c.conversation.is_not(None),
        series.c.key_id != "",
    )
)
