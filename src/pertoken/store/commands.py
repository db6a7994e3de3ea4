"""Ledger commands as objects of JSON, by the names of their fields.

What earlier versions did not write yet is read as its default. A field that only a newer version has is refused: it may
be money. An event is written and read by `store.event_columns`; what earlier versions wrote without names is given its
names by `store.commands_before`. Fields are decoded by hand, because compiled classes lose the types of their fields.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from pertoken.core.budgets import Attribution
from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Settle, Void
from pertoken.core.events import Event
from pertoken.core.holds import Hold
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.trust import Disagreement, Measured
from pertoken.store import commands_before
from pertoken.store.event_columns import event_named, names_of

# What a line that is no command raises.
UNREADABLE = (msgspec.DecodeError, TypeError, ValueError, LookupError, AttributeError)

T = TypeVar("T", bound=tuple[Any, ...])


def as_object(value: Hold | Settle | Void) -> dict[str, Any]:
    """Return a command, or a hold, as its line has it."""
    return {name: _written(of) for name, of in value._asdict().items()}


def read_hold(row: Any) -> Hold:
    """Return a hold. Raises UNREADABLE."""
    return _read(Hold, row, attribution=_read_attribution)


def read_void(row: Any) -> Void:
    """Return the command that lets a hold go. Raises UNREADABLE."""
    return _read(Void, row, attribution=_read_attribution, error=_or_none(ErrorKind))


def read_settle(row: Any) -> Settle:
    """Return a settlement. Raises UNREADABLE."""
    told = _or_none(_read_told)
    return _read(
        Settle, row, event=_read_event, claim=_or_none(_read_claim), outcome=_or_none(_read_outcome), disagreement=told
    )


def _written(value: object) -> Any:
    """Return what stands for a value in a line; texts, numbers, bytes and lists of them stand for themselves."""
    if isinstance(value, Event):
        return names_of(value)
    fields = getattr(value, "_fields", None)
    return value if fields is None else {name: _written(getattr(value, name)) for name in fields}


def _read(kind: type[T], row: Any, **readers: Callable[[Any], Any]) -> T:
    """Return a record of its fields by name; what has a reader is read by it."""
    given: Mapping[str, Any] = commands_before.fields(kind, row) if isinstance(row, list) else row
    known: tuple[str, ...] = kind._fields  # type: ignore[attr-defined] # all records are named tuples
    newer = sorted(given.keys() - set(known))
    if newer:
        raise ValueError(f"written by a newer version of pertoken: {kind.__name__} has no {', '.join(newer)}")
    return kind(**{name: readers[name](value) if name in readers else value for name, value in given.items()})


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader that takes what is not there as well."""
    return lambda row: None if row is None else read(row)


def _read_event(row: Any) -> Event:
    return event_named(commands_before.event(row) if isinstance(row, list) else row)


def _read_attribution(row: Any) -> Attribution:
    return _read(Attribution, row, tags=_read_pairs)


def _read_claim(row: Any) -> Claim:
    return _read(Claim, row, request_hash=b64decode)


def _read_outcome(row: Any) -> Outcome:
    return _read(Outcome, row, headers=_read_headers, body=_or_none(b64decode))


def _read_told(row: Any) -> Disagreement:
    return _read(Disagreement, row, measured=_read_measured)


def _read_measured(row: Any) -> Measured:
    return _read(Measured, row)


def _read_headers(rows: Any) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((b64decode(name), b64decode(value)) for name, value in rows)


def _read_pairs(rows: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rows)
