"""`pertoken customer`: creates, lists, shows, changes and closes customers."""

import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.noting import note
from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import (
    CommandRefused,
    changes,
    database,
    db_option,
    json_option,
    now_us,
    pairs,
    parse_time,
    print_json,
)
from pertoken.cli.tables import print_table, time_text
from pertoken.core.access import Action, View

if TYPE_CHECKING:
    from pertoken.core.customers import Customer
    from pertoken.ports.store import Opened

EVERYTHING = View()  # whoever runs a command may see all
COLUMNS = {
    "id": "customer",
    "name": "name",
    "state": "state",
    "currency": "currency",
    "timezone": "time zone",
    "parent": "parent",
    "team": "team",
    "from": "from (UTC)",
}
SPARED = ("timezone", "parent", "from", "team")  # columns that a narrow terminal leaves out, the first one first
PAGE_MAX = 1_000


@click.group(cls=CommandGroup)
def customer() -> None:
    """Create, list, show, change and close customers."""


def _options(command: Any) -> Any:
    """Add the options that say what a customer is."""
    for option in (
        click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="A value of your own; may repeat."),
        click.option("--from", "begins", metavar="TIME", help="Events before it are rejected. [now]"),
        click.option("--team", help="The team whose customer it is; the team may name it."),
        click.option("--parent", metavar="CUSTOMER", help="The customer above it."),
        click.option("--tz", "zone", help="Its time zone, such as Europe/Berlin. [UTC]"),
        click.option("--currency", help="The currency in which it is charged. [USD]"),
        click.option("--name", help="Its name for people. [the id]"),
    ):
        command = option(command)
    return command


@customer.command()
@click.argument("customer_id", metavar="CUSTOMER")
@_options
@db_option
@json_option
def create(  # noqa: PLR0917 - click passes each option by name
    customer_id: str,
    name: str | None,
    currency: str | None,
    zone: str | None,
    parent: str | None,
    team: str | None,
    begins: str | None,
    metadata: tuple[str, ...],
    db: str | None,
    as_json: bool,
) -> None:
    """Create a customer. CUSTOMER is the text that calls carry in x-pertoken-customer."""
    from pertoken.core.customers import Customer
    from pertoken.services.customers import create_customer

    at_us, values = now_us(), pairs(metadata, "--metadata")
    begins_at_us = at_us if begins is None else parse_time(begins, zone or "UTC", "--from")
    wanted = Customer(
        customer_id, name or customer_id, currency or "USD", zone or "UTC", at_us, parent, team,
        tuple(sorted(values.items())), begins_at_us,
    )  # fmt: skip
    with changes(db, make=True) as opened:
        made = _try(lambda: create_customer(opened, EVERYTHING, wanted))
        _note(opened, None, made)
    _print(made, as_json, f"made the customer {made.customer_id}")


