"""Every value of an event, once: where it is in the database and in files, and how it is written and read there.

`VALUES` is the table. From it come the event of a row of the database, and an event as a line of JSON and back;
`store.month_rows` makes the columns of files from it. The table is not walked for each event of a report: when this
module is loaded it is turned into lists of places.

The row of an event in the database is spelled out a second time, in `event_row`: each settlement waits for it, and made
from the table it takes a third longer. So a new field of an event is a field in `core.events`, a column in
`store.schema` with its migration, a row here and a place in `event_row`. A test fails where one of them is forgotten.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, Final, NamedTuple, assert_never

import msgspec

from pertoken.core.budgets import Attribution
from pertoken.core.events import GATEWAY, NOT_TIMED, Event, EventStatus, OfCall, OfCorrection, OfReport, Timeline
from pertoken.core.money import join, split
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.usage import Completeness, Parts
from pertoken.store import codec
from pertoken.store.amounts import pair
from pertoken.store.schema import TIMELINE, events

FILES_NOW = 4  # the version of the columns of files that are written


class ColumnKind(Enum):
    """What a column of a file holds. The database holds an amount in two columns, and all else in one."""

    TEXT = "text"
    BYTES = "bytes"
    TIME = "time"  # microseconds since the epoch, UTC
    COUNT = "count"
    FLAG = "flag"
    AMOUNT = "amount"


class Form(NamedTuple):
    """How a value is stored; without `encode` and `decode`, as it is."""

    kind: ColumnKind
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    blank: bool = False  # what is empty is the empty text in the database, for it nearly always is


class EventValue(NamedTuple):
    """One value of an event: a field of a class, and where that is stored.

    Of what only events of one kind have (`OfCall`, `OfReport`, `OfCorrection`), the others have no value.
    """

    owner: type[tuple[Any, ...]]  # the class that has the field
    field: str
    form: Form
    nullable: bool = False
    column: str = ""  # its name in the table of events, that of the field where it is empty
    elsewhere: bool = False  # in the database it is in another table: whose the event is, what was reported
    since: int = 1  # the first version of files that say it
    before: Any = None  # what it is in files of before
    was_zero: bool = False  # files of before have it anyway, always as 0
    absent: Any = None  # what is stored of events of another kind

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns in the table of events."""
        name = self.column or self.field
        return () if self.elsewhere else pair(name) if self.form.kind is ColumnKind.AMOUNT else (name,)

    @property
    def file_column(self) -> str:
        """Its column in files. A time has no unit in its name there: the column's type says it."""
        return self.field.removesuffix("_us") if self.form.kind is ColumnKind.TIME else self.column or self.field


_read_lines = msgspec.json.Decoder(tuple[tuple[str, int, str, int], ...]).decode
_statuses: Final = {one.value: one for one in EventStatus}
_completenesses: Final = {one.value: one for one in Completeness}


def _decode_status(text: str) -> EventStatus:
    return _statuses.get(text) or EventStatus(text)  # the class says what is wrong, and takes longer


def _decode_completeness(text: str) -> Completeness:
    return _completenesses.get(text) or Completeness(text)


def _decode_error(text: str | None) -> ErrorKind | None:
    return None if text is None else ErrorKind(text)


def _decode_lines(text: str) -> Any:
    return _read_lines(text) if text else ()


def _decode_parts(text: str) -> Parts:
    return tuple((model, used) for model, used in codec.decode(text)) if text else ()


TEXT = Form(ColumnKind.TEXT)
BYTES = Form(ColumnKind.BYTES)
TIME = Form(ColumnKind.TIME)
COUNT = Form(ColumnKind.COUNT)
FLAG = Form(ColumnKind.FLAG)
AMOUNT = Form(ColumnKind.AMOUNT)
STATUS = Form(ColumnKind.TEXT, str.__str__, _decode_status)  # five times as fast as `value` of a member
COMPLETENESS = Form(ColumnKind.TEXT, str.__str__, _decode_completeness)
ERROR = Form(ColumnKind.TEXT, lambda kind: None if kind is None else str(kind), _decode_error)
QUANTITIES = Form(ColumnKind.TEXT, codec.encode, codec.decode)
PAIRS = Form(ColumnKind.TEXT, codec.encode_pairs, codec.decode_tags, blank=True)
LINES = Form(ColumnKind.TEXT, codec.encode, _decode_lines)
SOME_LINES = Form(ColumnKind.TEXT, codec.encode, _decode_lines, blank=True)
PARTS = Form(ColumnKind.TEXT, codec.encode, _decode_parts, blank=True)

