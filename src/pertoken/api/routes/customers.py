"""Customers as a resource: who is billed outside."""

from typing import Annotated, Any

import msgspec

from pertoken.api.fields import (
    GivenInstant,
    Instant,
    PageQuery,
    Text,
    read_cursor,
    read_time,
    write_cursor,
)
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.customers import METADATA_MAX, METADATA_NAME_MAX, METADATA_VALUE_MAX, Customer, CustomerState
from pertoken.core.texts import UNSAFE_CLASS
from pertoken.ports.customers import CustomerSearch
from pertoken.ports.store import Opened
from pertoken.services.customers import (
    BadCustomer,
    CustomerExists,
    NotItsOwn,
    change_customer,
    close_customer,
    create_customer,
    customer_fields,
    find_customer,
    list_customers,
)

Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\n)")]
_NAME = {"allOf": [{"maxLength": METADATA_NAME_MAX}]}
_VALUE = rf"^[^{UNSAFE_CLASS}]*$(?!\n)"
Metadata = Annotated[
    dict[
        Annotated[Text, msgspec.Meta(extra_json_schema=_NAME)],
        Annotated[str, msgspec.Meta(max_length=METADATA_VALUE_MAX, pattern=_VALUE)],
    ],
    msgspec.Meta(max_length=METADATA_MAX),
]


class CustomerBody(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A new customer. `id` is the text that calls carry. Events that occurred before `from` are rejected."""

    id: Text
    name: Text | None = None  # else the id
    currency: Currency = "USD"
    timezone: Text = "UTC"
    parent: Text | None = None  # the id of another customer
    team: Text | None = None
    metadata: Metadata = {}
    from_: GivenInstant | None = None  # else now


class CustomerChange(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Changes to a customer. Fields that are left out do not change; `parent: null` and `team: null` end them."""

    name: Text | msgspec.UnsetType = msgspec.UNSET
    currency: Currency | msgspec.UnsetType = msgspec.UNSET
    timezone: Text | msgspec.UnsetType = msgspec.UNSET
    parent: Text | msgspec.UnsetType | None = msgspec.UNSET
    team: Text | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET  # all of it, in place of what there is
    from_: GivenInstant | msgspec.UnsetType = msgspec.UNSET


class CustomerAnswer(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """One customer. `from` is null for one that was made from calls: no event is too early for it."""

    id: str
    name: str
    state: CustomerState
    currency: str
    timezone: str
    parent: str | None
    team: str | None
    metadata: dict[str, str]
    from_: Instant | None
    created_at: Instant
    closed_at: Instant | None


class CustomersAnswer(msgspec.Struct):
    """Customers, by id."""

    customers: list[CustomerAnswer]
    next_cursor: str | None


class CustomersQuery(PageQuery, forbid_unknown_fields=True, kw_only=True):
    """Which customers: those that have every given value."""

    state: CustomerState | None = None
    team: str | None = None
    parent: str | None = None


def list_(opened: Opened, asked: Asked) -> CustomersAnswer:
    """Return a page of the customers that the principal may see."""
    query: CustomersQuery = asked.query
    (after,) = ("",) if query.cursor is None else read_cursor(query.cursor, (str,))
    search = CustomerSearch(query.limit + 1, after, query.team, query.state, query.parent)
    found = list_customers(opened.customers, asked.view, search)
    shown = found[: query.limit]
    cursor = write_cursor((shown[-1].customer_id,)) if len(found) > len(shown) else None
    return CustomersAnswer([_answer(one) for one in shown], cursor)


def read(opened: Opened, asked: Asked) -> CustomerAnswer:
    """Return one customer."""
    return _answer(_find(opened, asked))


def create(opened: Opened, asked: Asked) -> CustomerAnswer:
    """Create a customer; for a team owner, in its team."""
    body: CustomerBody = asked.body
    begins_at_us = read_time(body.from_, "from")
    customer = Customer(
        body.id, body.name or body.id, body.currency, body.timezone, asked.now_us, body.parent,
        asked.view.team if body.team is None else body.team, tuple(sorted(body.metadata.items())),
        asked.now_us if begins_at_us is None else begins_at_us,
    )  # fmt: skip
    try:
        return _answer(create_customer(opened, asked.view, customer))
    except BadCustomer as error:
        raise _refused(error) from error


def change(opened: Opened, asked: Asked) -> CustomerAnswer:
    """Change some values of a customer."""
    try:
        after = change_customer(opened, asked.view, _find(opened, asked), _changes(asked.body), asked.now_us)
    except BadCustomer as error:
        raise _refused(error) from error
    return _answer(after)


def close(opened: Opened, asked: Asked) -> CustomerAnswer:
    """Close a customer; a closed one stays as it is."""
    try:
        return _answer(close_customer(opened.customers, _find(opened, asked), asked.now_us))
    except BadCustomer as error:
        raise _refused(error) from error


def _changes(body: CustomerChange) -> dict[str, Any]:
    said = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not msgspec.UNSET}
    if "timezone" in said:
        said["zone"] = said.pop("timezone")
    if "metadata" in said:
        said["metadata"] = tuple(sorted(said["metadata"].items()))
    if "from_" in said:
        said["begins_at_us"] = read_time(said.pop("from_"), "from")
    return said


def _find(opened: Opened, asked: Asked) -> Customer:
    found = find_customer(opened.customers, asked.view, asked.name)
    if found is None:
        raise ApiRefused(Problem.NOT_FOUND, f"no customer {asked.name!r}; see: GET /api/v1/customers", "id")
    return found


def _refused(error: BadCustomer) -> ApiRefused:
    problem = Problem.INVALID_FIELD
    if isinstance(error, CustomerExists):
        problem = Problem.NAME_TAKEN
    elif isinstance(error, NotItsOwn):
        problem = Problem.FORBIDDEN
    return ApiRefused(problem, str(error), error.field)


def _answer(customer: Customer) -> CustomerAnswer:
    return msgspec.convert(customer_fields(customer), CustomerAnswer)


ROUTES = (
    Route(
        "GET", "/api/v1/customers", Action.CUSTOMERS_READ, "List customers.", list_, CustomersAnswer, CustomersQuery,
    ),
    Route(
        "POST", "/api/v1/customers", Action.CUSTOMERS_WRITE, "Create a customer.", create, CustomerAnswer,
        body=CustomerBody, status=201, problems=(Problem.NAME_TAKEN,),
    ),
    Route(
        "GET", "/api/v1/customers/{id}", Action.CUSTOMERS_READ, "Show one customer.", read, CustomerAnswer,
        problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "PUT", "/api/v1/customers/{id}", Action.CUSTOMERS_WRITE, "Change a customer.", change, CustomerAnswer,
        body=CustomerChange, problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "DELETE", "/api/v1/customers/{id}", Action.CUSTOMERS_WRITE,
        "Close a customer: its calls are refused from the next hold on.", close, CustomerAnswer,
        problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
