"""The ledger's tables: loads the rows that a batch of commands touches, writes what `core.ledger` changed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from pertoken.core import ledger
from pertoken.core.budgets import Attribution, CounterKey
from pertoken.core.directory import Directory
from pertoken.core.ledger import Books, Command, Counter, Event, Hold, HoldState
from pertoken.core.periods import US_PER_SECOND
from pertoken.core.reporting import SUMS, event_sums
from pertoken.store import codec
from pertoken.store.schema import Row, accounts, counters, entries, events, holds, postings, rollups, series

HOUR_US = 3600 * US_PER_SECOND
CHUNK = 400  # values in one IN list
SERIES_MEMORY_MAX = 50_000


class LedgerTables:
    """Loads and saves `Books` on a connection. Owned by one thread: it remembers the ids of series."""

    def __init__(self) -> None:
        self._series: dict[Attribution, int] = {}

    def load(self, connection: sa.Connection, directory: Directory, commands: Sequence[Command]) -> Books:
        """Return books with every row that `commands` touch."""
        books = Books(directory.budgets, directory.revision)
        keys: set[CounterKey] = set()
        hold_ids: set[str] = set()
        identities: set[tuple[str, str]] = set()
        for command in commands:
            keys.update(touch.key for touch in books.touched(command))
            match command:
                case ledger.OpenHold(hold=hold):
                    hold_ids.add(hold.hold_id)
                case ledger.Settle(hold_id=hold_id):
                    hold_ids.add(hold_id)
                case ledger.Record(event=event):
                    identities.add((event.source, event.event_id))
                case _:
                    hold_ids.add(command.hold_id)
        self._load_counters(connection, books, sorted(keys))
        self._load_holds(connection, books, sorted(hold_ids))
        self._load_events(connection, books, identities)
        return books

    def save(self, connection: sa.Connection, books: Books, posted_at_us: int) -> None:
        """Write everything that changed: holds, events with their entry, counters, balances, roll-ups."""
        if books.opened_holds:
            connection.execute(_INSERT_HOLD, [self._hold_row(connection, hold) for hold in books.opened_holds.values()])
        if books.ended_holds:
            ended = [{"b_id": hold_id, "b_state": state} for hold_id, state in books.ended_holds.items()]
            connection.execute(_END_HOLD, ended)
        if books.new_events:
            self._save_events(connection, books.new_events, posted_at_us)
        if books.changed_counters:
            connection.execute(_PUT_COUNTER, [_counter_row(key, books.counters[key]) for key in books.changed_counters])

    def forget(self) -> None:
        """Forget remembered ids: a transaction that wrote some of them failed."""
        self._series.clear()

    def series_id(self, connection: sa.Connection, attribution: Attribution) -> int:
        """Return the id of an attribution without its conversation, making it if it is new."""
        key = attribution._replace(conversation=None)
        known = self._series.get(key)
        if known is not None:
            return known
        values = _series_row(key)
        connection.execute(insert(series).values(**values).on_conflict_do_nothing())
        found = sa.select(series.c.series_id).where(*(series.c[name] == value for name, value in values.items()))
        if len(self._series) >= SERIES_MEMORY_MAX:
            self._series.clear()
        series_id: int = connection.execute(found).scalar_one()
        self._series[key] = series_id
        return series_id

    def _load_counters(self, connection: sa.Connection, books: Books, keys: Sequence[CounterKey]) -> None:
        for some in _chunks(keys):
            for row in connection.execute(_READ_COUNTERS, {"keys": [tuple(key) for key in some]}):
                books.counters[CounterKey(row[0], row[1], row[2])] = Counter(row[3], row[4])

    def _load_holds(self, connection: sa.Connection, books: Books, hold_ids: Sequence[str]) -> None:
        for some in _chunks(hold_ids):
            for row in connection.execute(_READ_HOLDS, {"ids": some}):
                books.holds[row.hold_id] = read_hold(row)

    def _load_events(self, connection: sa.Connection, books: Books, identities: Iterable[tuple[str, str]]) -> None:
        by_source: dict[str, list[str]] = defaultdict(list)
        for source, event_id in sorted(identities):
            by_source[source].append(event_id)
        for source, event_ids in by_source.items():
            for some in _chunks(event_ids):
                for row in connection.execute(_READ_IDENTITIES, {"source": source, "ids": some}):
                    books.events[source, row.event_id] = row.body_hash

    def _hold_row(self, connection: sa.Connection, hold: Hold) -> dict[str, Any]:
        return {
            "hold_id": hold.hold_id,
            "series_id": self.series_id(connection, hold.attribution),
            "conversation": hold.attribution.conversation,
            "amount_picos": hold.amount_picos,
            "tokens": hold.tokens,
            "opened_at_us": hold.opened_at_us,
            "expires_at_us": hold.expires_at_us,
            "owner": hold.owner,
            "state": hold.state,
        }

    def _save_events(self, connection: sa.Connection, new_events: Sequence[Event], posted_at_us: int) -> None:
        entry_ids = _post(connection, new_events, posted_at_us)
        sums: dict[tuple[int, int, str], list[int]] = {}
        rows = []
        for event in new_events:
            series_id = self.series_id(connection, event.attribution)
            pair = (event.attribution.provider or "", event.currency)
            rows.append(_event_row(event, series_id, entry_ids.get(pair) if event.cost_picos else None))
            add_to_rollup(sums, series_id, event)
        connection.execute(_INSERT_EVENT, rows)
        connection.execute(_ADD_ROLLUP, [rollup_row(slot, amounts) for slot, amounts in sums.items()])


def put_counters(connection: sa.Connection, derived: Mapping[CounterKey, tuple[int, int]]) -> None:
    """Set counters to (held, spent)."""
    if derived:
        connection.execute(_PUT_COUNTER, [_counter_row(key, Counter(*amounts)) for key, amounts in derived.items()])


def _post(connection: sa.Connection, new_events: Sequence[Event], posted_at_us: int) -> dict[tuple[str, str], int]:
    """Post one balanced entry for each provider and currency of `new_events`; return the entries' ids."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for event in new_events:
        if event.cost_picos:
            sums[event.attribution.provider or "", event.currency] += event.cost_picos
    ids = {}
    for (provider, currency), amount in sums.items():
        entry = {"posted_at_us": posted_at_us, "kind": "usage", "currency": currency}
        made = connection.execute(_INSERT_ENTRY, entry).inserted_primary_key
        assert made is not None
        entry_id = ids[provider, currency] = made[0]
        pair = ((f"provider_cost:{provider}", amount), (f"provider_payable:{provider}", -amount))
        rows = [{"entry_id": entry_id, "account": account, "amount_picos": picos} for account, picos in pair]
        connection.execute(_INSERT_POSTING, rows)
        balances = [{"account": account, "currency": currency, "balance_picos": picos} for account, picos in pair]
        connection.execute(_ADD_BALANCE, balances)
    return ids


