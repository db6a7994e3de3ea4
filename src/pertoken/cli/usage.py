"""`pertoken usage`, and the same by day, week, month and conversation."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from pertoken.cli.bars import CostBar
from pertoken.cli.filters import filter_options, find_key, refuse_refused, take_filters
from pertoken.cli.near_names import say_near_values
from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import (
    archive,
    db_option,
    folder_errors,
    json_option,
    load_settings,
    now_us,
    open_folder,
    print_json,
)
from pertoken.cli.tables import counted, print_table
from pertoken.core.money import short_amount

CHART = "chart"  # the name of the column of bars
COUNTS = {
    "calls": "calls",
    "unpriced_calls": "unpriced",
    "uncounted_calls": "not charged",
    "input_tokens": "input",
    "cache_read_tokens": "cache read",
    "cache_write_tokens": "cache write",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
}


def range_options(command: Any) -> Any:
    """Give a command the options of a report over a range of time."""
    for option in (
        json_option,
        db_option,
        click.option("--tz", "zone", help="Time zone of days and of plain dates. [UTC]"),
        click.option("--until", metavar="TIME", help="The same; a day or month is included. [now]"),
        click.option(
            "--since",
            metavar="TIME",
            help="A date, a time, 7d, 24h, yesterday or 2026-11. [7 days before today]",
        ),
    ):
        command = option(command)
    return command


def _report_options(command: Any) -> Any:
    chart = click.option("--chart", is_flag=True, help="Draw each cost as a bar beside the figures.")
    return filter_options(range_options(chart(command)))


@click.command()
@click.option(
    "--by",
    default="model",
    show_default=True,
    help="Dimensions, such as model,key,team,customer,tag:x,day,hour.",
)
@_report_options
def usage(  # noqa: PLR0917 - click passes each option by name
    by: str, since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool, **only: Any
) -> None:
    """Show who used what and what it cost: by default today and the last 7 days, by model."""
    _report(read_dimensions(by), since, until, zone, db, only=only, as_json=as_json)


@click.command()
@_report_options
def daily(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool, **only: Any) -> None:
    """Show usage by day."""
    _report(("day",), since, until, zone, db, only=only, as_json=as_json)


@click.command()
@_report_options
def weekly(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool, **only: Any) -> None:
    """Show usage by week (ISO 8601), by default for the last 8 weeks."""
    _report(("week",), since, until, zone, db, only=only, as_json=as_json, days=56)


@click.command()
@_report_options
def monthly(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool, **only: Any) -> None:
    """Show usage by month, by default for the last 12 months."""
    _report(("month",), since, until, zone, db, only=only, as_json=as_json, days=365)


@click.command()
@range_options
def conversation(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool) -> None:
    """Show usage by conversation, the dearest first."""
    from pertoken.services import reports

    chosen, start_us, end_us = chosen_range(since, until, zone, db, 7)
    with archive(db) as stored:
        report = reports.conversations(stored, start_us, end_us, chosen)
        newest = None if report["rows"] else _newest_day(stored)
    if as_json:
        print_json(report)
    elif not report["rows"]:
        _say_empty("no conversations in this time (they come from the header x-pertoken-conversation)", newest)
    else:
        rows = [{**row, "first": _minute(row["first"]), "last": _minute(row["last"])} for row in report["rows"]]
        columns = {"conversation": "conversation", "first": "first", "last": "last"}
        _print("usage by conversation", columns, rows, report["totals"], "times in UTC", since=_day(start_us))


def read_dimensions(text: str) -> tuple[str, ...]:
    """Return the dimensions that --by names. Exits with 2 if one is unknown."""
    from pertoken.core.reporting import is_report_dimension
    from pertoken.core.texts import meant

    by = tuple(part.strip() for part in text.split(",") if part.strip())
    for dimension in by:
        if not is_report_dimension(dimension):
            known = "model, provider, key, team, customer, user, conversation, tag:NAME, hour, day, week, month"
            hint = meant(dimension, known.split(", ")) or f"; use {known}"
            raise click.BadParameter(f"unknown dimension {dimension!r}{hint}", param_hint="--by")
    return by


def _report(
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    zone: str | None,
    db: str | None,
    *,
    only: Mapping[str, Any],
    as_json: bool,
    days: int = 7,
) -> None:
    from pertoken.services import reports

    chosen, start_us, end_us = chosen_range(since, until, zone, db, days, by)
    where, status, cost_min = take_filters(only)
    if status == "refused":
        refuse_refused()
    if only["chart"] and as_json:
        raise click.UsageError("--chart cannot be combined with --json or --csv")
    with archive(db) as stored, folder_errors():
        part = reports.Part(find_key(stored, where), status, cost_min, lambda one: open_folder(one.folder))
        report = reports.usage(stored, start_us, end_us, by, chosen, part)
        names = {key.key_id: key.name for key in stored.list_keys()} if "key" in by else {}
        newest = None if report["rows"] else _newest_day(stored)
        if not report["rows"]:
            say_near_values(stored, part.where)
    if "key" in by:
        for row in report["rows"]:
            row["key_name"] = names.get(row["key"])
    if as_json:
        print_json(report)
    elif not report["rows"]:
        _say_empty("no usage in this time", newest)
    else:
        rows = [{**row, **{dimension: _value(row, dimension) for dimension in by}} for row in report["rows"]]
        rows = _charted(rows) if only["chart"] else rows
        columns = {dimension: dimension for dimension in by}
        title = f"usage by {', '.join(by)}" if by else "usage"
        _print(title, columns, rows, report["totals"], span_text(start_us, end_us, chosen), since=_day(start_us))


def _print(
    title: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    totals: list[dict[str, Any]],
    caption: str,
    *,
    since: str,
) -> None:
    """Print a report. Money of several currencies is never added up: each has its own total below."""
    # a kind of token without usage has no column
    used = {field for field in COUNTS if field in ("calls", "input_tokens", "output_tokens")}
    used |= {field for field in COUNTS if any(total[field] for total in totals)}
    counts = {field: heading for field, heading in COUNTS.items() if field in used}
    one = totals[0] if len(totals) == 1 else None
    money = {"cost": f"cost {one['currency']}"} if one else {"cost": "cost", "currency": "currency"}
    if any(CHART in row for row in rows):
        money[CHART] = ""
    # if no cost is known at all, the cost is unknown, not zero
    shown = [{**row, "cost": None if _is_unknown(row) else row["cost"]} for row in rows]
    total = {**dict.fromkeys(list(columns)[:1], "total"), **one} if one else None
    unpriced = sum(total["unpriced_calls"] for total in totals)
    if unpriced:
        caption += f"\n  {_say_unpriced(unpriced, sum(total['uncounted_calls'] for total in totals), since)}"
    spared = list(reversed(COUNTS)) if CHART in money else []  # bars need room
    every = {**columns, **counts, **money}
    print_table(title, every, shown, total=total, caption=caption, spared=spared, rounded=("cost",))
    if one is None:
        for each in totals:
            of = f"in {counted(each['calls'], 'call')}" if each["calls"] else "in corrections of calls"
            echo(f"  total {short_amount(Decimal(each['cost']))} {each['currency']} {of}")


def _charted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with a bar for each cost. The largest cost of a currency has the longest bar."""
    largest: dict[str, Decimal] = {}
    for row in rows:
        largest[row["currency"]] = max(largest.get(row["currency"], Decimal(0)), Decimal(row["cost"]))
    return [{**row, CHART: CostBar(Decimal(row["cost"]), largest[row["currency"]])} for row in rows]


