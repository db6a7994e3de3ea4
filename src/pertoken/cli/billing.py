"""`pertoken bill` and `pertoken plan`: what customers are charged."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.noting import note
from pertoken.cli.output import echo, say_empty
from pertoken.cli.progress import Progress
from pertoken.cli.session import (
    CommandRefused,
    archive,
    changes,
    database,
    db_option,
    json_option,
    now_us,
    parse_time,
    price_book,
    print_json,
)
from pertoken.cli.tables import counted, print_table
from pertoken.core.access import Action
from pertoken.core.money import decimal_text, format_amount
from pertoken.core.periods import format_time
from pertoken.core.texts import meant

if TYPE_CHECKING:
    from pertoken.core.billing.plan_book import PlanFile, PlanVersion, Subscription
    from pertoken.core.billing.plans import Plan
    from pertoken.core.price_book import PriceBook
    from pertoken.services.billing.given import Asking, Billed, PeriodBill

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
COLUMNS = {"description": "for", "quantity": "quantity", "unit_amount": "each", "amount": "amount"}
PLAN_COLUMNS = {"plan": "plan", "version": "version", "currency": "currency", "from": "from", "applied_at": "applied"}
PLAN_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.option("--events", "events_file", type=FILE, help="Usage, a JSON object a line; .gz too. [what is recorded]")
@click.option("--plan", "plan_file", type=FILE, required=True, help="The plan, in YAML.")
@click.option("--customer", help="The events of this customer alone.")
@click.option("--from", "from_", metavar="TIME", help="Events from this time on.")
@click.option("--to", metavar="TIME", help="Events before this time.")
@click.option("--tz", "zone", default="UTC", show_default=True, help="The zone of the months and of plain dates.")
@db_option
@json_option
def bill(  # noqa: PLR0917 - click passes each option by name
    events_file: Path | None,
    plan_file: Path,
    customer: str | None,
    from_: str | None,
    to: str | None,
    zone: str,
    db: str | None,
    as_json: bool,
) -> None:
    """Print the bill that a plan makes of events: of those in a file, or of those recorded. Nothing is stored.

    With --from and --to, the time between is one period. Without, each calendar month is one; of what is recorded, this
    month so far. An event that cannot be charged ends the command without a bill.
    """
    from pertoken.core.billing.plans import needs_cost
    from pertoken.services.billing.given import Asking

    plan = load_plan(plan_file)
    parse_time("2026-01-01", zone, "--tz")  # says that there is no such zone
    start_us = None if from_ is None else parse_time(from_, zone, "--from")
    end_us = None if to is None else parse_time(to, zone, "--to")
    if start_us is not None and end_us is not None and start_us >= end_us:
        raise click.UsageError(f"--to {to} must be after --from {from_}")
    asking = Asking(customer, start_us, end_us, zone, is_one=start_us is not None and end_us is not None)
    if events_file is None:
        billed = _recorded(db, plan, asking)
    else:
        billed = _read(events_file, plan, asking, price_book(db) if needs_cost(plan) else None)
    for reason in billed.reasons:
        place = "event" if events_file is None else "line"
        echo(f"{place} {reason.line}: {reason.code}: {reason.message}", err=True)
    if billed.reasons:
        raise CommandRefused(f"no bill: {counted(len(billed.reasons), 'event')} cannot be charged")
    _show(billed, plan, as_json=as_json)


@click.group(cls=CommandGroup)
def plan() -> None:
    """Check, apply and show plans: what customers are charged by."""


@plan.command("check")
@click.argument("file", type=FILE)
@json_option
def check_plan(file: Path, as_json: bool) -> None:
    """Read the plan in FILE, and say what is wrong with it or what it charges."""
    from pertoken.core.billing.plans import is_decided_by_event, name_of

    found = load_plan(file)
    charges = [
        {
            "name": charge.name,
            "model": name_of(charge.model),
            "counts": None if charge.meter is None else charge.meter.of,
            "decided_by": "event" if is_decided_by_event(charge) else "period",
        }
        for charge in found.charges
    ]
    if as_json:
        print_json({"plan": found.name, "version": found.version, "currency": found.currency, "charges": charges})
        return
    columns = {"name": "charge", "model": "model", "counts": "counts", "decided_by": "decided by"}
    print_table(f"{found.name}, version {found.version}, in {found.currency}", columns, charges)


@plan.command("apply")
@click.argument("file", type=FILE)
@db_option
@json_option
def apply_plan(file: Path, db: str | None, as_json: bool) -> None:
    """Keep the version of a plan that is in FILE. It is in force from its `from` until that of the next version."""
    from pertoken.core.billing.plan_book import CannotApply
    from pertoken.services.billing.plans import apply
    from pertoken.wiring.clock import SystemClock

    found = load_plan_file(file)
    try:
        with changes(db, make=True) as opened:
            version, is_new = apply(opened.plans, SystemClock(), found)
            if is_new:
                note(opened, Action.PLANS_WRITE, f"/api/v1/plans/{version.name}", None, version_fields(version))
    except CannotApply as error:
        raise CommandRefused(f"{file}: {error}") from error
    if as_json:
        print_json({**version_fields(version), "new": is_new})
        return
    what = "applied" if is_new else "was applied before; nothing changed"
    echo(f"{version.name}, version {version.version}: {what}; in force from {format_time(version.from_us)}")


@plan.command("list")
@db_option
@json_option
def list_plans(db: str | None, as_json: bool) -> None:
    """List the versions of all plans."""
    with database(db) as stored, stored.reads() as opened:
        rows = [version_fields(version) for version in opened.plans.versions()]
    if as_json:
        print_json({"plans": rows})
    elif rows:
        print_table("plans", PLAN_COLUMNS, rows)
    else:
        say_empty("there is no plan", "pertoken plan apply FILE")


@plan.command("show")
@click.argument("name")
@click.option("--version", type=int, help="[the version in force]")
@db_option
@json_option
def show_plan(name: str, version: int | None, db: str | None, as_json: bool) -> None:
    """Print the file of a plan as it was applied."""
    found = _version(db, name, version)
    if as_json:
        print_json({**version_fields(found), "content": found.content})
    else:
        echo(found.content.rstrip("\n"))


@plan.command("diff")
@click.argument("file", type=FILE)
@db_option
@json_option
def diff_plan(file: Path, db: str | None, as_json: bool) -> None:
    """Show what FILE changes in the last version of its plan; exit with 1 if it changes anything."""
    from difflib import unified_diff

    found, content, _ = load_plan_file(file)
    with database(db) as stored, stored.reads() as opened:
        versions = opened.plans.versions(found.name)
    before = versions[-1].content.splitlines() if versions else []
    name = f"version {versions[-1].version}" if versions else "no version"
    lines = list(unified_diff(before, content.splitlines(), name, str(file), lineterm=""))
    if as_json:
        print_json({"plan": found.name, "lines": lines})
    else:
        echo("\n".join(lines) if lines else "no difference")
    if lines:
        raise SystemExit(1)


@click.command()
@click.argument("customer")
@click.argument("plan_name", metavar="PLAN", required=False)
@click.option("--from", "from_", metavar="TIME", help="Since when the plan counts. [now]")
@click.option("--end", is_flag=True, help="End the subscription: no plan counts from then on.")
@db_option
@json_option
def subscribe(  # noqa: PLR0917 - click passes each option by name
    customer: str, plan_name: str | None, from_: str | None, end: bool, db: str | None, as_json: bool
) -> None:
    """Charge CUSTOMER by PLAN, from now on or from an instant to come."""
    from pertoken.core.billing.plan_book import CannotApply
    from pertoken.services.billing.plans import subscribe as charge_by
    from pertoken.wiring.clock import SystemClock

    if (plan_name is None) != end:
        raise click.UsageError("name a plan, or write --end")
    from_us = None if from_ is None else parse_time(from_, "UTC", "--from")
    try:
        with changes(db) as opened:
            made = charge_by(opened.plans, opened.customers, SystemClock(), customer, plan_name, from_us)
            path = f"/api/v1/subscriptions/{made.customer}"
            note(opened, Action.PLANS_WRITE, path, None, subscription_fields(made))
    except CannotApply as error:
        raise CommandRefused(str(error)) from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="CUSTOMER") from error
    if as_json:
        print_json(subscription_fields(made))
    else:
        what = "is charged by no plan" if made.plan is None else f"is charged by {made.plan}"
        echo(f"{made.customer} {what} from {format_time(made.from_us)}")


def _version(db: str | None, name: str, version: int | None) -> "PlanVersion":
    """Return a version of a plan, the one in force if none is named; end the command if there is none."""
    from pertoken.core.billing.plan_book import PlanBook

    with database(db) as stored, stored.reads() as opened:
        versions = opened.plans.versions(name)
        names = {one.name for one in opened.plans.versions()}
    if not versions:
        raise CommandRefused(f"no plan {name!r}{meant(name, names)}; see: pertoken plan list")
    found = next((one for one in versions if one.version == version), None)
    if version is None:
        found = PlanBook(versions, ()).version_at(name, now_us()) or versions[0]
    if found is None:
        known = ", ".join(str(one.version) for one in versions)
        raise CommandRefused(f"plan {name!r} has no version {version}; it has: {known}")
    return found


def version_fields(version: "PlanVersion") -> dict[str, Any]:
    """Return a version of a plan as commands print it, without its content."""
    return {
        "plan": version.name, "version": version.version, "currency": version.currency,
        "from": format_time(version.from_us), "applied_at": format_time(version.applied_at_us),
    }  # fmt: skip


def subscription_fields(made: "Subscription") -> dict[str, Any]:
    """Return a subscription as commands print it."""
    return {"customer": made.customer, "plan": made.plan, "from": format_time(made.from_us)}


def load_plan(file: Path) -> "Plan":
    """Return the plan in a file; end the command with the line and the reason if it is none."""
    return load_plan_file(file).plan


def load_plan_file(file: Path) -> "PlanFile":
    """Return the plan in a file with its text; end the command with the line and the reason if it is none."""
    from pertoken.catalogs.plan_files import NotAPlan, read_plan_file

    try:
        with file.open("rb") as source:
            content = source.read(PLAN_BYTES_MAX + 1)
        if len(content) > PLAN_BYTES_MAX:
            raise CommandRefused(f"{file}: a plan has at most {PLAN_BYTES_MAX:,} bytes")
        return read_plan_file(content)
    except NotAPlan as error:
        raise CommandRefused(f"{file}: {error}") from error
    except OSError as error:
        raise CommandRefused(f"cannot read {file}: {error.strerror or error}") from error


def _read(file: Path, plan: "Plan", asking: "Asking", book: "PriceBook | None") -> "Billed":
    from pertoken.cli.ingest_notes import Notes
    from pertoken.cli.usage_logs import open_log, read_log, read_so_far
    from pertoken.services.billing.given import bill_given

    notes = Notes(now_us())
    with open_log(file) as log, Progress(f"reading {file.name}", file.stat().st_size) as reading:
        records = reading.over(read_log("events", log, file.name, {}, notes), lambda: read_so_far(log))
        return bill_given(records, plan, asking, book, now_us())


def _recorded(db: str | None, plan: "Plan", asking: "Asking") -> "Billed":
    from pertoken.core.periods import Window, bounds
    from pertoken.services.billing.recorded import bill_recorded

    at_us = now_us()
    end_us = at_us + 1 if asking.to_us is None else asking.to_us
    start_us = bounds(Window.MONTH, end_us - 1, asking.zone)[0] if asking.from_us is None else asking.from_us
    if start_us >= end_us:
        raise click.UsageError("--from must be before now, or before --to")
    with archive(db) as found:
        return bill_recorded(found, plan, asking._replace(from_us=start_us, to_us=end_us))


def _show(billed: "Billed", plan: "Plan", *, as_json: bool) -> None:
    periods = [_document(period, plan) for period in billed.periods]
    total = format_amount(sum(period.bill.total_picos for period in billed.periods), plan.currency)
    if as_json:
        lines = [line for period in periods for line in period["lines"]]
        events = sum(period.events for period in billed.periods)
        shown = {"plan": plan.name, "version": plan.version, "currency": plan.currency, "lines": lines, "total": total}
        print_json(
            {
                **shown,
                "events": events,
                "duplicates": billed.duplicates,
                "provisional": billed.provisional,
                "periods": periods,
            }
        )
    else:
        for period in periods:
            title = f"{plan.name}, version {plan.version}: {_days(period)}, {counted(period['events'], 'event')}"
            print_table(title, COLUMNS, period["lines"], total={"description": "total", "amount": period["total"]})
        if len(periods) != 1:
            echo(f"{counted(len(periods), 'period')}, {total} {plan.currency} in all")
        if billed.duplicates:
            echo(f"{counted(billed.duplicates, 'duplicate')} left out", err=True)
    if billed.provisional:
        what = counted(billed.provisional, "event")
        echo(f"{what} have a provisional cost; see: pertoken rerate", err=True)
    if billed.before:
        what = counted(billed.before, "event")
        echo(f"{what} occurred before this version of the plan; they are charged as if it had been in force", err=True)


def _days(period: dict[str, Any]) -> str:
    """Return a period for people: its days in UTC, with times where it does not begin or end with a day."""
    first, end = period["from"], period["to"]
    midnight = "T00:00:00Z"
    if first.endswith(midnight) and end.endswith(midnight):
        first, end = first.removesuffix(midnight), end.removesuffix(midnight)
    return f"{first} to {end}"


def _document(period: "PeriodBill", plan: "Plan") -> dict[str, Any]:
    span = {"from": format_time(period.start_us), "to": format_time(period.end_us)}
    lines = [
        {
            "charge": line.charge,
            "description": line.description,
            "quantity": decimal_text(line.quantity),
            "unit_amount": decimal_text(line.unit_amount),
            "amount": format_amount(line.amount_picos, plan.currency),
            **span,
        }
        for line in period.bill.lines
    ]
    total = format_amount(period.bill.total_picos, plan.currency)
    return {**span, "events": period.events, "lines": lines, "total": total}