def add_to_rollup(sums: dict[tuple[int, int, str], list[int]], series_id: int, event: Event) -> None:
    """Add one event to the sums of its hour: (hour, series, currency) -> amounts in the order of SUMS."""
    slot = (event.occurred_at_us - event.occurred_at_us % HOUR_US, series_id, event.currency)
    row = sums.get(slot)
    if row is None:
        row = sums[slot] = [0] * len(SUMS)
    for at, amount in enumerate(event_sums(event)):
        row[at] += amount


def rollup_row(slot: tuple[int, int, str], amounts: Sequence[int]) -> dict[str, Any]:
    """Return the roll-up row of one slot."""
    return {
        "hour_us": slot[0],
        "series_id": slot[1],
        "currency": slot[2],
        **dict(zip(SUMS, amounts, strict=True)),
    }


def read_hold(row: Row) -> Hold:
    """Return a hold from its row joined with its series."""
    return Hold(
        row.hold_id,
        read_attribution(row, row.conversation),
        row.amount_picos,
        row.tokens,
        row.opened_at_us,
        row.expires_at_us,
        row.owner,
        HoldState(row.state),
    )


def read_attribution(row: Row, conversation: str | None) -> Attribution:
    """Return the attribution of a row joined with its series; empty texts mean absent."""
    return Attribution(
        row.key_id or None,
        row.team or None,
        row.customer or None,
        row.user_name or None,
        row.provider or None,
        row.model or None,
        codec.decode_tags(row.tags),
        conversation,
    )