@customer.command("list")
@click.option("--state", type=click.Choice(["open", "closed"]), help="Only those in this state.")
@click.option("--team", help="Only those of this team.")
@click.option("--parent", metavar="CUSTOMER", help="Only those below this customer.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True, help="How many at most.")
@click.option("--cursor", metavar="CURSOR", help="Where the page before ended: its next_cursor.")
@db_option
@json_option
def list_(  # noqa: PLR0917 - click passes each option by name
    state: str | None,
    team: str | None,
    parent: str | None,
    limit: int,
    cursor: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """List customers by id."""
    from pertoken.core.customers import CustomerState
    from pertoken.ports.customers import CustomerSearch
    from pertoken.services.customers import customer_fields, list_customers

    search = CustomerSearch(limit + 1, cursor or "", team, None if state is None else CustomerState(state), parent)
    with database(db) as stored, stored.reads() as opened:
        found = list_customers(opened.customers, EVERYTHING, search)
    rows = [customer_fields(one) for one in found[:limit]]
    next_cursor = rows[-1]["id"] if len(found) > limit else None
    if as_json:
        print_json({"customers": rows, "next_cursor": next_cursor})
        return
    if not rows:
        say_empty("no such customers", "pertoken customer create CUSTOMER")
        return
    shown = [{**row, "from": time_text(row["from"])} for row in rows]
    print_table("customers", COLUMNS, shown, spared=SPARED)
    if next_cursor is not None:
        echo(f"there are more; see: pertoken customer list --cursor {shlex.quote(next_cursor)}", err=True)


@customer.command()
@click.argument("customer_id", metavar="CUSTOMER")
@db_option
@json_option
def show(customer_id: str, db: str | None, as_json: bool) -> None:
    """Show one customer."""
    with database(db) as stored, stored.reads() as opened:
        found = _find(opened, customer_id)
    _print(found, as_json)


@customer.command()
@click.argument("customer_id", metavar="CUSTOMER")
@_options
@click.option("--no-parent", is_flag=True, help="It has no parent any more.")
@click.option("--no-team", is_flag=True, help="It belongs to no team any more.")
@click.option("--no-metadata", is_flag=True, help="Remove all values of your own first.")
@db_option
@json_option
def change(  # noqa: PLR0917 - click passes each option by name
    customer_id: str,
    name: str | None,
    currency: str | None,
    zone: str | None,
    parent: str | None,
    team: str | None,
    begins: str | None,
    metadata: tuple[str, ...],
    no_parent: bool,
    no_team: bool,
    no_metadata: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Change a customer. Only the options that you pass are changed; each --metadata sets or replaces one value."""
    from pertoken.services.customers import change_customer

    if (parent is not None and no_parent) or (team is not None and no_team):
        raise click.UsageError("choose one of --parent and --no-parent, and one of --team and --no-team")
    said = {"name": name, "currency": currency, "zone": zone, "parent": parent, "team": team}
    wanted: dict[str, Any] = {field: value for field, value in said.items() if value is not None}
    wanted |= {field: None for field, is_ended in (("parent", no_parent), ("team", no_team)) if is_ended}
    values = pairs(metadata, "--metadata")
    with changes(db) as opened:
        before = _find(opened, customer_id)
        if values or no_metadata:
            kept = {} if no_metadata else dict(before.metadata)
            wanted["metadata"] = tuple(sorted({**kept, **values}.items()))
        if begins is not None:
            wanted["begins_at_us"] = parse_time(begins, wanted.get("zone", before.zone), "--from")
        after = _try(lambda: change_customer(opened, EVERYTHING, before, wanted, now_us()))
        if after != before:
            _note(opened, before, after)
    _print(after, as_json, f"changed the customer {customer_id}" if after != before else "nothing changed")


@customer.command()
@click.argument("customer_id", metavar="CUSTOMER")
@db_option
@json_option
def close(customer_id: str, db: str | None, as_json: bool) -> None:
    """Close a customer: its calls are refused from the next hold on. This cannot be undone."""
    from pertoken.services.customers import close_customer, customer_fields

    with changes(db) as opened:
        before = _find(opened, customer_id)
        after = _try(lambda: close_customer(opened.customers, before, now_us()))
        if after != before:
            _note(opened, before, after)
    if as_json:
        print_json(customer_fields(after))
    else:
        closed = customer_fields(after)["closed_at"]
        echo(f"closed {customer_id}" if after != before else f"{customer_id} was closed already, at {closed}")


def _try(work: "Callable[[], Customer]") -> "Customer":
    """Return the result; exit with 1 if a customer cannot be as asked."""
    from pertoken.services.customers import BadCustomer

    try:
        return work()
    except BadCustomer as error:
        raise CommandRefused(str(error)) from error


def _find(opened: "Opened", customer_id: str) -> "Customer":
    from pertoken.core.texts import meant
    from pertoken.ports.customers import CustomerSearch
    from pertoken.services.customers import find_customer

    found = find_customer(opened.customers, EVERYTHING, customer_id)
    if found is None:
        some = opened.customers.search(CustomerSearch(PAGE_MAX))
        near = meant(customer_id, [one.customer_id for one in some])
        raise CommandRefused(f"no customer {customer_id!r}{near or ';'} see: pertoken customer list")
    return found


def _note(opened: "Opened", before: "Customer | None", after: "Customer") -> None:
    from pertoken.services.customers import customer_fields

    was, is_ = None if before is None else customer_fields(before), customer_fields(after)
    path = f"/api/v1/customers/{after.customer_id}"
    note(opened, Action.CUSTOMERS_WRITE, path, was, is_, after.team)


def _print(shown: "Customer", as_json: bool, said: str | None = None) -> None:
    """Print one customer, or what was done to it."""
    from pertoken.services.customers import customer_fields

    fields = customer_fields(shown)
    if as_json:
        print_json(fields)
    elif said is not None:
        echo(said)
    else:
        for name, text in _lines(fields):
            echo(f"{name:<10}  {text}")


def _lines(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if name == "metadata":
            yield from ((name, f"{own}={text}") for own, text in value.items())
        elif value is not None:
            yield name, value