def _say_unpriced(unpriced: int, uncharged: int, since: str) -> str:
    """Say how calls without a price are charged, and which two commands correct it."""
    charged = "charged provisionally"
    if uncharged:
        charged = "not charged" if uncharged == unpriced else f"{charged}, {uncharged:,} of them not at all"
    return f"{unpriced:,} unpriced: {charged}; fix: pertoken price add, then pertoken rerate --from {since}"


def _day(at_us: int) -> str:
    """Return the day (UTC) of an instant, in the format of options."""
    from pertoken.core.periods import format_time

    return format_time(at_us)[:10]


def _is_unknown(row: Mapping[str, Any]) -> bool:
    return bool(row["unpriced_calls"] == row["calls"] and row["cost"] == "0")


def chosen_range(  # noqa: PLR0917 - the options of a range
    since: str | None, until: str | None, zone: str | None, db: str | None, days: int, by: Sequence[str] = ()
) -> tuple[str, int, int]:
    """Return the zone, the start and the end of a range, by default today and the `days` days before it."""
    from pertoken.services.reports import BadRange, to_range

    chosen = zone or load_settings(db).timezone
    try:
        return chosen, *to_range(since, until, chosen, now_us(), days, by)
    except BadRange as error:
        option = {"timezone": "--tz"}.get(error.field, f"--{error.field}")
        raise click.BadParameter(str(error), param_hint=option) from error


def _newest_day(stored: Any) -> str | None:
    """Return the day (UTC) of the newest usage, so that an empty report can point to it."""
    newest_us = stored.newest_us()
    return None if newest_us is None else _day(newest_us)


def _say_empty(text: str, newest_day: str | None) -> None:
    if newest_day is None:
        say_empty(text, "pertoken serve, and send calls to it")
    else:
        command = f"pertoken usage --since {newest_day} --until {newest_day}"
        say_empty(f"{text}; the newest usage is from {newest_day}", command)


def span_text(start_us: int, end_us: int, zone: str) -> str:
    """Format a range in its zone; a range of whole days as its first and last day."""
    from pertoken.core.periods import US_PER_SECOND, load_zone

    start, end = (datetime.fromtimestamp(at_us // US_PER_SECOND, load_zone(zone)) for at_us in (start_us, end_us))
    if not (start.hour or start.minute or end.hour or end.minute):
        last = datetime.fromtimestamp(end_us // US_PER_SECOND - 1, load_zone(zone))
        return f"{start:%Y-%m-%d} to {last:%Y-%m-%d}, time zone {zone}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, time zone {zone}"


def _value(row: Mapping[str, Any], dimension: str) -> str:
    """Format a dimension's value for people: a key by its name, a missing value as (none)."""
    if dimension == "hour":  # with the offset, unless it is UTC: when clocks are put back, an hour occurs twice
        moment = datetime.fromisoformat(row["hour"])
        return f"{moment:%Y-%m-%d %H:%M}" + (f" {moment:%z}" if moment.utcoffset() else "")
    value: str = (row["key_name"] if dimension == "key" else None) or row[dimension] or "(none)"
    return value


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")
