"""Ledger commands as lines of JSON, decoded by hand, because compiled classes lose the types of their fields."""

from base64 import b64decode
from typing import Any

from pertoken.core.budgets import Attribution
from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Settle, Void
from pertoken.core.events import NOT_TIMED, Event, EventStatus, Lines, OfCall, Timeline
from pertoken.core.holds import Hold
from pertoken.core.trust import Disagreement, Measured
from pertoken.core.usage import Completeness

_FIELDS_OF_BEFORE = (
    "source", "event_id", "attribution", "occurred_at_us", "recorded_at_us", "opened_at_us", "status", "completeness",
    "quantities", "currency", "cost_picos", "price_picos", "lines", "model_served", "service_tier", "response_id",
    "raw", "reason", "changed", "body_hash", "held_picos", "overrun_picos", "late", "context", "priced_as", "parts",
    "corrects", "was_unpriced", "book_lines", "timeline", "attempts",
)  # fmt: skip
UNREADABLE = (TypeError, ValueError, IndexError, KeyError)  # what a line that is no command raises


def read_hold(row: Any) -> Hold:
    """Return a hold. Raises UNREADABLE."""
    return Hold(row[0], _attribution(row[1]), *row[2:])


def read_void(row: Any) -> Void:
    """Return the command that lets a hold go. Raises UNREADABLE."""
    return Void(row[0], _attribution(row[1]), row[2])


def read_settle(row: Any) -> Settle:
    """Return a settlement. Raises UNREADABLE."""
    hold_id, event, claim, outcome, told = row
    return Settle(
        hold_id,
        _event(event),
        None if claim is None else Claim(claim[0], claim[1], b64decode(claim[2])),
        None if outcome is None else _outcome(outcome),
        None if told is None else Disagreement(told[0], told[1], Measured(*told[2]), told[3]),
    )


def _event(row: Any) -> Event:
    fields = dict(zip(Event._fields, row, strict=True)) if len(row) == len(Event._fields) else _fields_of_before(row)
    of = OfCall(*fields["of"])  # nothing else is settled
    fields["of"] = of._replace(timeline=Timeline(*of.timeline))
    fields["attribution"] = _attribution(fields["attribution"])
    fields["status"] = EventStatus(fields["status"])
    fields["completeness"] = Completeness(fields["completeness"])
    fields["parts"] = tuple((model, used) for model, used in fields["parts"])
    fields["context"] = _pairs(fields["context"])
    for name in ("lines", "book_lines"):
        fields[name] = _lines(fields[name])
    fields["raw"] = b64decode(fields["raw"])
    return Event(**fields)


def _fields_of_before(row: Any) -> dict[str, Any]:
    """Return the fields of an event of a version that had all of them in one row, whatever it is an event of."""
    if len(row) == len(_FIELDS_OF_BEFORE) - 2:  # of one without a timeline, where a missing price was 0
        row = [*row, NOT_TIMED, 0]
        row[_FIELDS_OF_BEFORE.index("price_picos")] = None
    fields = dict(zip(_FIELDS_OF_BEFORE, row, strict=True))
    of = [fields[name] for name in OfCall._fields]
    return {name: of if name == "of" else fields[name] for name in Event._fields}


def _outcome(row: Any) -> Outcome:
    status, headers, body, stream = row
    said = tuple((b64decode(name), b64decode(value)) for name, value in headers)
    return Outcome(status, said, None if body is None else b64decode(body), stream)


def _attribution(row: Any) -> Attribution:
    key, team, customer, user, provider, model, tags, conversation = row
    return Attribution(key, team, customer, user, provider, model, _pairs(tags), conversation)


def _lines(rows: Any) -> Lines:
    return tuple((unit, quantity, price_id, amount) for unit, quantity, price_id, amount in rows)


def _pairs(rows: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rows)
