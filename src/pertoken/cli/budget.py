"""`pertoken budget`: sets, shows and removes budgets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.key import find
from pertoken.cli.near_names import misspelt
from pertoken.cli.noting import budget_fields, note_budget
from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import (
    CommandRefused,
    archive,
    changes,
    db_option,
    json_option,
    now_us,
    pairs,
    print_json,
)
from pertoken.cli.tables import amount_text, counted, print_table
from pertoken.core.budgets import DEFAULT_AXIS, Axis, Budget
from pertoken.core.periods import Window
from pertoken.core.texts import meant

AXES = [str(axis) for axis in Axis]
WINDOWS = [str(window) for window in Window]
BAR = 5  # characters of a full bar
HOLDS_SHOWN = 5
STEPS_HELP = "What is tried first, in this order: cap the output, cheaper model, queue; or refuse. [cap,queue]"
COLUMNS = {
    "name": "budget",
    "unit": "unit",
    "limit": "limit",
    "spent": "spent",
    "held": "held",
    "remaining": "remaining",
    "used": "used",
    "window": "window",
    "until": "until",
    "scope": "calls",
    "mode": "mode",
}
AMOUNTS = ("limit", "spent", "held", "remaining")
SPARED = ("until", "held", "mode", "unit")  # columns that a narrow terminal leaves out, the first one first


@click.group(cls=CommandGroup)
def budget() -> None:
    """Set, show and remove budgets."""


@budget.command("set")
@click.argument("name")
@click.option("--limit", help="An amount of money, or a count. Required for a new budget.")
@click.option("--axis", type=click.Choice(AXES), help=f"What the budget counts. [{DEFAULT_AXIS}]")
@click.option("--window", type=click.Choice(WINDOWS), help="The period after which counting starts again. [month]")
@click.option("--scope", multiple=True, metavar="DIMENSION=VALUE", help="Calls that count: team=growth; may repeat.")
@click.option("--each", metavar="DIMENSION", help="A separate limit for each value of a dimension, such as customer.")
@click.option("--mode", type=click.Choice(["hard", "soft"]), help="hard refuses calls, soft only counts. [hard]")
@click.option("--before-refusal", metavar="STEPS", help=STEPS_HELP)
@click.option("--warn-at", type=click.IntRange(1, 100), metavar="PERCENT", help="Warn in each answer from here on.")
@click.option("--tz", "zone", help="Time zone of the window. [UTC]")
@db_option
@json_option
def set_(  # noqa: PLR0917 - click passes each option by name
    name: str,
    limit: str | None,
    axis: str | None,
    window: str | None,
    scope: tuple[str, ...],
    each: str | None,
    mode: str | None,
    before_refusal: str | None,
    warn_at: int | None,
    zone: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Create a budget, or change an existing one. It counts from the start of its current window.

    Only the options that you pass are changed. To widen a scope again, remove the budget and create a new one.
    """
    from pertoken.services.budgets import BadBudget, NoLimit, changed, set_budget
    from pertoken.wiring.clock import SystemClock

    chosen = pairs(scope, "--scope")
    with changes(db) as opened:
        admin = opened.administration
        if "key" in chosen:
            found = find(admin, chosen["key"])
            if found is None:
                near = meant(chosen["key"], {one.name for one in admin.list_keys()})
                raise CommandRefused(f"no key {chosen['key']!r}{near or ';'} see: pertoken key list")
            chosen["key"] = found.key_id
        try:
            old = next((one for one in admin.budgets() if one.name == name), None)
            said = {
                "limit": limit, "axis": axis, "window": window, "scope": chosen or None, "each": each, "mode": mode,
                "zone": zone, "steps": before_refusal, "warn_percent": warn_at,
            }  # fmt: skip
            wish = changed(old, name, {field: value for field, value in said.items() if value is not None})
            made = set_budget(admin, SystemClock(), wish)
            note_budget(opened, old, made)
        except NoLimit as error:
            raise click.UsageError(str(error)) from error
        except BadBudget as error:
            raise CommandRefused(str(error)) from error
    for said_of_it in misspelt(db, chosen):
        echo(f"{said_of_it} the budget is set anyway", err=True)
    if as_json:
        print_json(budget_fields(made))
    else:
        echo(f"budget {name}: {_said(made)}; see: pertoken budget status")


