"""Every value of an event, once: where it is in the database and in files, and how it is written and read there.

`VALUES` is the table. From it come the row of an event in the database and the event of a row; `store.month_rows` makes
the columns of files from it. A new field of an event is a field in `core.events`, a column in `store.schema` with its
migration, and a row here.

The table is not walked for each event. When this module is loaded it is turned into a few lists of places: one call picks
all values of a row, and only those that are not stored as they are get a call of their own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from pertoken.core.budgets import Attribution
from pertoken.core.events import Event, EventStatus, Timeline
from pertoken.core.money import HALF, join, split
from pertoken.core.usage import Completeness, Parts
from pertoken.store import codec
from pertoken.store.amounts import pair
from pertoken.store.schema import TIMELINE, events

FILES_NOW = 3  # the version of the columns of files that are written


class Kind(Enum):
    """What a column of a file holds. The database holds an amount in two columns, and all else in one."""

    TEXT = "text"
    BYTES = "bytes"
    TIME = "time"  # microseconds since the epoch, UTC
    COUNT = "count"
    FLAG = "flag"
    AMOUNT = "amount"


class Form(NamedTuple):
    """How a value is stored; without `encode` and `decode`, as it is."""

    kind: Kind
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    blank: bool = False  # what is empty is the empty text in the database, for it nearly always is


class EventValue(NamedTuple):
    """One value of an event: a field of a class, and where that is stored."""

    owner: type[tuple[Any, ...]]  # the class that has the field
    field: str
    form: Form
    nullable: bool = False
    column: str = ""  # its name in the table of events, that of the field where it is empty
    elsewhere: bool = False  # in the database it is in another table: whose the event is, what was reported
    since: int = 1  # the first version of files that say it
    before: Any = None  # what it is in files of before
    was_zero: bool = False  # those have it all the same, and always as 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns in the table of events."""
        name = self.column or self.field
        return () if self.elsewhere else pair(name) if self.form.kind is Kind.AMOUNT else (name,)

    @property
    def file_column(self) -> str:
        """Its column in files. A time has no unit in its name there: the column's type says it."""
        return self.field.removesuffix("_us") if self.form.kind is Kind.TIME else self.column or self.field


_read_lines = msgspec.json.Decoder(tuple[tuple[str, int, str, int], ...]).decode
_statuses: Final = {one.value: one for one in EventStatus}
_completenesses: Final = {one.value: one for one in Completeness}


def _decode_status(text: str) -> EventStatus:
    return _statuses.get(text) or EventStatus(text)  # the class says what is wrong, and takes longer


def _decode_completeness(text: str) -> Completeness:
    return _completenesses.get(text) or Completeness(text)


def _decode_lines(text: str) -> Any:
    return _read_lines(text) if text else ()


def _decode_parts(text: str) -> Parts:
    return tuple((model, used) for model, used in codec.decode(text)) if text else ()


TEXT = Form(Kind.TEXT)
BYTES = Form(Kind.BYTES)
TIME = Form(Kind.TIME)
COUNT = Form(Kind.COUNT)
FLAG = Form(Kind.FLAG)
AMOUNT = Form(Kind.AMOUNT)
STATUS = Form(Kind.TEXT, str.__str__, _decode_status)  # five times as fast as `value` of a member
COMPLETENESS = Form(Kind.TEXT, str.__str__, _decode_completeness)
QUANTITIES = Form(Kind.TEXT, codec.encode, codec.decode)
PAIRS = Form(Kind.TEXT, codec.encode_pairs, codec.decode_tags, blank=True)
LINES = Form(Kind.TEXT, codec.encode, _decode_lines)
SOME_LINES = Form(Kind.TEXT, codec.encode, _decode_lines, blank=True)
PARTS = Form(Kind.TEXT, codec.encode, _decode_parts, blank=True)

VALUES: Final = (  # in the order of the columns of files
    EventValue(Event, "source", TEXT),
    EventValue(Event, "event_id", TEXT),
    EventValue(Event, "body_hash", BYTES, elsewhere=True, before=b""),
    EventValue(Event, "occurred_at_us", TIME),
    EventValue(Event, "recorded_at_us", TIME),
    EventValue(Event, "opened_at_us", TIME),
    EventValue(Attribution, "key", TEXT, nullable=True, elsewhere=True),
    EventValue(Attribution, "team", TEXT, nullable=True, elsewhere=True),
    EventValue(Attribution, "customer", TEXT, nullable=True, elsewhere=True),
    EventValue(Attribution, "user", TEXT, nullable=True, elsewhere=True),
    EventValue(Attribution, "provider", TEXT, nullable=True, elsewhere=True),
    EventValue(Attribution, "model", TEXT, nullable=True, elsewhere=True),
    EventValue(Attribution, "tags", PAIRS, elsewhere=True),
    EventValue(Attribution, "conversation", TEXT, nullable=True),
    EventValue(Event, "status", STATUS),
    EventValue(Event, "completeness", COMPLETENESS),
    EventValue(Event, "quantities", QUANTITIES),
    EventValue(Event, "currency", TEXT),
    EventValue(Event, "cost_picos", AMOUNT),
    EventValue(Event, "price_picos", AMOUNT, nullable=True, since=3, was_zero=True),
    EventValue(Event, "lines", LINES),
    EventValue(Event, "model_served", TEXT, nullable=True),
    EventValue(Event, "service_tier", TEXT, nullable=True),
    EventValue(Event, "response_id", TEXT, nullable=True),
    EventValue(Event, "raw", BYTES),
    EventValue(Event, "reason", TEXT, nullable=True),
    EventValue(Event, "changed", TEXT, nullable=True),
    EventValue(Event, "held_picos", AMOUNT),
    EventValue(Event, "overrun_picos", AMOUNT),
    EventValue(Event, "late", FLAG),
    EventValue(Event, "context", PAIRS),
    EventValue(Event, "priced_as", TEXT, nullable=True),
    EventValue(Event, "parts", PARTS),
    EventValue(Event, "corrects", TEXT, nullable=True),
    EventValue(Event, "was_unpriced", FLAG),
    EventValue(Event, "book_lines", SOME_LINES, since=2, before=()),
    *(
        EventValue(Timeline, field, COUNT, nullable=True, column=column, since=3)
        for field, column in zip(Timeline._fields, TIMELINE, strict=True)
    ),
    EventValue(Event, "attempts", COUNT, nullable=True, since=3),
)