VALUES: Final = (  # in the order of the columns of files
    EventValue(Event, "source", TEXT),
    EventValue(Event, "event_id", TEXT),
    EventValue(OfReport, "body_hash", BYTES, elsewhere=True, absent=b""),
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
    EventValue(OfCall, "changed", TEXT, nullable=True),
    EventValue(OfCall, "held_picos", AMOUNT, absent=0),
    EventValue(OfCall, "overrun_picos", AMOUNT, absent=0),
    EventValue(OfCall, "late", FLAG, absent=False),
    EventValue(Event, "context", PAIRS),
    EventValue(Event, "priced_as", TEXT, nullable=True),
    EventValue(Event, "parts", PARTS),
    EventValue(OfCorrection, "corrects", TEXT, nullable=True),
    EventValue(OfCorrection, "was_unpriced", FLAG, absent=False),
    EventValue(Event, "book_lines", SOME_LINES, since=2, before=()),
    *(
        EventValue(Timeline, field, COUNT, nullable=True, column=column, since=3)
        for field, column in zip(Timeline._fields, TIMELINE, strict=True)
    ),
    EventValue(OfCall, "attempts", COUNT, nullable=True, since=3, absent=0),
    EventValue(OfCall, "error", ERROR, nullable=True, since=4),
)


def event_row(event: Event, series_id: int, entry_id: int | None) -> tuple[Any, ...]:
    """Return the row of an event, in the order of the table's columns without the id that counts up by itself."""
    of, timeline, price_picos = event.of, NOT_TIMED, event.price_picos
    changed: str | None = None
    corrects: str | None = None
    held_picos, overrun_picos, late, was_unpriced = 0, 0, False, False
    attempts: int | None = 0
    error: ErrorKind | None = None
    match of:
        case OfCall():
            held_picos, overrun_picos, late, changed, timeline, attempts, error = of
        case OfCorrection():
            corrects, was_unpriced = of
        case OfReport():
            pass
        case _:
            assert_never(of)
    return (
        event.source,
        event.event_id,
        series_id,
        event.attribution.conversation,
        event.occurred_at_us,
        event.recorded_at_us,
        event.opened_at_us,
        str(event.status),
        str(event.completeness),
        codec.encode(event.quantities),
        event.currency,
        *split(event.cost_picos),
        *(_NO_PRICE if price_picos is None else split(price_picos)),
        codec.encode(event.lines),
        event.model_served,
        event.service_tier,
        event.response_id,
        event.raw,
        event.reason,
        changed,
        *split(held_picos),
        *(_NOTHING if not overrun_picos else split(overrun_picos)),
        late,
        codec.encode_tags(event.context) if event.context else "",
        event.priced_as,
        codec.encode(event.parts) if event.parts else "",
        corrects,
        was_unpriced,
        codec.encode(event.book_lines) if event.book_lines else "",
        *timeline,
        attempts,
        None if error is None else error.value,
        entry_id,
    )


def event_of(row: Sequence[Any], attribution: Attribution) -> Event:
    """Return the event of a row of the table, further columns behind. Raises as the decoders do where it is damaged.

    What was reported has no hash: that is in another table.
    """
    of: OfCall | OfReport | OfCorrection
    row = tuple(row)  # faster to pick from than a row of SQLAlchemy
    if row[_CORRECTS] is not None:
        of = _CORRECTION.read(row)
    elif row[_SOURCE] == GATEWAY:
        of = _CALL.read(row, _TIMELINE.read(row))
    else:
        of = _REPORT
    event: Event = _EVENT.read(row, attribution, of)
    return event


def file_values(event: Event) -> tuple[Any, ...]:
    """Return the values of an event in the order of `VALUES`, as they are in memory."""
    of = event.of
    match of:
        case OfCall():
            own = (*of, *of.timeline, *_ABSENT[OfReport], *_ABSENT[OfCorrection])
        case OfReport():
            own = (*_NO_CALL, *of, *_ABSENT[OfCorrection])
        case OfCorrection():
            own = (*_NO_CALL, *_ABSENT[OfReport], *of)
        case _:
            assert_never(of)
    values: tuple[Any, ...] = _pick_values((*event, *event.attribution, *own))
    return values


def events_of(columns: Sequence[Iterable[Any]]) -> Iterator[Event]:
    """Yield events from their values, given by columns in the order of `VALUES`."""
    given = {(value.owner, value.field): column for value, column in zip(VALUES, columns, strict=True)}
    sources, corrects = list(given[Event, "source"]), list(given[OfCorrection, "corrects"])
    given[Event, "source"], given[OfCorrection, "corrects"] = sources, corrects

    def rows(owner: type[Any]) -> Iterator[tuple[Any, ...]]:
        return zip(*(given[owner, field] for field in owner._fields), strict=True)

    given[Event, "attribution"] = map(Attribution._make, rows(Attribution))
    given[OfCall, "timeline"] = map(Timeline._make, rows(Timeline))
    given[Event, "of"] = map(_own, sources, corrects, rows(OfCall), rows(OfReport), rows(OfCorrection))
    return map(Event._make, rows(Event))


