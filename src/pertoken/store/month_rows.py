"""Events as rows of a Parquet file: every column of the event and its attribution, exact, of use by itself.

Amounts are decimals of 38 digits, times are microseconds in UTC, what is JSON in the database is JSON text here. Which
columns there are, and how values become text, is told by `store.event_columns`; here are their types.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from pertoken.ports.months import StoredEvent
from pertoken.store.event_columns import FILES_NOW, VALUES, ColumnKind, EventValue, events_of, file_values

ENTRY = "entry_id"  # the last column: the entry that was posted for the event
_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.BYTES: pa.binary(),
    ColumnKind.TIME: pa.timestamp("us", tz="UTC"),
    ColumnKind.COUNT: pa.int64(),
    ColumnKind.FLAG: pa.bool_(),
    ColumnKind.AMOUNT: pa.decimal128(38, 0),
}


def schema_of(version: int) -> pa.Schema:
    """Return the columns of files of a version."""
    there = [value for value in VALUES if value.since <= version or value.was_zero]
    fields = [
        pa.field(value.file_column, _TYPES[value.form.kind], nullable=value.nullable and value.since <= version)
        for value in there
    ]
    return pa.schema([*fields, pa.field(ENTRY, pa.int64(), nullable=True)])


SCHEMA = schema_of(FILES_NOW)
_VERSIONS = {version: schema_of(version) for version in range(FILES_NOW, 0, -1)}


def is_known(schema: pa.Schema) -> bool:
    """Tell whether files with this schema can be read: ours, now or before columns were added."""
    return any(schema.equals(one) for one in _VERSIONS.values())


def to_batch(events: Sequence[StoredEvent]) -> pa.RecordBatch:
    """Return events as a batch of SCHEMA."""
    columns = zip(*(file_values(stored.event) for stored in events), strict=True) if events else [()] * len(VALUES)
    arrays = [_array(value, column) for value, column in zip(VALUES, columns, strict=True)]
    return pa.record_batch([*arrays, pa.array([one.entry_id for one in events], pa.int64())], schema=SCHEMA)


def from_batch(batch: pa.RecordBatch) -> Iterator[StoredEvent]:
    """Yield the events of a batch. Raises ValueError, TypeError or msgspec.DecodeError if one is invalid."""
    names = batch.schema.names
    version = next((number for number, schema in _VERSIONS.items() if schema.names == names), None)
    if version is None:
        raise ValueError("its columns are those of another version of pertoken")
    columns = [
        _values(value, batch.column(value.file_column)) if value.since <= version else [value.before] * len(batch)
        for value in VALUES
    ]
    return map(StoredEvent, events_of(columns), batch.column(ENTRY).to_pylist())


def _array(value: EventValue, column: Iterable[Any]) -> pa.Array:
    kind, encode = value.form.kind, value.form.encode
    if kind is ColumnKind.TIME:
        return pa.array(column, pa.int64()).cast(_TYPES[kind])
    if kind is ColumnKind.AMOUNT:
        texts = [None if amount is None else str(amount) for amount in column]
        return pa.array(texts, pa.string()).cast(_TYPES[kind])
    return pa.array(column if encode is None else list(map(encode, column)), _TYPES[kind])


def _values(value: EventValue, column: pa.Array) -> Iterable[Any]:
    """Return the values of a column; what has to be decoded is so when its turn comes."""
    kind, decode = value.form.kind, value.form.decode
    if kind is ColumnKind.TIME:
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    if kind is ColumnKind.AMOUNT:
        return [None if amount is None else int(amount) for amount in values]
    return values if decode is None else map(decode, values)
