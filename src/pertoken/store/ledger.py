"""The ledger's tables: loads the rows that a batch of commands touches, writes what `core.ledger` changed."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.bookkeeping import Bookings
from pertoken.core.budgets import Attribution, CounterKey
from pertoken.core.commands import Command, Expire, Look, OpenHold, Record, Resize, Settle, Void
from pertoken.core.directory import Directory
from pertoken.core.events import Event, reported_hash
from pertoken.core.holds import EndedHold, Hold, HoldEnd
from pertoken.core.latency import LatencyCounts, add_counts, places
from pertoken.core.ledger import Books, Counter
from pertoken.core.money import join, split
from pertoken.core.periods import DAY_US
from pertoken.core.provider_errors import PLACES, ErrorKind
from pertoken.core.reporting import NOTHING, QUARTER_US, SUMS, Sums, add_sums, event_sums
from pertoken.store import claims, codec, latency
from pertoken.store.amounts import pairs, spread
from pertoken.store.entries import EntryWriter
from pertoken.store.event_columns import event_row
from pertoken.store.schema import (
    COUNTED,
    Row,
    counters,
    day_rollups,
    ended_holds,
    events,
    holds,
    identities,
    rollups,
    series,
    series_tags,
    summed_days,
)
from pertoken.store.statement import Sql, Write
from pertoken.store.trust import HotDoubts

SERIES_MEMORY_MAX = 50_000
ROWS_MEMORY_MAX = 100_000
ALL_DAYS = 2**62
NOBODY = Attribution()
Slot = tuple[int, int, str]  # start, series, currency
RollupSums = dict[Slot, Sums]
RollupCounts = dict[Slot, LatencyCounts]
RESIZED = (*pairs(["amount_picos"]), "tokens", "expires_at_us")


class _Statements:
    """The hot statements of one kind of database."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        counter = [counters.c.budget_id, counters.c.each_value, counters.c.window_start_us]
        self.counters = sql.select(list(counters.c), counter)
        self.put_counter = put_counter(sql)
        self.holds = sql.select(list(holds.c), [holds.c.hold_id])
        self.insert_hold = self._insert(holds)
        self.delete_hold = sql.write(sa.delete(holds).where(holds.c.hold_id == sa.bindparam("hold_id")), ["hold_id"])
        self.resize_hold = sql.write(
            sa.update(holds)
            .values({name: sa.bindparam(f"new_{name}") for name in RESIZED})
            .where(holds.c.hold_id == sa.bindparam("of_hold")),
            [*(f"new_{name}" for name in RESIZED), "of_hold"],
        )
        self.insert_ended = self._insert(ended_holds)
        identity = [identities.c.event_id, identities.c.source]
        self.identities = sql.select([*identity, identities.c.body_hash], identity)
        self.insert_identity = self._insert(identities)
        self.insert_event = self._insert(events)
        self.series = sql.select([series.c.series_id], [series.c.digest])
        self.insert_series = sql.write(sql.insert(series).on_conflict_do_nothing(), _names(series))
        self.insert_tag = sql.write(sql.insert(series_tags).on_conflict_do_nothing(), _names(series_tags))
        self.add_rollup = sql.add(rollups, SUMS, [latency.COLUMN])
        self.add_day_rollup = sql.add(day_rollups, SUMS, [latency.COLUMN])
        outgrown = summed_days.c.start_us == sa.bindparam("of_day"), summed_days.c.until_us > sa.bindparam("after_us")
        self.delete_marks = sql.write(sa.delete(summed_days).where(*outgrown), ["of_day", "after_us"])

    def _insert(self, table: sa.Table) -> Write:
        return self._sql.write(sa.insert(table), _names(table))