def _own(
    source: str, corrects: str | None, call: tuple[Any, ...], report: tuple[Any, ...], correction: tuple[Any, ...]
) -> OfCall | OfReport | OfCorrection:
    """Return what an event is of, from the values that it would have as each."""
    if corrects is not None:
        return OfCorrection._make(correction)
    return OfCall._make(call) if source == GATEWAY else OfReport._make(report)


def names_of(event: Event) -> dict[str, Any]:
    """Return the values of an event by the names of their fields, as JSON has them."""
    return {
        value.field: one if value.form.encode is None else value.form.encode(one)
        for value, one in zip(VALUES, file_values(event), strict=True)
    }


def event_named(given: Mapping[str, Any]) -> Event:
    """Return the event of what `names_of` returned, now or in a version before; a value not given is its default.

    Raises ValueError where a newer version wrote it, KeyError without a value that has no default, and as decoders do.
    """
    newer = sorted(given.keys() - {value.field for value in VALUES})
    if newer:
        raise ValueError(f"written by a newer version of pertoken: an event has no {', '.join(newer)}")
    return next(events_of([[_value_named(value, given)] for value in VALUES]))


def _value_named(value: EventValue, given: Mapping[str, Any]) -> Any:
    if value.field in given:
        one = given[value.field]
        if value.form.kind is ColumnKind.BYTES:
            return b64decode(one)
        return one if value.form.decode is None else value.form.decode(one)
    return _DEFAULTS[value.owner][value.field]


class _Reader:
    """Makes values of one class from rows: where each of its fields is, and what has to be decoded, is found once."""

    def __init__(self, owner: type[Any], *given: str) -> None:
        """Take a class, and which of its fields are given with each row."""
        there = {value.field: value for value in VALUES if value.owner is owner}
        places = {
            name: given.index(name) if name in given else self._place(there[name], len(given)) for name in owner._fields
        }
        values = [(at, there[name]) for at, name in enumerate(owner._fields) if name not in given]
        self._make = owner._make
        self._pick = itemgetter(*places.values())
        self._decoded = [(at, value.form.decode) for at, value in values if value.form.decode is not None]
        self._halves = [
            (at, _READ.index(value.columns[1])) for at, value in values if value.form.kind is ColumnKind.AMOUNT
        ]
        self._is_changed = bool(self._decoded or self._halves)

    @staticmethod
    def _place(value: EventValue, before: int) -> int:
        """Return where a value, or the first half of it, is in a row with something before it."""
        return before + _READ.index(value.columns[0])

    def read(self, row: Sequence[Any], *given: object) -> Any:
        """Return a value of the class."""
        picked = self._pick((*given, *row) if given else row)
        if not self._is_changed:
            return self._make(picked)
        values = list(picked)
        for at, decode in self._decoded:
            values[at] = decode(values[at])
        for at, low in self._halves:
            high = values[at]
            values[at] = None if high is None else join(high, row[low])
        return self._make(values)


_READ: Final = [column.name for column in events.columns]
_SOURCE, _CORRECTS = _READ.index("source"), _READ.index("corrects")
_EVENT: Final = _Reader(Event, "attribution", "of")
_CALL: Final = _Reader(OfCall, "timeline")
_CORRECTION: Final = _Reader(OfCorrection)
_TIMELINE: Final = _Reader(Timeline)
_REPORT: Final = OfReport()

_NO_PRICE: Final = (None, None)
_NOTHING: Final = (0, 0)
_KINDS: Final = (OfCall, Timeline, OfReport, OfCorrection)  # as `file_values` lays out what only some events have
_ABSENT: Final = {
    owner: tuple(
        {value.field: value.absent for value in VALUES if value.owner is owner}.get(name) for name in owner._fields
    )
    for owner in _KINDS
}
_DEFAULTS: Final[dict[type[Any], dict[str, Any]]] = {
    Event: Event._field_defaults,
    Attribution: Attribution._field_defaults,
    **{owner: {**dict(zip(owner._fields, _ABSENT[owner], strict=True)), **owner._field_defaults} for owner in _KINDS},
}
_NO_CALL: Final = (*_ABSENT[OfCall], *_ABSENT[Timeline])
_LAID_OUT: Final[tuple[type[Any], ...]] = (Event, Attribution, *_KINDS)
_PLACES: Final = {key: at for at, key in enumerate((owner, field) for owner in _LAID_OUT for field in owner._fields)}
_pick_values: Final = itemgetter(*(_PLACES[value.owner, value.field] for value in VALUES))
