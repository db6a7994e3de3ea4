"""Imports usage that others report, each event exactly once, rated at the prices in force when it occurred."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from pertoken.core import conditions
from pertoken.core.budgets import Attribution
from pertoken.core.charging import Served
from pertoken.core.commands import Conflict, RecordResult, posted
from pertoken.core.conditions import to_conditions
from pertoken.core.events import GATEWAY, Event, EventStatus, OfReport
from pertoken.core.money import format_amount, pico_digits
from pertoken.core.periods import TIMES_END_US, NotATime, parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.provisional import charge_surely
from pertoken.core.texts import UNSAFE, meant, nearest, tidy
from pertoken.core.units import DIMENSIONS
from pertoken.core.usage import QUANTITY_MAX, Completeness, Contradiction, Parts, Quantities, Used
from pertoken.ports.ledger import Ledger
from pertoken.ports.pricing import Pricing
from pertoken.services.pricing import priced
from pertoken.wire import providers

BATCH = 1_000  # records of one durable transaction
NOT_TAKEN_MAX = 10_000  # rejected and conflicting records of one file
COST_MAX = "100"  # of one event, in the currency of its price: a larger one is more likely a mistake
TEXT_MAX = 1_000  # characters of an id or of a name
TAGS_MAX = 64
_STATED_MIN = Decimal("1e-30")  # a cost below is no price of anything, and would be kept as 0
STATED = "reported_cost"  # in a usage object: the cost that the provider states
FEE = "reported_fee"  # in a usage object: what the provider says it took beside the price
_AMOUNTS = frozenset({STATED, FEE})
_encoder = msgspec.json.Encoder(order="sorted")
KNOWN_UNITS = ", ".join(DIMENSIONS)
_FIELDS = frozenset(
    ("id", "source", "provider", "model", "key", "team", "customer", "user", "tags", "conversation", "batch", "at",
     "usage", "by_model", "service_tier", "speed", "region")
)  # fmt: skip
_TOO_NEAR = 0.83  # a name that nobody knows and that is so like one of ours is a misspelt one


class Intake(Protocol):
    """What ingestion writes to."""

    @property
    def prices(self) -> PriceBook:
        """The price book."""

    def record_all(self, events: Sequence[Event]) -> list[RecordResult]:
        """Record events in one durable transaction; return what became of each."""


class UsageRecord(NamedTuple):
    """One usage record as someone else states it."""

    line: int
    source: str
    event_id: str
    occurred_at_us: int
    attribution: Attribution
    quantities: Quantities
    service_tier: str | None = None
    batch: bool = False
    speed: str | None = None
    region: str | None = None
    stated: Decimal | None = None  # the cost that the provider states, in US dollars
    parts: Parts = ()  # where several models took part: what each of them used
    fee: Decimal | None = None  # what the provider says it took beside the price, in US dollars


LATER_FIELDS = UsageRecord._fields.index("stated")  # those from here on came later


class RejectedLine(NamedTuple):
    """Why a line was not taken in."""

    line: int
    code: str
    message: str


class UnpricedLines(NamedTuple):
    """Events that were taken in although they have no price: how many, and the first of them."""

    lines: int = 0
    first_line: int = 0
    reason: str = ""  # of the first


class Tally(NamedTuple):
    """What became of all lines."""

    accepted: int
    duplicate: int
    conflicting: tuple[int, ...]  # line numbers
    rejected: tuple[RejectedLine, ...]
    unpriced: UnpricedLines = UnpricedLines()
    gave_up: bool = False  # there were too many to read on

    def plus(
        self, events: Sequence[tuple[int, Event]], results: Sequence[RecordResult], rejected: Sequence[RejectedLine]
    ) -> "Tally":
        """Return the tally with what became of another batch."""
        became = posted(results)
        conflicting = [line for (line, _), result in zip(events, results, strict=True) if isinstance(result, Conflict)]
        return Tally(
            self.accepted + became.new,
            self.duplicate + became.known,
            (*self.conflicting, *conflicting),
            (*self.rejected, *rejected),
            _unpriced(self.unpriced, events),
        )

    @property
    def is_hopeless(self) -> bool:
        """Whether so much was not taken in that it is no use to read on."""
        return len(self.rejected) + len(self.conflicting) >= NOT_TAKEN_MAX


def _unpriced(so_far: UnpricedLines, events: Sequence[tuple[int, Event]]) -> UnpricedLines:
    found = [(line, event) for line, event in events if event.status is EventStatus.UNPRICED]
    if not found:
        return so_far
    line, event = found[0]
    first = so_far if so_far.lines else UnpricedLines(0, line, event.reason or "")
    return first._replace(lines=so_far.lines + len(found))


class NotAnEvent(ValueError):
    """A record cannot be read as an event."""


def ingest(
    records: Iterable[UsageRecord | RejectedLine],
    books: Intake,
    now_us: int,
    cost_max: str = COST_MAX,
    pricing: Pricing | None = None,
) -> Tally:
    """Record every event once, in batches that are each durable before the next; return what became of them.

    No event may cost more than `cost_max`. Reading stops after NOT_TAKEN_MAX invalid or conflicting records: a
    megabyte can unpack to hundreds of millions of such lines.
    """
    tally = Tally(0, 0, (), ())
    for batch in _batches(records):
        events, rejected = judge(batch, books.prices, now_us, cost_max, pricing)
        results = books.record_all([event for _, event in events])
        tally = tally.plus(events, results, rejected)
        if tally.is_hopeless:
            return tally._replace(gave_up=True)
    return tally


def judge(
    records: Iterable[UsageRecord | RejectedLine],
    book: PriceBook,
    now_us: int,
    cost_max: str = COST_MAX,
    pricing: Pricing | None = None,
) -> tuple[list[tuple[int, Event]], list[RejectedLine]]:
    """Return the events of the records with their lines, and the reasons for records without an event."""
    events: list[tuple[int, Event]] = []
    rejected: list[RejectedLine] = []
    for record in records:
        if isinstance(record, RejectedLine):
            rejected.append(record)
            continue
        try:
            check_provider(record.attribution.provider or "", book)
            event = priced(to_event(record, book, now_us), pricing)
        except Contradiction as contradiction:
            rejected.append(RejectedLine(record.line, "contradictory_usage", str(contradiction)))
        except NotAnEvent as error:
            rejected.append(RejectedLine(record.line, "invalid_event", str(error)))
        else:
            if event.cost_picos <= _picos(cost_max, event.currency):
                events.append((record.line, event))
            else:
                rejected.append(RejectedLine(record.line, "above_limit", _above(event, cost_max)))
    return events, rejected


def check_provider(name: str, book: PriceBook) -> None:
    """Raise NotAnEvent for a provider that is nearly one we know: its events could have no price, and stay as they are.

    One that is like none may be the reporter's own.
    """
    if book.knows(name) or providers.known(name) is not None:
        return
    near = book.nearest_provider(name, _TOO_NEAR)
    if near is not None:
        raise NotAnEvent(
            f"unknown provider {name!r}; did you mean {near!r}? If not, add its prices first: "
            f"pertoken price add --provider {name}"
        )


@lru_cache(maxsize=256)
def _picos(cost_max: str, currency: str) -> int:
    """Return a limit in a currency, which may be stored less finely than the limit is written."""
    return int(Decimal(cost_max).scaleb(pico_digits(currency)))


def _above(event: Event, cost_max: str) -> str:
    cost, currency = format_amount(event.cost_picos, event.currency), event.currency
    return (
        f"this would cost {cost} {currency}, and a reported event may cost {cost_max} {currency}: correct its usage or "
        "report it in parts; the operator can raise limits.reported_event"
    )


async def record(events: Sequence[tuple[int, Event]], ledger: Ledger) -> list[RecordResult]:
    """Record events through the ledger that serves calls; they are durable when this returns.

    Raises StoreUnavailable. Events that were recorded before it are duplicates when they are reported again.
    """
    return await ledger.record_all([event for _, event in events])


def to_event(record: UsageRecord, book: PriceBook, now_us: int) -> Event:
    """Return the event of a record, priced where the book knows how. Raises Contradiction, NotAnEvent."""
    context = conditions.context(record.service_tier, batch=record.batch, speed=record.speed, region=record.region)
    attribution = record.attribution
    served = Served(attribution.provider or "", attribution.model or "", None, record.occurred_at_us, context)
    used = Used(record.quantities, record.parts, record.stated, record.fee)
    amounts = {name: many for name, many in ((STATED, record.stated), (FEE, record.fee)) if many is not None}
    charged = charge_surely(book, served, used, cover=None)
    return Event(
        record.source,
        record.event_id,
        attribution,
        record.occurred_at_us,
        now_us,
        record.occurred_at_us,
        charged.status,
        Completeness.FINAL,
        record.quantities,
        charged.currency,
        charged.cost_picos,
        None,
        charged.lines,
        OfReport(content_hash(record)),
        service_tier=record.service_tier,
        raw=_encoder.encode(amounts) if amounts else b"",
        reason=charged.reason,
        book_lines=charged.book_lines,
        context=to_conditions(context),
        parts=record.parts,
    )


def content_hash(record: UsageRecord) -> bytes:
    """Return what tells a duplicate from a conflict: 16 bytes."""
    return hashlib.blake2b(_encoder.encode(_said(record)), digest_size=16).digest()


def read_event(line: int, fields: Mapping[str, Any], defaults: Mapping[str, str]) -> UsageRecord:
    """Return the record of one JSON line; `defaults` fill what it does not say. Raises NotAnEvent."""
    said = {**defaults, **{name: value for name, value in fields.items() if value is not None}}
    if not said.keys() <= _FIELDS:
        _refuse_misspelt(said)
    event_id = _text(said, "id")
    if not event_id:
        raise NotAnEvent("id is missing: an event without an id could be counted twice")
    source = _text(said, "source") or "events"
    if source == GATEWAY:
        raise NotAnEvent(f"source {source!r} is reserved for the gateway's own calls; name the reporting system")
    provider, model = _text(said, "provider"), _text(said, "model")
    if not provider or not model:
        raise NotAnEvent("provider and model are needed, in the line or as options")
    attribution = Attribution(
        key=_text(said, "key"),
        team=_name(said, "team"),
        customer=_name(said, "customer"),
        user=_name(said, "user"),
        provider=provider,
        model=model,
        tags=_tags(said.get("tags", {})),
        conversation=_name(said, "conversation"),
    )
    batch = said.get("batch", False)
    if not isinstance(batch, bool):
        raise NotAnEvent(f"batch must be true or false, not {batch!r}")
    occurred_at_us = _time(said.get("at"))
    quantities = read_quantities(said.get("usage"))
    if not quantities:
        raise NotAnEvent("usage is empty: what is unknown is not counted as nothing")
    return UsageRecord(
        line, source, event_id, occurred_at_us, attribution, quantities, _text(said, "service_tier"), batch,
        _text(said, "speed"), _text(said, "region"), read_stated(said.get("usage")),
        read_parts(said.get("by_model"), model, quantities), read_stated(said.get("usage"), FEE),
    )  # fmt: skip


def _refuse_misspelt(said: Mapping[str, Any]) -> None:
    """Raise NotAnEvent for a field that is nearly one of ours; all other fields that nobody reads are let be."""
    for name in said.keys() - _FIELDS:
        near = nearest(name, _FIELDS, _TOO_NEAR)
        if near is not None and near not in said:
            raise NotAnEvent(f"unknown field {name!r}; did you mean {near}?")


def read_quantities(usage: object) -> dict[str, int]:
    """Return a usage object's known units. Raises NotAnEvent if it is not an object or a quantity is not a count."""
    if not isinstance(usage, dict):
        raise NotAnEvent("usage must be an object of units and counts")
    quantities: dict[str, int] = {}
    for unit, quantity in usage.items():
        if type(quantity) is int and unit in DIMENSIONS and 0 <= quantity <= QUANTITY_MAX:  # nearly always
            quantities[unit] = quantity
            continue
        if unit in _AMOUNTS or quantity is None:
            continue
        if unit not in DIMENSIONS:
            raise NotAnEvent(f"unknown unit {unit!r}{meant(unit, DIMENSIONS) or f'; known: {KNOWN_UNITS}'}")
        if isinstance(quantity, float) and quantity.is_integer():
            quantity = int(quantity)  # noqa: PLW2901 - 12.0 is how some tools write 12
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity <= QUANTITY_MAX:
            raise NotAnEvent(f"{unit} is not a count: {quantity!r}")
        quantities[unit] = quantity
    return quantities


