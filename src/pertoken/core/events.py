"""Events: immutable facts of use, and what each cost."""

from enum import StrEnum
from typing import NamedTuple

from pertoken.core.budgets import Attribution
from pertoken.core.conditions import Conditions
from pertoken.core.usage import Completeness, Parts, Quantities

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
    model_served: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    raw: bytes = b""
    reason: str | None = None  # why it is unpriced, contradictory or estimated
    changed: str | None = None  # what policy altered in the request
    body_hash: bytes = b""  # of what was reported, to tell a duplicate from a conflict
    held_picos: int = 0
    overrun_picos: int = 0
    late: bool = False
    context: Conditions = ()  # in which it was rated: tier, batch, speed, region as served
    priced_as: str | None = None  # the model whose prices these are, None: the one that was asked for
    parts: Parts = ()  # where several models took part: what each of them used
    corrects: str | None = None  # the event whose cost this one corrects: its own cost is the difference
    was_unpriced: bool = False  # of a correction: the price of what it corrects was not known before
    book_lines: Lines = ()  # where the provider's own statement is charged: what the price book says
    timeline: Timeline = NOT_TIMED  # of what the gateway served
    # How many attempts its call has come to, this one included; 0: none of ours, or nobody knows. None: it was archived
    # by a version that did not count how calls ended, so roll-ups do not count how this one did.
    attempts: int | None = 0
