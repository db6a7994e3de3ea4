"""Makes, changes and closes customers, and tells which reported events belong to none that may have them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

from pertoken.core.access import View, may_name
from pertoken.core.currencies import NotACurrency, check_currency
from pertoken.core.customers import DEPTH_MAX, Customer, CustomerState, Unknown, why_no_metadata, why_not_at
from pertoken.core.periods import NotATime, format_time, load_zone
from pertoken.core.texts import why_no_name
from pertoken.ports.administration import Administration
from pertoken.ports.customers import Customers, CustomerSearch
from pertoken.services.allowance import not_its_own
from pertoken.services.ingest import BATCH, RejectedLine, UsageRecord

Find = Callable[[Collection[str]], Mapping[str, Customer]]


class Nouns(Protocol):
    """What a transaction must have for changes to customers."""

    @property
    def customers(self) -> Customers:
        """All customers."""

    @property
    def administration(self) -> Administration:
        """Who may name a customer."""


class BadCustomer(Exception):
    """A customer cannot be as asked; `field` is what is wrong."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class CustomerExists(BadCustomer):
    """There is a customer of this id already."""


class NotItsOwn(BadCustomer):
    """A team may change only its own customers."""


def list_customers(customers: Customers, view: View, asked: CustomerSearch) -> list[Customer]:
    """Return the first customers that fit and may be seen, by id."""
    if view.customer is not None:
        return [one for one in customers.find([view.customer]).values() if one.is_seen_by(view)]
    if view.team is not None:
        if asked.team not in (None, view.team):
            return []
        asked = asked._replace(team=view.team)
    return customers.search(asked)


def find_customer(customers: Customers, view: View, customer_id: str) -> Customer | None:
    """Return a customer that may be seen."""
    found = customers.find([customer_id]).get(customer_id)
    return found if found is not None and found.is_seen_by(view) else None


def create_customer(nouns: Nouns, view: View, customer: Customer) -> Customer:
    """Store a new customer; its team may name it. Raises BadCustomer."""
    why = why_no_name(customer.customer_id, "the id")
    if why is not None:
        raise BadCustomer(why, "id")
    if not may_name(view.team, nouns.administration.owners(customer.customer_id)):
        raise NotItsOwn(not_its_own(view.team, customer.customer_id), "id")
    if nouns.customers.find([customer.customer_id]):
        raise CustomerExists(f"there is a customer {customer.customer_id!r} already; choose another id", "id")
    _check(nouns.customers, view, customer)
    if customer.begins_at_us is not None and customer.begins_at_us > customer.created_at_us:
        raise BadCustomer(f"a customer cannot begin later than now: {format_time(customer.begins_at_us)}", "from")
    nouns.customers.add(customer)
    _share(nouns, customer)
    return customer


def change_customer(nouns: Nouns, view: View, before: Customer, changes: Mapping[str, Any], now_us: int) -> Customer:
    """Store new values of some fields of a customer. Raises BadCustomer."""
    after = before._replace(**changes)
    if after.begins_at_us is not None and after.begins_at_us > (before.closed_at_us or now_us):
        raise BadCustomer(
            f"a customer cannot begin later than now, or after it was closed: {format_time(after.begins_at_us)}", "from"
        )
    _check(nouns.customers, view, after, is_moved=after.parent != before.parent)
    if after != before:
        nouns.customers.change(after)
        if after.team != before.team:
            _share(nouns, after)
    return after


def close_customer(customers: Customers, before: Customer, now_us: int) -> Customer:
    """Close a customer, from its next call on; one that is closed stays as it is. Raises BadCustomer."""
    if before.state is CustomerState.CLOSED:
        return before
    child = customers.search(CustomerSearch(1, parent=before.customer_id, state=CustomerState.OPEN))
    if child:
        raise BadCustomer(f"its child {child[0].customer_id!r} is open; close that first, or give it no parent", "id")
    after = before._replace(closed_at_us=now_us)
    customers.change(after)
    return after


