"""Events: immutable facts of use, and what each cost."""

from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple, assert_never

from pertoken.core.budgets import Attribution
from pertoken.core.conditions import Conditions
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.usage import Completeness, Parts, Quantities

GATEWAY: Final = "gateway"  # the source of the events of calls, and of their corrections

Lines = tuple[tuple[str, int, str, int], ...]  # unit, quantity, price id, amount in picos


class EventStatus(StrEnum):
    """Whether an event's cost is known."""

    PRICED = "priced"
    UNPRICED = "unpriced"  # no price says it: its cost is provisional, or 0 where nothing at all is known
    CONTRADICTORY = "contradictory"  # the provider's usage contradicts itself: parked, raw object kept


class Timeline(NamedTuple):
    """When a call came to each step, in microseconds after it was opened; None where it did not, or nobody knows."""

    held_us: int | None = None  # its hold was on disk
    sent_us: int | None = None  # its request began to be sent
    first_byte_us: int | None = None  # the first byte of the answer's body was there
    last_byte_us: int | None = None  # nothing more of the answer is to come


NOT_TIMED = Timeline()


def timeline(opened_us: int, held_us: int, sent_us: int, first_us: int | None, last_us: int | None) -> Timeline:
    """Return when a call came to each step. The clock may be set back on the way: no step is before the first."""
    return Timeline(
        max(0, held_us - opened_us),
        max(0, sent_us - opened_us),
        None if first_us is None else max(0, first_us - opened_us),
        None if last_us is None else max(0, last_us - opened_us),
    )


class OfCall(NamedTuple):
    """What only the event of a call has: the gateway served it, so its source is GATEWAY."""

    held_picos: int = 0
    overrun_picos: int = 0  # the part of the cost above its hold
    late: bool = False  # its hold was gone when it was settled
    changed: str | None = None  # what policy altered in the request
    timeline: Timeline = NOT_TIMED
    # How many attempts its call has come to, this one included; 0: nobody knows. None: it was archived by a version
    # that did not count how calls ended, so roll-ups do not count how this one did.
    attempts: int | None = 0
    error: ErrorKind | None = None  # how its provider failed it


class OfReport(NamedTuple):
    """What only an event has that others report: its source is never GATEWAY."""

    body_hash: bytes = b""  # of what was reported, to tell a duplicate from a conflict; b"" where it was not read


class OfCorrection(NamedTuple):
    """What only a correction has; its cost is the difference, its source that of the event that it corrects."""

    corrects: str  # the id of that event
    was_unpriced: bool = False  # its price was not known before


class Event(NamedTuple):
    """One immutable fact of use; its identity is source + event_id."""

    source: str
    event_id: str
    attribution: Attribution
    occurred_at_us: int
    recorded_at_us: int
    opened_at_us: int  # decides the budget windows; for what others report, the time it occurred
    status: EventStatus
    completeness: Completeness
    quantities: Quantities
    currency: str
    cost_picos: int
    price_picos: int | None  # what the customer is charged, in the currency of the cost; None: no price
    lines: Lines
    of: OfCall | OfReport | OfCorrection  # what it is an event of, with what only those have
    model_served: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    raw: bytes = b""
    reason: str | None = None  # why it is unpriced, contradictory or estimated
    context: Conditions = ()  # in which it was rated: tier, batch, speed, region as served
    priced_as: str | None = None  # the model whose prices these are, None: the one that was asked for
    parts: Parts = ()  # where several models took part: what each of them used
    book_lines: Lines = ()  # where the provider's own statement is charged: what the price book says


def is_correction(event: Event) -> bool:
    """Tell whether an event corrects another: then it is no call."""
    return isinstance(event.of, OfCorrection)


def reported_hash(event: Event) -> bytes:
    """Return what tells a duplicate from a conflict; nothing where the identity alone does.

    Two that rate the same event again at the same time give their corrections the same identity.
    """
    of = event.of
    match of:
        case OfReport():
            return of.body_hash
        case OfCall():
            return b""
        case OfCorrection():
            said = (event.currency, event.cost_picos, event.price_picos, sorted(event.lines), of)
            return blake2b(repr(said).encode(), digest_size=16).digest()
        case _:
            assert_never(of)


def settled_late(event: Event) -> Event:
    """Return the event of a call whose hold is gone."""
    assert isinstance(event.of, OfCall), event
    return event._replace(of=event.of._replace(late=True))
