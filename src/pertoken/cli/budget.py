"""`pertoken budget`: limits that hold."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from pertoken.cli.key import find
from pertoken.cli.session import Refused, administration, archive, db_option, json_option, now_us, pairs, print_json
from pertoken.cli.tables import print_table, say_empty

AXES = ["money", "tokens", "requests", "concurrent"]
WINDOWS = ["minute", "hour", "day", "week", "month", "total"]
BAR = 5  # blocks of a full bar
HOLDS_SHOWN = 5
STEPS_HELP = "What is tried first, in this order: cap the output, cheaper model, queue; or refuse."
COLUMNS = {
    "name": "budget",
    "unit": "unit",
    "limit": "limit",
    "spent": "spent",
    "held": "held",
    "remaining": "remaining",
    "used": "used",
    "until": "until",
    "mode": "mode",
}


@click.group()
def budget() -> None:
    """Set budgets and see how they stand."""


@budget.command("set")
@click.argument("name")
@click.option("--limit", required=True, help="In the currency for money, else a count.")
@click.option("--axis", type=click.Choice(AXES), default="money", show_default=True)
@click.option("--window", type=click.Choice(WINDOWS), default="month", show_default=True)
@click.option("--scope", multiple=True, metavar="DIMENSION=VALUE", help="Which calls count: team=growth; may repeat.")
@click.option("--each", metavar="DIMENSION", help="One such limit for every value of a dimension, such as customer.")
@click.option("--mode", type=click.Choice(["hard", "soft"]), default="hard", show_default=True)
@click.option("--before-refusal", default="cap,queue", show_default=True, metavar="STEPS", help=STEPS_HELP)
@click.option("--warn-at", type=click.IntRange(1, 100), metavar="PERCENT", help="From there on each answer says so.")
@click.option("--tz", "zone", default="UTC", show_default=True, help="Whose calendar the window follows.")
@db_option
@json_option
def set_(  # noqa: PLR0917 - click passes each option by name
    name: str,
    limit: str,
    axis: str,
    window: str,
    scope: tuple[str, ...],
    each: str | None,
    mode: str,
    before_refusal: str,
    warn_at: int | None,
    zone: str,
    db: str | None,
    as_json: bool,
) -> None:
    """Set a budget, or change the one of this name. It counts from its current window's start."""
    from pertoken.services.budgets import BadBudget, Wish, set_budget  # noqa: PLC0415 - keeps --help fast
    from pertoken.wiring import SystemClock  # noqa: PLC0415

    chosen = pairs(scope, "--scope")
    with administration(db) as admin:
        if "key" in chosen:
            found = find(admin, chosen["key"])
            if found is None:
                raise Refused(f"no key {chosen['key']!r}; see: pertoken key list")
            chosen["key"] = found.key_id
        try:
            wish = Wish(
                name, limit, axis=axis, window=window, scope=chosen, each=each, mode=mode, zone=zone,
                steps=before_refusal, warn_percent=warn_at,
            )  # fmt: skip
            made = set_budget(admin, SystemClock(), wish)
        except BadBudget as error:
            raise Refused(str(error)) from error
    if as_json:
        said = {"limit": limit, "axis": axis, "window": window, "scope": chosen}
        print_json({"id": made.budget_id, "name": made.name, **said})
    else:
        what = f"{limit} {made.currency if axis == 'money' else axis}"
        of_each = f" for each {each}" if each else ""
        click.echo(f"budget {name}: {what} {per(window)}{of_each}, {mode}; see: pertoken budget status")


@budget.command()
@db_option
@json_option
def status(db: str | None, as_json: bool) -> None:
    """Show every budget in its current window: spent, held, remaining, and the open holds behind `held`."""
    from pertoken.services import budgets  # noqa: PLC0415 - keeps --help fast

    with archive(db) as stored:
        standing = budgets.status(stored, now_us())
    if as_json:
        print_json(standing)
        return
    rows = [_row(row) for row in standing["budgets"]]
    if not rows:
        say_empty("no budgets yet", "pertoken budget set monthly --limit 100 --window month")
        return
    print_table("budgets in their current windows", COLUMNS, rows)
    for row in standing["budgets"]:
        if row["uncounted"]:
            what = f"{row['uncounted']:,} calls whose cost it cannot count"
            click.echo(f"  {row['name']}: {what}; see: pertoken usage --by model, pertoken price add, pertoken rerate")
        for hold in row["open_holds"][:HOLDS_SHOWN]:
            what = f"{hold['held']} {hold['currency']} held by {hold['call_id']} ({hold['model']})"
            click.echo(f"  {row['name']}: {what} since {hold['opened_at']}")
        more = len(row["open_holds"]) - HOLDS_SHOWN
        if more > 0:
            click.echo(f"  {row['name']}: {more:,} more open holds, see: pertoken budget status --json")


@budget.command()
@click.argument("name")
@db_option
@json_option
def remove(name: str, db: str | None, as_json: bool) -> None:
    """Take a budget out of force. What it counted stays on record."""
    from pertoken.services.budgets import BadBudget, choose_budget  # noqa: PLC0415 - keeps --help fast

    with administration(db) as admin:
        try:
            found = choose_budget(admin.budgets(), name)
        except BadBudget as error:
            raise Refused(str(error)) from error
        if found is None:
            raise Refused(f"no budget {name!r}; see: pertoken budget status")
        admin.remove_budget(found.budget_id, now_us())
    if as_json:
        print_json({"name": found.name, "removed": True})
    else:
        click.echo(f"removed {found.name}")


def per(window: str) -> str:
    """Return how people say a window after an amount: 5 USD per day."""
    return "in total" if window == "total" else f"per {window}"


def _row(row: dict[str, Any]) -> dict[str, Any]:
    limit = Decimal(row["limit"])
    percent = int((Decimal(row["spent"]) + Decimal(row["held"])) * 100 / limit) if limit else 100
    name = f"{row['name']}: {row['value']}" if row["each"] else row["name"]
    unit = row["currency"] or row["axis"]
    used = f"{_bar(percent)} {percent:3}%"
    return {**row, "name": name, "unit": unit, "used": used, "until": _until(row["window_end"], row["timezone"])}


def _until(end: str | None, zone: str) -> str:
    """Say when a window ends, on the clock of the budget's owner."""
    from pertoken.core.periods import load_zone  # noqa: PLC0415 - keeps --help fast

    if end is None:
        return "never ends"
    moment = datetime.fromisoformat(end).astimezone(load_zone(zone))
    text = f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return text if zone == "UTC" else f"{text} {zone}"


def _bar(percent: int) -> str:
    full = min(BAR, percent * BAR // 100)
    return "█" * full + "░" * (BAR - full)