def customer_fields(customer: Customer) -> dict[str, Any]:
    """Return a customer as it is shown."""
    begins, closed = (
        None if at_us is None else format_time(at_us) for at_us in (customer.begins_at_us, customer.closed_at_us)
    )
    return {
        "id": customer.customer_id, "name": customer.name, "state": str(customer.state),
        "currency": customer.currency, "timezone": customer.zone, "parent": customer.parent, "team": customer.team,
        "metadata": dict(customer.metadata), "from": begins, "created_at": format_time(customer.created_at_us),
        "closed_at": closed,
    }  # fmt: skip


def reject_customers(
    records: Iterable[UsageRecord | RejectedLine], find: Find, unknown: Unknown
) -> Iterator[UsageRecord | RejectedLine]:
    """Yield the records, rejecting those whose customer may not have them: it was closed, or did not exist yet.

    They are looked for batch by batch.
    """
    rest = iter(records)
    while batch := list(islice(rest, BATCH)):
        named = {one.attribution.customer for one in batch if isinstance(one, UsageRecord)} - {None}
        found = find([name for name in named if name is not None]) if named else {}
        for one in batch:
            yield _judged(one, found, unknown)


def _judged(
    record: UsageRecord | RejectedLine, found: Mapping[str, Customer], unknown: Unknown
) -> UsageRecord | RejectedLine:
    if isinstance(record, RejectedLine) or record.attribution.customer is None:
        return record
    named = record.attribution.customer
    why = why_not_at(found.get(named), named, record.occurred_at_us, unknown)
    return record if why is None else RejectedLine(record.line, "invalid_customer", why)


def _check(customers: Customers, view: View, customer: Customer, *, is_moved: bool = True) -> None:
    """Raise BadCustomer for the first field that is wrong."""
    why = why_no_name(customer.name)
    if why is not None:
        raise BadCustomer(why, "name")
    try:
        check_currency(customer.currency)
    except NotACurrency as error:
        raise BadCustomer(str(error), "currency") from error
    try:
        load_zone(customer.zone)
    except NotATime as error:
        raise BadCustomer(str(error), "timezone") from error
    why = why_no_metadata(dict(customer.metadata))
    if why is not None:
        raise BadCustomer(why, "metadata")
    if customer.team is not None:
        why = why_no_name(customer.team, "the team")
        if why is not None:
            raise BadCustomer(why, "team")
    if view.team not in (None, customer.team):
        raise NotItsOwn(f"this key may only have customers of the team {view.team!r}", "team")
    if customer.parent is not None and is_moved:
        _check_parent(customers, view, customer, customer.parent)


def _check_parent(customers: Customers, view: View, customer: Customer, parent: str) -> None:
    """Raise BadCustomer for a parent that does not exist, is closed, is below the customer, or is too deep."""
    if parent == customer.customer_id:
        raise BadCustomer(f"{parent!r} cannot be its own parent", "parent")
    found = find_customer(customers, view, parent)
    if found is None:
        raise BadCustomer(f"no customer {parent!r} that could be a parent; see: pertoken customer list", "parent")
    if found.state is CustomerState.CLOSED:
        raise BadCustomer(f"the customer {parent!r} is closed and cannot be a parent", "parent")
    above = 1
    while found is not None and found.parent is not None:
        if found.parent == customer.customer_id:
            raise BadCustomer(f"{parent!r} is below {customer.customer_id!r} and cannot be its parent", "parent")
        above += 1
        found = customers.find([found.parent]).get(found.parent)
    below, level = 0, [customer.customer_id]
    while level and above + below <= DEPTH_MAX:
        below, level = below + 1, customers.children(level)
    if above + below > DEPTH_MAX:
        raise BadCustomer(f"a tree of customers may have at most {DEPTH_MAX} levels", "parent")


def _share(nouns: Nouns, customer: Customer) -> None:
    """Let the customer's team name it."""
    if customer.team is not None:
        nouns.administration.share(customer.customer_id, customer.team)
