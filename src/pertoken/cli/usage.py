"""`pertoken usage` and its shapes by day, week, month and conversation."""

from typing import Any

import click

from pertoken.cli.session import archive, db_option, json_option, load_settings, now_us, parse_time, print_json
from pertoken.cli.tables import print_table, say_empty

COUNTS = {
    "calls": "calls",
    "input_tokens": "input",
    "cache_read_tokens": "cache read",
    "cache_write_tokens": "cache write",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
    "cost": "cost USD",
}


def _range_options(command: Any) -> Any:
    for option in (
        json_option,
        db_option,
        click.option("--tz", "zone", help="Time zone of days and of plain dates. [UTC]"),
        click.option("--until", metavar="TIME", help="A date (that day included) or a time."),
        click.option("--since", metavar="TIME", help="A date or a time; default: 7 days before today."),
    ):
        command = option(command)
    return command


@click.command()
@click.option(
    "--by", default="model", show_default=True, help="Dimensions, such as model,key,team,customer,tag:x,day,hour."
)
@_range_options
def usage(by: str, since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool) -> None:  # noqa: PLR0917
    """Show who used what and what it cost: by default today and the last 7 days, by model."""
    _report(tuple(part.strip() for part in by.split(",") if part.strip()), since, until, zone, db, as_json=as_json)


@click.command()
@_range_options
def daily(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool) -> None:
    """Show usage by day."""
    _report(("day",), since, until, zone, db, as_json=as_json)


@click.command()
@_range_options
def weekly(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool) -> None:
    """Show usage by week (ISO 8601), the last 8 of them by default."""
    _report(("week",), since, until, zone, db, as_json=as_json, days=56)


@click.command()
@_range_options
def monthly(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool) -> None:
    """Show usage by month, the last 12 of them by default."""
    _report(("month",), since, until, zone, db, as_json=as_json, days=365)


@click.command()
@_range_options
def session(since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool) -> None:
    """Show usage by conversation, the dearest first."""
    from pertoken.services import reports  # noqa: PLC0415 - keeps --help fast

    chosen, start_us, end_us = _range(since, until, zone, db, 7)
    with archive(db) as stored:
        report = reports.sessions(stored, start_us, end_us, chosen)
    if as_json:
        print_json(report)
    elif not report["rows"]:
        say_empty("no conversations in this time", "send the header x-pertoken-conversation with your calls")
    else:
        columns = {"conversation": "conversation", "first": "first", "last": "last", **_counts(report["total"])}
        caption = f"times in UTC, days in {chosen}"
        print_table("usage by conversation", columns, report["rows"], total=report["total"], caption=caption)


def _report(
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    zone: str | None,
    db: str | None,
    *,
    as_json: bool,
    days: int = 7,
) -> None:
    from pertoken.core.reporting import is_report_dimension  # noqa: PLC0415 - keeps --help fast
    from pertoken.services import reports  # noqa: PLC0415

    for dimension in by:
        if not is_report_dimension(dimension):
            known = "model, provider, key, team, customer, user, tag:NAME, hour, day, week, month"
            raise click.BadParameter(f"unknown dimension {dimension!r}; use {known}", param_hint="--by")
    chosen, start_us, end_us = _range(since, until, zone, db, days)
    with archive(db) as stored:
        report = reports.usage(stored, start_us, end_us, by, chosen)
        if "key" in by:
            names = {key.key_id: key.name for key in stored.list_keys()}
            for row in report["rows"]:
                row["key_name"] = names.get(row["key"])
    if as_json:
        print_json(report)
    elif not report["rows"]:
        say_empty("no usage in this time", "pertoken demo, or point OPENAI_BASE_URL at: pertoken serve")
    else:
        columns = {"key_name" if dimension == "key" else dimension: dimension for dimension in by}
        caption = f"{report['since']} to {report['until']}, days in {chosen}"
        unpriced = report["total"]["unpriced_calls"]
        caption += f"; {unpriced} calls are unpriced, see: pertoken price show" if unpriced else ""
        title = f"usage by {', '.join(by)}" if by else "usage"
        print_table(
            title, {**columns, **_counts(report["total"])}, report["rows"], total=report["total"], caption=caption
        )


def _counts(total: dict[str, Any]) -> dict[str, str]:
    """Return the columns that say something: a kind of token that nobody used is left out."""
    always = ("calls", "input_tokens", "output_tokens", "cost")
    return {field: heading for field, heading in COUNTS.items() if field in always or total[field]}


def _range(since: str | None, until: str | None, zone: str | None, db: str | None, days: int) -> tuple[str, int, int]:
    from pertoken.core.periods import Window, bounds  # noqa: PLC0415 - keeps --help fast
    from pertoken.services.reports import default_range  # noqa: PLC0415

    chosen = zone or load_settings(db).timezone
    start_us, end_us = default_range(now_us(), chosen, days)
    if since is not None:
        start_us = parse_time(since, chosen, "--since")
    if until is not None:
        end_us = parse_time(until, chosen, "--until")
        if len(until) == len("2026-11-23"):
            end_us = bounds(Window.DAY, end_us, chosen)[1]
    return chosen, start_us, end_us