class LedgerTables:
    """Loads and saves `Books` on a connection. Owned by one thread.

    It remembers the ids of series, and the rows of its last transactions for as long as nobody else writes.
    """

    summed_to_us = ALL_DAYS  # nothing from here on is summed coarsely, as far as is known

    def __init__(self, sql: Sql) -> None:
        self._claims = claims.Claims(sql)
        self._doubts = HotDoubts(sql)
        self._entries = EntryWriter(sql)
        self._statements = _Statements(sql)
        self._series: dict[Attribution, int] = {}
        self._new_series: list[Attribution] = []  # that this process did not know before its last transaction
        self._counters: dict[CounterKey, Counter] = {}
        self._holds: dict[str, Hold] = {}  # open ones
        self._quarter_latency = latency.LatencyColumn(sql, rollups)
        self._day_latency = latency.LatencyColumn(sql, day_rollups)

    def load(self, cursor: Cursor, directory: Directory, commands: Sequence[Command]) -> Books:
        """Return books with every row that `commands` touch."""
        books = Books(directory.budgets, directory.revision, directory.trusts)
        touched = {id(touches): touches for touches in map(books.touched, commands)}  # mostly the same few lists
        keys = {touch.key for touches in touched.values() for touch in touches}
        owners = {hold_id: owner for hold_id, owner in map(_hold_of, commands) if hold_id is not None}
        records = {(one.event.event_id, one.event.source) for one in commands if type(one) is Record}
        self._load_counters(cursor, books, keys)
        self._load_holds(cursor, books, owners)
        records |= {
            (one.event.event_id, one.event.source)
            for one in commands
            if type(one) is Settle and one.hold_id not in books.holds
        }
        for event_id, source, body_hash in self._statements.identities.run(cursor, list(records)):
            books.events[source, event_id] = body_hash
        self._claims.load(cursor, books, commands)
        return books

    def save(self, cursor: Cursor, books: Books, posted_at_us: int) -> None:
        """Write everything that changed: holds, events with their entry, counters, balances, roll-ups."""
        run = self._statements
        ended = books.ended_holds
        opened = [hold for hold_id, hold in books.opened_holds.items() if hold_id not in ended]
        run.insert_hold.run(cursor, [self._hold_row(cursor, hold) for hold in opened])
        resized = [hold for hold_id, hold in books.resized_holds.items() if hold_id not in ended]
        run.resize_hold.run(
            cursor, [(*split(one.amount_picos), one.tokens, one.expires_at_us, one.hold_id) for one in resized]
        )
        run.delete_hold.run(cursor, [(hold_id,) for hold_id in ended if hold_id not in books.opened_holds])
        let_go = [one for one in ended.values() if one.end is not HoldEnd.SETTLED]
        run.insert_ended.run(cursor, [self._ended_row(cursor, one, posted_at_us) for one in let_go])
        quarters: RollupSums = {}
        counts: RollupCounts = {}
        if books.new_events:
            entry_ids = self._post(cursor, books.bookings, posted_at_us)
            self._save_events(cursor, books.new_events, entry_ids, quarters, counts)
        for hold, _, error in let_go:
            if error is not None:
                slot = (
                    hold.opened_at_us - hold.opened_at_us % QUARTER_US,
                    self.series_id(cursor, hold.attribution),
                    hold.currency,
                )
                add_sums(quarters, slot, NOTHING)
                add_counts(counts.setdefault(slot, {}), {PLACES[error]: 1})
        if quarters:
            self._save_rollups(cursor, quarters, counts)
        if books.new_claims or books.outcomes:
            self._claims.save(cursor, books, posted_at_us)
        if books.new_doubts:
            self._doubts.save(cursor, books.new_doubts.values(), books.revision)
        changed = [(*key, *spread((row.held, row.spent))) for key, row in books.counters.items() if row.changed]
        run.put_counter.run(cursor, changed)

    def keep(self, books: Books) -> None:
        """Remember the rows that a committed transaction left, for the next one on the same connection."""
        if len(self._counters) + len(self._holds) > ROWS_MEMORY_MAX:
            self.forget_rows()
        self._counters.update(books.counters)
        self._holds.update(books.opened_holds)
        self._holds.update(books.resized_holds)
        for hold_id in books.ended_holds:
            self._holds.pop(hold_id, None)

    def forget_rows(self) -> None:
        """Forget remembered rows: another connection has written."""
        self._counters.clear()
        self._holds.clear()
        self._quarter_latency.forget()
        self._day_latency.forget()
        self.summed_to_us = ALL_DAYS

    def forget(self) -> None:
        """Forget everything remembered: a transaction that wrote some of it failed."""
        self._series.clear()
        self._new_series.clear()
        self.forget_rows()

    def series_id(self, cursor: Cursor, attribution: Attribution) -> int:
        """Return the id of an attribution without its conversation, making it if it is new."""
        key = attribution if attribution.conversation is None else attribution._replace(conversation=None)
        known = self._series.get(key)
        if known is not None:
            return known
        row = _series_row(key)
        self._statements.insert_series.run(cursor, [row])
        if len(self._series) >= SERIES_MEMORY_MAX:
            self._series.clear()
        [(series_id,)] = self._statements.series.run(cursor, [row[:1]])
        self._statements.insert_tag.run(cursor, [(series_id, number, *tag) for number, tag in enumerate(key.tags)])
        self._series[key] = series_id
        self._new_series.append(key)
        return int(series_id)

    def take_new_series(self) -> list[Attribution]:
        """Return the series that committed transactions found or made since this was asked last."""
        if not self._new_series:
            return self._new_series
        taken, self._new_series = self._new_series, []
        return taken

    def _load_counters(self, cursor: Cursor, books: Books, keys: set[CounterKey]) -> None:
        unknown = []
        for key in keys:
            known = self._counters.get(key)
            if known is None:
                unknown.append(key)
            else:
                books.counters[key] = Counter(known.held, known.spent)
        for row in self._statements.counters.run(cursor, unknown):
            books.counters[CounterKey(*row[:3])] = Counter(join(row[3], row[4]), join(row[5], row[6]))

    def _load_holds(self, cursor: Cursor, books: Books, owners: dict[str, Attribution]) -> None:
        unknown = []
        for hold_id in owners:
            known = self._holds.get(hold_id)
            if known is None:
                unknown.append((hold_id,))
            else:
                books.holds[hold_id] = known
        for row in self._statements.holds.run(cursor, unknown):
            books.holds[row[0]] = self._read_hold(cursor, row, owners[row[0]])

    def _read_hold(self, cursor: Cursor, row: tuple[Any, ...], owner: Attribution) -> Hold:
        hold_id, series_id, conversation, high, low, tokens, opened_at_us, expires_at_us, process, currency = row
        assert series_id == self.series_id(cursor, owner), (hold_id, owner)
        assert conversation == owner.conversation, (hold_id, owner)
        return Hold(hold_id, owner, join(high, low), tokens, opened_at_us, expires_at_us, process, currency)

    def _hold_row(self, cursor: Cursor, hold: Hold) -> tuple[Any, ...]:
        return (
            hold.hold_id,
            self.series_id(cursor, hold.attribution),
            hold.attribution.conversation,
            *split(hold.amount_picos),
            hold.tokens,
            hold.opened_at_us,
            hold.expires_at_us,
            hold.owner,
            hold.currency,
        )

    def _ended_row(self, cursor: Cursor, ended: EndedHold, posted_at_us: int) -> tuple[Any, ...]:
        hold, end, error = ended
        return (*self._hold_row(cursor, hold), end.value, posted_at_us, None if error is None else error.value)

    def _save_events(
        self,
        cursor: Cursor,
        new_events: Sequence[Event],
        entry_ids: Sequence[int | None],
        quarters: RollupSums,
        timed: RollupCounts,
    ) -> None:
        """Write events, and add to the roll-ups of their quarters of an hour."""
        rows = []
        for event, entry_id in zip(new_events, entry_ids, strict=True):
            series_id = self.series_id(cursor, event.attribution)
            rows.append(event_row(event, series_id, entry_id))
            start_us = event.occurred_at_us - event.occurred_at_us % QUARTER_US
            slot = (start_us, series_id, event.currency)
            add_sums(quarters, slot, event_sums(event))
            counted = places(event)
            if counted:
                counts = timed.get(slot)
                if counts is None:
                    counts = timed[slot] = {}
                for place in counted:
                    counts[place] = counts.get(place, 0) + 1
        named = [(one.event_id, one.source, reported_hash(one), one.occurred_at_us) for one in new_events]
        self._statements.insert_identity.run(cursor, named)
        self._statements.insert_event.run(cursor, rows)

    def _save_rollups(self, cursor: Cursor, quarters: RollupSums, timed: RollupCounts) -> None:
        """Add to the roll-ups of quarters of an hour and of days, and remove the marks of coarse sums of those."""
        texts = self._quarter_latency.merged(cursor, timed)
        day_texts = self._day_latency.merged(cursor, _days_timed(timed))
        quarter_rows = rollup_rows(quarters, texts)
        self._statements.add_rollup.run(cursor, quarter_rows)
        day_rows = _day_rows(quarters, quarter_rows, day_texts)
        self._statements.add_day_rollup.run(cursor, day_rows)
        self._delete_marks(cursor, [start_us for start_us, _, _ in quarters if start_us < self.summed_to_us])

    def _delete_marks(self, cursor: Cursor, quarters_us: Sequence[int]) -> None:
        """Delete the marks of sums that some quarters are in, since these were added to."""
        first_us: dict[int, int] = {}  # of each day
        for quarter_us in quarters_us:
            day_us = quarter_us - quarter_us % DAY_US
            first_us[day_us] = min(first_us.get(day_us, quarter_us), quarter_us)
        self._statements.delete_marks.run(cursor, list(first_us.items()))

    def _post(self, cursor: Cursor, bookings: Bookings, posted_at_us: int) -> list[int | None]:
        """Write the entries of events, and return the id of each event's entry."""
        entries, occasions = bookings
        entry_ids = self._entries.post(cursor, entries.values(), posted_at_us)
        ids = dict(zip(entries, entry_ids, strict=True))
        return [None if occasion is None else ids[occasion] for occasion in occasions]