def event_row(event: Event, series_id: int, entry_id: int | None) -> tuple[Any, ...]:
    """Return the row of an event, in the order of the table's columns without the id that counts up by itself."""
    row = list(_pick_row((series_id, entry_id, *event, *event.attribution, *event.timeline)))
    for at, encode in _ENCODED:
        row[at] = encode(row[at])
    for at, encode in _BLANK:
        value = row[at]
        row[at] = encode(value) if value else ""
    for at in _AMOUNTS:  # both columns have the whole amount here
        amount = row[at]
        if amount is None or 0 <= amount < HALF:  # nearly all
            row[at] = None if amount is None else 0
        else:
            row[at], row[at + 1] = split(amount)
    return tuple(row)


def event_of(row: Sequence[Any], attribution: Attribution) -> Event:
    """Return the event of a row of the table, further columns behind. Raises as the decoders do where it is damaged."""
    timeline = Timeline._make(_pick_timeline(row))
    values = list(_pick_event((attribution, timeline, b"", *row)))
    for at, decode in _DECODED:
        values[at] = decode(values[at])
    for at, low in _HALVES:
        high = values[at]
        values[at] = None if high is None else join(high, row[low])
    return Event._make(values)


def file_values(event: Event) -> tuple[Any, ...]:
    """Return the values of an event in the order of `VALUES`, as they are in memory."""
    values: tuple[Any, ...] = _pick_values((None, None, *event, *event.attribution, *event.timeline))
    return values


def events_of(columns: Sequence[Iterable[Any]]) -> Iterator[Event]:
    """Yield events from their values, given by columns in the order of `VALUES`."""
    given = {(value.owner, value.field): column for value, column in zip(VALUES, columns, strict=True)}

    def made(owner: type[Any]) -> Iterator[Any]:
        return map(owner._make, zip(*(given[owner, field] for field in owner._fields), strict=True))

    given[Event, "attribution"], given[Event, "timeline"] = made(Attribution), made(Timeline)
    return made(Event)


def _places() -> dict[tuple[type[Any], str], int]:
    """Return where `event_row` and `file_values` find each field."""
    owners: tuple[type[Any], ...] = (Event, Attribution, Timeline)
    fields = [(owner, field) for owner in owners for field in owner._fields]
    return {key: at for at, key in enumerate(fields, start=2)}


_AT: Final = _places()
_OF_COLUMN: Final = {column: value for value in VALUES for column in value.columns}
_BESIDE: Final = {"series_id": 0, "entry_id": 1}  # columns that are no value of the event
_ROW: Final = [column.name for column in events.columns if column is not events.autoincrement_column]
assert {*_ROW} == {*_OF_COLUMN, *_BESIDE}, {*_ROW} ^ {*_OF_COLUMN, *_BESIDE}

_pick_row: Final = itemgetter(
    *(_BESIDE[name] if name in _BESIDE else _AT[_OF_COLUMN[name].owner, _OF_COLUMN[name].field] for name in _ROW)
)
_pick_values: Final = itemgetter(*(_AT[value.owner, value.field] for value in VALUES))
_WRITTEN: Final = [(_ROW.index(value.columns[0]), value.form) for value in VALUES if value.columns]
_ENCODED: Final = [(at, form.encode) for at, form in _WRITTEN if form.encode is not None and not form.blank]
_BLANK: Final = [(at, form.encode) for at, form in _WRITTEN if form.encode is not None and form.blank]
_AMOUNTS: Final = [at for at, form in _WRITTEN if form.kind is Kind.AMOUNT]

_READ: Final = [column.name for column in events.columns]
_MADE: Final = ("attribution", "timeline", "body_hash")  # of Event: what `event_of` puts before the row
_STORED: Final = {(value.owner, value.field): value for value in VALUES if value.columns}


def _place(owner: type[Any], field: str, before: int) -> int:
    """Return where a field's value, or the first half of it, is in a row with something before it."""
    return before + _READ.index(_STORED[owner, field].columns[0])


_pick_timeline: Final = itemgetter(*(_place(Timeline, field, 0) for field in Timeline._fields))
_pick_event: Final = itemgetter(
    *(_MADE.index(name) if name in _MADE else _place(Event, name, len(_MADE)) for name in Event._fields)
)
_OF_EVENT: Final = [(at, _STORED[Event, name]) for at, name in enumerate(Event._fields) if (Event, name) in _STORED]
_DECODED: Final = [(at, value.form.decode) for at, value in _OF_EVENT if value.form.decode is not None]
_HALVES: Final = [(at, _READ.index(value.columns[1])) for at, value in _OF_EVENT if value.form.kind is Kind.AMOUNT]
