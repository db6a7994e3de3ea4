"""Events as rows of a Parquet file: every column of the event and its attribution, exact, of use by itself.

Amounts are decimals of 38 digits, times are microseconds in UTC, what is JSON in the database is JSON text here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pertoken.core.budgets import Attribution
from pertoken.core.events import Event, EventStatus, Timeline
from pertoken.core.usage import Completeness
from pertoken.ports.months import StoredEvent
from pertoken.store import codec
from pertoken.store.event_rows import read_lines, read_parts
from pertoken.store.schema import TIMELINE

_AMOUNT = pa.decimal128(38, 0)
_TIME = pa.timestamp("us", tz="UTC")


class _Column(NamedTuple):
    """A column: its name, its type, and how it is read from an event."""

    name: str
    type: pa.DataType
    of: Callable[[StoredEvent], Any]
    nullable: bool = False


def _event(name: str) -> Callable[[StoredEvent], Any]:
    return lambda stored: getattr(stored.event, name)


def _owner(name: str) -> Callable[[StoredEvent], Any]:
    return lambda stored: getattr(stored.event.attribution, name)


def _step(name: str) -> Callable[[StoredEvent], Any]:
    return lambda stored: getattr(stored.event.timeline, name)


_COLUMNS = (
    _Column("source", pa.string(), _event("source")),
    _Column("event_id", pa.string(), _event("event_id")),
    _Column("body_hash", pa.binary(), _event("body_hash")),
    *(_Column(name, _TIME, _event(f"{name}_us")) for name in ("occurred_at", "recorded_at", "opened_at")),
    *(
        _Column(name, pa.string(), _owner(name), nullable=True)
        for name in ("key", "team", "customer", "user", "provider", "model")
    ),
    _Column("tags", pa.string(), lambda stored: codec.encode(dict(stored.event.attribution.tags))),
    _Column("conversation", pa.string(), _owner("conversation"), nullable=True),
    _Column("status", pa.string(), lambda stored: stored.event.status.value),
    _Column("completeness", pa.string(), lambda stored: stored.event.completeness.value),
    _Column("quantities", pa.string(), lambda stored: codec.encode(stored.event.quantities)),
    _Column("currency", pa.string(), _event("currency")),
    _Column("cost_picos", _AMOUNT, _event("cost_picos")),
    _Column("price_picos", _AMOUNT, _event("price_picos"), nullable=True),
    _Column("lines", pa.string(), lambda stored: codec.encode(stored.event.lines)),
    *(
        _Column(name, pa.string(), _event(name), nullable=True)
        for name in ("model_served", "service_tier", "response_id")
    ),
    _Column("raw", pa.binary(), _event("raw")),
    _Column("reason", pa.string(), _event("reason"), nullable=True),
    _Column("changed", pa.string(), _event("changed"), nullable=True),
    _Column("held_picos", _AMOUNT, _event("held_picos")),
    _Column("overrun_picos", _AMOUNT, _event("overrun_picos")),
    _Column("late", pa.bool_(), _event("late")),
    _Column("context", pa.string(), lambda stored: codec.encode(dict(stored.event.context))),
    _Column("priced_as", pa.string(), _event("priced_as"), nullable=True),
    _Column("parts", pa.string(), lambda stored: codec.encode(stored.event.parts)),
    _Column("corrects", pa.string(), _event("corrects"), nullable=True),
    _Column("was_unpriced", pa.bool_(), _event("was_unpriced")),
    _Column("book_lines", pa.string(), lambda stored: codec.encode(stored.event.book_lines)),
    *(_Column(name, pa.int64(), _step(of), nullable=True) for name, of in zip(TIMELINE, Timeline._fields, strict=True)),
    _Column("attempts", pa.int64(), _event("attempts"), nullable=True),
    _Column("entry_id", pa.int64(), lambda stored: stored.entry_id, nullable=True),
)

SCHEMA = pa.schema([pa.field(one.name, one.type, nullable=one.nullable) for one in _COLUMNS])
_TIMED = ("attempts", *TIMELINE)
_ADDED = {**dict.fromkeys(_TIMED), "book_lines": "[]"}  # what earlier files do not have, and what it would be there


def _before(*added: str) -> pa.Schema:
    """Return the schema of files from before columns were added, when every event had a price, which was 0."""
    fields = [field for field in SCHEMA if field.name not in added]
    return pa.schema([field.with_nullable(False) if field.name == "price_picos" else field for field in fields])


_KNOWN = (SCHEMA, _before(*_TIMED), _before(*_TIMED, "book_lines"))


def is_known(schema: pa.Schema) -> bool:
    """Tell whether files with this schema can be read: ours, now or before columns were added."""
    return any(schema.equals(one) for one in _KNOWN)


def to_batch(events: Sequence[StoredEvent]) -> pa.RecordBatch:
    """Return events as a batch of SCHEMA."""
    arrays = [_array([one.of(stored) for stored in events], one.type) for one in _COLUMNS]
    return pa.record_batch(arrays, schema=SCHEMA)


def from_batch(batch: pa.RecordBatch) -> Iterator[StoredEvent]:
    """Yield the events of a batch. Raises ValueError, TypeError or msgspec.DecodeError where one is none."""
    given = set(batch.schema.names)
    if "attempts" not in given:  # the price was 0 for want of one
        given.remove("price_picos")
    missing = {**_ADDED, "price_picos": None}
    return map(
        _read,
        *(
            _values(batch.column(one.name), one.type) if one.name in given else [missing[one.name]] * len(batch)
            for one in _COLUMNS
        ),
    )


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _TIME:
        return pa.array(values, pa.int64()).cast(kind)
    if kind == _AMOUNT:
        return pa.array([None if value is None else str(value) for value in values], pa.string()).cast(kind)
    return pa.array(values, kind)


def _values(column: pa.Array, kind: pa.DataType) -> list[Any]:
    if kind == _TIME:
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return [None if value is None else int(value) for value in values] if kind == _AMOUNT else values


def _read(  # noqa: PLR0917 - the columns
    source: str, event_id: str, body_hash: bytes, occurred_at_us: int, recorded_at_us: int, opened_at_us: int,
    key: str | None, team: str | None, customer: str | None, user: str | None, provider: str | None, model: str | None,
    tags: str, conversation: str | None, status: str, completeness: str, quantities: str, currency: str,
    cost_picos: int, price_picos: int | None, lines: str, model_served: str | None, service_tier: str | None,
    response_id: str | None, raw: bytes, reason: str | None, changed: str | None, held_picos: int, overrun_picos: int,
    late: bool, context: str, priced_as: str | None, parts: str, corrects: str | None, was_unpriced: bool,
    book_lines: str, held_us: int | None, sent_us: int | None, first_byte_us: int | None, last_byte_us: int | None,
    attempts: int | None, entry_id: int | None,
) -> StoredEvent:  # fmt: skip
    owner = Attribution(key, team, customer, user, provider, model, codec.decode_tags(tags), conversation)
    event = Event(
        source, event_id, owner, occurred_at_us, recorded_at_us, opened_at_us, EventStatus(status),
        Completeness(completeness), codec.decode(quantities), currency, cost_picos, price_picos, read_lines(lines),
        model_served, service_tier, response_id, raw, reason, changed, body_hash, held_picos, overrun_picos, late,
        codec.decode_tags(context), priced_as, read_parts(parts), corrects, was_unpriced, read_lines(book_lines),
        Timeline(held_us, sent_us, first_byte_us, last_byte_us), attempts,
    )  # fmt: skip
    return StoredEvent(event, entry_id)