def _hold_of(command: Command) -> tuple[str | None, Attribution]:
    """Return the hold that a command is about, and whom it belongs to."""
    match command:
        case OpenHold(hold=hold):
            return hold.hold_id, hold.attribution
        case Settle(hold_id=hold_id, event=event):
            return hold_id, event.attribution
        case Resize() | Void() | Expire():
            return command.hold_id, command.attribution
        case Record() | Look():
            return None, NOBODY
        case _:
            assert_never(command)


def put_counter(sql: Sql) -> Write:
    """Return the statement that sets counters to (held, spent)."""
    new = sql.insert(counters)
    amounts = {name: new.excluded[name] for name in pairs(["held", "spent"])}
    put = new.on_conflict_do_update(index_elements=list(counters.primary_key), set_=amounts)
    return sql.write(put, _names(counters))


def rollup_row(slot: tuple[Any, ...], sums: Sums, counts: str = "") -> tuple[Any, ...]:
    """Return the row of a roll-up, or of archived sums, from its key, its sums and its latency counts."""
    counted = len(COUNTED)
    return (*slot, *sums[:counted], *spread(sums[counted:]), counts)


def rollup_rows(sums: Mapping[Any, Sums], texts: Mapping[Any, str]) -> list[tuple[Any, ...]]:
    """Return the rows of roll-ups; those without a text keep the latency counts that they have."""
    return [rollup_row(slot, amounts, texts.get(slot, "")) for slot, amounts in sums.items()]