@budget.command()
@db_option
@json_option
def status(db: str | None, as_json: bool) -> None:
    """Show every budget in its current window: spent, held, remaining, and its open holds."""
    from pertoken.services import budgets

    with archive(db) as stored:
        standing = budgets.status(stored, now_us(), unused=True)
        keys = {key.key_id: key.name for key in stored.list_keys()}
    if as_json:
        print_json(standing)
        return
    rows = [_row(row, keys) for row in standing["budgets"]]
    if not rows:
        say_empty("no budgets yet", "pertoken budget set monthly --limit 100 --window month")
        return
    print_table("budgets in their current windows", COLUMNS, rows, spared=SPARED, rounded=AMOUNTS)
    _say_uncounted(standing["budgets"])
    for row in standing["budgets"]:
        for hold in row["open_holds"][:HOLDS_SHOWN]:
            what = f"{amount_text(hold['held'])} {hold['currency']} held by {hold['call_id']} ({hold['model']})"
            echo(f"  {row['name']}: {what} since {hold['opened_at']}")
        more = len(row["open_holds"]) - HOLDS_SHOWN
        if more > 0:
            echo(f"  {row['name']}: {counted(more, 'more open hold')}, see: pertoken budget status --json")


def _say_uncounted(rows: Sequence[Mapping[str, Any]]) -> None:
    """Say which budgets do not count some calls, each once; those of the same number of calls together."""
    calls: dict[str, int] = {}
    for row in rows:
        calls[row["name"]] = calls.get(row["name"], 0) + row["uncounted"]
    names: dict[int, list[str]] = {}
    for name, number in calls.items():
        names.setdefault(number, []).append(name)
    for number, same in names.items():
        if number:
            what = f"the cost of {counted(number, 'call')} is not counted: no price, or another currency"
            echo(f"  {', '.join(same)}: {what}; see: pertoken usage --by model")


@budget.command()
@click.argument("name")
@db_option
@json_option
def remove(name: str, db: str | None, as_json: bool) -> None:
    """Remove a budget. Its past counts stay on record."""
    from pertoken.services.budgets import BadBudget, choose_budget

    with changes(db) as opened:
        admin = opened.administration
        try:
            found = choose_budget(admin.budgets(), name)
        except BadBudget as error:
            raise CommandRefused(str(error)) from error
        if found is None:
            near = meant(name, {one.name for one in admin.budgets()})
            raise CommandRefused(f"no budget {name!r}{near or ';'} see: pertoken budget status")
        admin.remove_budget(found.budget_id, now_us())
        note_budget(opened, found, None)
    if as_json:
        print_json({"name": found.name, "removed": True})
    else:
        echo(f"removed {found.name}")


def _said(made: Budget) -> str:
    """Describe a budget in one line."""
    from pertoken.core.axes import currency_in

    fields = budget_fields(made)
    unit = currency_in(made) or made.axis
    scope = ", ".join(f"{name}={value}" for name, value in made.scope) or "all calls"
    of_each = f", for each {made.each}" if made.each else ""
    zone = "" if made.zone == "UTC" else f" ({made.zone})"
    return f"{amount_text(fields['limit'])} {unit} {per(made.window)}{zone} for {scope}{of_each}, {made.mode}"


def per(window: str) -> str:
    """Return the words for a window after an amount: 5 USD per day."""
    return "in total" if window == "total" else f"per {window}"


def _row(row: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a budget's cells; a key in its scope is shown by its name."""
    limit = Decimal(row["limit"])
    percent = int((Decimal(row["spent"]) + Decimal(row["held"])) * 100 / limit) if limit else 100
    name = f"{row['name']}: {row['value']}" if row["value"] else row["name"]
    unit = row["currency"] or row["axis"]
    used = f"{_bar(percent)} {percent:3}%"
    until = _until(row["window_end"], row["timezone"])
    scope = [f"{name}={keys.get(value, value) if name == 'key' else value}" for name, value in row["scope"].items()]
    scope = scope or ["all"]
    scope += [f"each {row['each']}"] if row["each"] else []
    return {**row, "name": name, "unit": unit, "used": used, "until": until, "scope": ", ".join(scope)}


def _until(end: str | None, zone: str) -> str:
    """Say when a window ends, in the budget's time zone."""
    from pertoken.core.periods import load_zone

    if end is None:
        return "never ends"
    moment = datetime.fromisoformat(end).astimezone(load_zone(zone))
    text = f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return text if zone == "UTC" else f"{text} {zone}"


def _bar(percent: int) -> str:
    full = min(BAR, percent * BAR // 100)
    return "█" * full + "░" * (BAR - full)
