"""Customers: who is billed outside, each under the name that calls and events carry.

A customer begins at an instant, and may be closed at a later one. It may have a parent, another customer.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pertoken.core.access import View
from pertoken.core.directory import KnownCustomers
from pertoken.core.periods import format_time
from pertoken.core.texts import UNSAFE, escaped, why_no_name

DEPTH_MAX = 8  # customers from the top of a tree to its lowest one
METADATA_MAX = 50
METADATA_NAME_MAX = 64  # characters
METADATA_VALUE_MAX = 500


class CustomerState(StrEnum):
    """Whether a customer may be named by calls."""

    OPEN = "open"
    CLOSED = "closed"


class Unknown(StrEnum):
    """What to do when a call or an event names a customer that nobody has made."""

    ALLOW = "allow"
    MAKE = "make"
    REFUSE = "refuse"


class Customer(NamedTuple):
    """One customer. Its id is the text that calls carry."""

    customer_id: str
    name: str
    currency: str
    zone: str
    created_at_us: int
    parent: str | None = None  # the id of another customer
    team: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    begins_at_us: int | None = None  # events before it are rejected; None: none are, for it was made from calls
    closed_at_us: int | None = None

    @property
    def state(self) -> CustomerState:
        """Whether it is open."""
        return CustomerState.OPEN if self.closed_at_us is None else CustomerState.CLOSED

    def is_seen_by(self, view: View) -> bool:
        """Tell whether it may be seen."""
        return view.team in (None, self.team) and view.customer in (None, self.customer_id)


class UnknownRule(NamedTuple):
    """What to do with an unknown customer; one that is made has this currency and time zone."""

    unknown: Unknown = Unknown.ALLOW
    currency: str = "USD"
    zone: str = "UTC"


def why_not_called(named: str, customers: KnownCustomers) -> str | None:
    """Return why a call of a customer is refused, None when it is not."""
    closed_at_us = customers.closed_at_us.get(named)
    if closed_at_us is not None:
        return closed_customer(named, closed_at_us)
    return unknown_customer(named) if customers.known is not None and named not in customers.known else None


def why_no_metadata(metadata: Mapping[str, str]) -> str | None:
    """Return why metadata cannot be kept, None when it can."""
    if len(metadata) > METADATA_MAX:
        return f"metadata has {len(metadata):,} entries; it may have at most {METADATA_MAX}"
    for name, value in metadata.items():
        why = why_no_name(name, "a name in metadata")
        if why is not None:
            return why
        if len(name) > METADATA_NAME_MAX:
            return f"a name in metadata has {len(name)} characters; it may have at most {METADATA_NAME_MAX}"
        if len(value) > METADATA_VALUE_MAX:
            return f"{name} in metadata has {len(value):,} characters; it may have at most {METADATA_VALUE_MAX}"
        if UNSAFE.search(value):
            return f"{name} in metadata has a control character; write it without: {escaped(value)!r}"
    return None


def why_not_at(customer: Customer | None, named: str, at_us: int, unknown: Unknown) -> str | None:
    """Return why an event of this customer that occurred at `at_us` is rejected, None when it is not."""
    if customer is None:
        return unknown_customer(named) if unknown is Unknown.REFUSE else None
    if customer.begins_at_us is not None and at_us < customer.begins_at_us:
        begins = format_time(customer.begins_at_us)
        hint = "to change that: pertoken customer change CUSTOMER --from TIME"
        return f"the customer {named!r} begins at {begins}, after the event; {hint}"
    if customer.closed_at_us is not None and at_us >= customer.closed_at_us:
        return closed_customer(named, customer.closed_at_us)
    return None


def unknown_customer(named: str) -> str:
    """Say that nobody has made a customer, and what helps."""
    return f"unknown customer {named!r}; make it: pertoken customer create CUSTOMER"


def closed_customer(named: str, closed_at_us: int) -> str:
    """Say that a customer is closed, and since when."""
    return f"the customer {named!r} was closed at {format_time(closed_at_us)}"