def _day_rows(quarters: RollupSums, rows: Sequence[tuple[Any, ...]], texts: Mapping[Any, str]) -> list[tuple[Any, ...]]:
    """Return the rows of days: of one quarter of an hour, nearly always, those of that with another start."""
    starts = {start_us for start_us, *_ in quarters}
    if len(starts) > 1:
        return rollup_rows(_days_of(quarters), texts)
    [start_us] = starts
    day_us = start_us - start_us % DAY_US
    return [(day_us, *row[1:-1], texts.get((day_us, row[1], row[2]), "")) for row in rows]


def _days_of(quarters: RollupSums) -> RollupSums:
    """Return the sums of days from those of quarters of an hour."""
    days: RollupSums = {}
    for (start_us, series_id, currency), amounts in quarters.items():
        add_sums(days, (start_us - start_us % DAY_US, series_id, currency), amounts)
    return days


def _days_timed(quarters: RollupCounts) -> RollupCounts:
    """Return the latency counts of days from those of quarters of an hour."""
    days: RollupCounts = {}
    for (start_us, series_id, currency), counts in quarters.items():
        slot = (start_us - start_us % DAY_US, series_id, currency)
        of_day = days.get(slot)
        if of_day is None:
            days[slot] = counts
        else:
            days[slot] = both = dict(of_day)
            add_counts(both, counts)
    return days


def read_hold(row: Row) -> Hold:
    """Return a hold from its row joined with its series."""
    return Hold(
        row.hold_id,
        read_attribution(row, row.conversation),
        join(row.amount_picos_high, row.amount_picos_low),
        row.tokens,
        row.opened_at_us,
        row.expires_at_us,
        row.owner,
        row.currency,
    )


def read_ended_hold(row: Row) -> EndedHold:
    """Return a hold that was let go from its row joined with its series."""
    return EndedHold(read_hold(row), HoldEnd(row.ended), None if row.error is None else ErrorKind(row.error))


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


def _series_row(attribution: Attribution) -> tuple[Any, ...]:
    texts = (
        attribution.key or "",
        attribution.team or "",
        attribution.customer or "",
        attribution.user or "",
        attribution.provider or "",
        attribution.model or "",
        codec.encode_tags(attribution.tags),
    )
    return hashlib.blake2b(codec.encode(texts).encode(), digest_size=16).digest(), *texts


def _names(table: sa.Table) -> list[str]:
    """Return the columns that a new row brings: all but an id that counts up by itself."""
    return [column.name for column in table.columns if column is not table.autoincrement_column]