def _series_row(attribution: Attribution) -> dict[str, str]:
    return {
        "key_id": attribution.key or "",
        "team": attribution.team or "",
        "customer": attribution.customer or "",
        "user_name": attribution.user or "",
        "provider": attribution.provider or "",
        "model": attribution.model or "",
        "tags": codec.encode_tags(attribution.tags),
    }


def _counter_row(key: CounterKey, counter: Counter) -> dict[str, Any]:
    return {
        "budget_id": key.budget_id,
        "each_value": key.each,
        "window_start_us": key.window_start_us,
        "held": counter.held,
        "spent": counter.spent,
    }


def _event_row(event: Event, series_id: int, entry_id: int | None) -> dict[str, Any]:
    return {
        "source": event.source,
        "event_id": event.event_id,
        "series_id": series_id,
        "conversation": event.attribution.conversation,
        "occurred_at_us": event.occurred_at_us,
        "recorded_at_us": event.recorded_at_us,
        "opened_at_us": event.opened_at_us,
        "status": event.status,
        "completeness": event.completeness,
        "quantities": codec.encode(event.quantities),
        "currency": event.currency,
        "cost_picos": event.cost_picos,
        "price_picos": event.price_picos,
        "lines": codec.encode(event.lines),
        "model_served": event.model_served,
        "service_tier": event.service_tier,
        "response_id": event.response_id,
        "raw": event.raw,
        "reason": event.reason,
        "changed": event.changed,
        "body_hash": event.body_hash,
        "held_picos": event.held_picos,
        "overrun_picos": event.overrun_picos,
        "late": event.late,
        "entry_id": entry_id,
    }


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))


_counter_key = sa.tuple_(counters.c.budget_id, counters.c.each_value, counters.c.window_start_us)
_READ_COUNTERS = sa.select(counters).where(_counter_key.in_(sa.bindparam("keys", expanding=True)))
_READ_HOLDS = (
    sa.select(holds, series)
    .join(series, series.c.series_id == holds.c.series_id)
    .where(holds.c.hold_id.in_(sa.bindparam("ids", expanding=True)))
)
_READ_IDENTITIES = sa.select(events.c.event_id, events.c.body_hash).where(
    events.c.source == sa.bindparam("source"), events.c.event_id.in_(sa.bindparam("ids", expanding=True))
)
_INSERT_HOLD = sa.insert(holds)
_END_HOLD = sa.update(holds).where(holds.c.hold_id == sa.bindparam("b_id")).values(state=sa.bindparam("b_state"))
_INSERT_EVENT = sa.insert(events)
_INSERT_ENTRY = sa.insert(entries)
_INSERT_POSTING = sa.insert(postings)
_put_counter = insert(counters)
_PUT_COUNTER = _put_counter.on_conflict_do_update(
    index_elements=["budget_id", "each_value", "window_start_us"],
    set_={"held": _put_counter.excluded.held, "spent": _put_counter.excluded.spent},
)
_add_balance = insert(accounts)
_ADD_BALANCE = _add_balance.on_conflict_do_update(
    index_elements=["account", "currency"],
    set_={"balance_picos": accounts.c.balance_picos + _add_balance.excluded.balance_picos},
)
_add_rollup = insert(rollups)
_ADD_ROLLUP = _add_rollup.on_conflict_do_update(
    index_elements=["hour_us", "series_id", "currency"],
    set_={name: rollups.c[name] + _add_rollup.excluded[name] for name in SUMS},
)