def _said(record: UsageRecord) -> tuple[Any, ...]:
    """Return what an event's hash is made of: all but where it stood and who reports it.

    What records did not always have counts only where it is there: what is not said changes no hash.
    """
    end = len(record)
    while UsageRecord._fields[end - 1] in UsageRecord._field_defaults and end > LATER_FIELDS:
        if record[end - 1] != UsageRecord._field_defaults[UsageRecord._fields[end - 1]]:
            break
        end -= 1
    return record[2:end]


def read_stated(usage: object, name: str = STATED) -> Decimal | None:
    """Return the cost, or the fee, that a usage object states. Raises NotAnEvent where it is no amount."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if value is None:
        return None
    try:
        stated = Decimal(str(value))
    except InvalidOperation:
        stated = Decimal("NaN")
    if not stated.is_finite() or not 0 <= stated <= QUANTITY_MAX or 0 < stated < _STATED_MIN:
        raise NotAnEvent(f'{name} must be an amount in US dollars, such as "0.0096", not {value!r:.80}')
    return stated


def read_parts(by_model: object, model: str, quantities: Quantities) -> Parts:
    """Return what each of several models used, as `extract` tells it; empty where that is not told.

    Raises NotAnEvent where it is not well formed, or does not add up to `quantities`.
    """
    if by_model is None:
        return ()
    if not isinstance(by_model, list) or not all(isinstance(one, dict) for one in by_model):
        raise NotAnEvent("by_model must be a list of objects with model and usage")
    parts = tuple((_text(one, "model") or model, read_quantities(one.get("usage"))) for one in by_model)
    for unit in dict.fromkeys(unit for used in (quantities, *(used for _, used in parts)) for unit in used):
        together, whole = sum(used.get(unit, 0) for _, used in parts), quantities.get(unit, 0)
        if together != whole:
            raise NotAnEvent(f"by_model does not add up to usage: {unit} {together}, not {whole}")
    return parts


def _name(said: Mapping[str, Any], name: str) -> str | None:
    """Return a field that says whose the usage is, as such names are kept (core.texts)."""
    text = _text(said, name)
    return text if not text else tidy(text) or None


def _text(said: Mapping[str, Any], name: str) -> str | None:
    """Return a field's text; a number is taken as its digits."""
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return _checked(name, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotAnEvent(f"{name} must be a text, not {type(value).__name__}")
    if not -(2**63) <= value < 2**63:
        raise NotAnEvent(f"{name} must be a text: a number so large may not be written the same way twice")
    return str(value)


def _checked(name: str, text: str) -> str:
    if len(text) > TEXT_MAX:
        raise NotAnEvent(f"{name[:TEXT_MAX]} is longer than {TEXT_MAX} characters")
    if not text.isprintable() and UNSAFE.search(text):  # nearly all texts are, and to see that is quicker
        raise NotAnEvent(f"{name!r} has control characters")
    return text


def _tags(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or len(value) > TAGS_MAX:
        raise NotAnEvent(f"tags must be an object of at most {TAGS_MAX} names and values")
    found = ((tidy(_checked("a tag's name", name)), _text(value, name)) for name in value)
    return tuple(sorted((name, tidy(text)) for name, text in found if text is not None))


def _time(at: object) -> int:
    if not isinstance(at, str):
        raise NotAnEvent("at is missing: write the time it occurred, such as 2026-11-23T10:00:00Z")
    try:
        at_us = parse_time(at)
    except (NotATime, OverflowError) as error:
        raise NotAnEvent(f"not a time: {at[:100]!r}; use 2026-11-23T10:00:00Z") from error
    if not 0 <= at_us < TIMES_END_US:
        raise NotAnEvent(f"at is not between 1970 and 9999: {at}")
    return at_us


def _batches(records: Iterable[UsageRecord | RejectedLine]) -> Iterator[list[UsageRecord | RejectedLine]]:
    batch: list[UsageRecord | RejectedLine] = []
    for record in records:
        batch.append(record)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
