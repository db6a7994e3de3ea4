"""`pertoken archive`: moves old months of events to Parquet files, and back."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.output import echo
from pertoken.cli.progress import Progress
from pertoken.cli.session import (
    CommandRefused,
    database,
    db_option,
    folder_errors,
    json_option,
    load_settings,
    now_us,
    open_folder,
    parse_time,
    print_json,
)

if TYPE_CHECKING:
    from pertoken.services.archiving import MonthMoved

REST_S = 0.01  # between two transactions


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--before", metavar="MONTH", help="Months before this one: 2026-09, or a date. The last two stay.")
@click.option("--to", "folder", metavar="DIR", help="Folder for the files. [beside the database]")
@db_option
@json_option
@click.pass_context
def archive(context: click.Context, before: str | None, folder: str | None, db: str | None, as_json: bool) -> None:
    """Move old months of events from the database to Parquet files.

    A month's events are removed only when its file is on disk and was read back. Reports, budgets and balances
    do not change. If it is interrupted, run it again.
    """
    if context.invoked_subcommand is not None:
        if before is not None or folder is not None or db is not None or as_json:
            raise click.UsageError(
                f"options go after the subcommand: pertoken archive {context.invoked_subcommand} ..."
            )
        return
    if before is None:
        raise click.UsageError("--before is missing, such as --before 2026-09")
    from pertoken.services import archiving
    from pertoken.wiring.months import make_months
    from pertoken.wiring.paths import archive_folder

    before_us = _month(before, "--before")
    files = open_folder(folder or str(archive_folder(load_settings(db))))
    with database(db) as opened, folder_errors(), files.locked(make=True), Progress("archiving events") as moving:
        moved = archiving.archive(make_months(opened), files, before_us, now_us(), _resting(moving))
        done = _say_each(moved, moving, as_json=as_json, verb="archived")
    if as_json:
        print_json({"folder": files.place, "archived": [_fields(one) for one in done]})
    elif done:
        echo(f"in {files.place}; keep a copy, and see: pertoken archive verify {files.place}")
    else:
        echo(f"no events before {before} are left in the database")


@archive.command()
@click.argument("folder", metavar="DIR")
@json_option
def verify(folder: str, as_json: bool) -> None:
    """Check every file of an archive: hash, number and cost of events; exit with 1 if there are faults."""
    from pertoken.services import archiving

    with folder_errors(), Progress("checking the files"):
        files, faults = archiving.check(open_folder(folder))
    if not files:
        raise CommandRefused(f"no archive in {folder}: manifest.json is missing or empty")
    if as_json:
        listed = [archiving.file_fields(file) for file in files]
        print_json({"ok": not faults, "files": listed, "faults": faults})
    else:
        echo(f"checked {len(files):,} files, {sum(file.events for file in files):,} events")
        for fault in faults:
            echo(f"FAULT {fault['file']}: {fault['fault']}")
        echo("no fault" if not faults else f"{len(faults)} faults")
    if faults:
        raise SystemExit(1)


@archive.command("import")
@click.argument("folder", metavar="DIR")
@click.option("--month", metavar="MONTH", help="Only this month: 2026-09.")
@db_option
@json_option
def import_(folder: str, month: str | None, db: str | None, as_json: bool) -> None:
    """Bring archived events back into this database or another one, each event once."""
    from pertoken.services import archiving
    from pertoken.wiring.months import make_months

    month_us = None if month is None else _month(month, "--month")
    files = open_folder(folder)
    with database(db) as opened, folder_errors(), files.locked(), Progress("bringing events back") as moving:
        moving.total = sum(file.events for file in files.files() if month_us in (None, file.month_us))
        moved = archiving.bring_back(make_months(opened), files, month_us, _resting(moving))
        done = _say_each(moved, moving, as_json=as_json, verb="brought back")
    conflicting = sum(one.conflicting for one in done)
    if as_json:
        print_json({"folder": files.place, "imported": [_fields(one) for one in done]})
    if conflicting:
        raise CommandRefused(f"{conflicting:,} events are in the database with other content; they were not changed")


def _say_each(results: Iterable["MonthMoved"], moving: Progress, *, as_json: bool, verb: str) -> list["MonthMoved"]:
    """Return all results; for people, print each one at once, because a month takes time."""
    done = []
    for one in results:
        done.append(one)
        moving.done = sum(each.file.events for each in done)
        if not as_json:
            known = f", {one.known:,} were there" if one.known else ""
            with moving.aside():
                echo(f"{one.file.name}: {one.moved:,} events {verb}{known}")
    return done


def _fields(one: "MonthMoved") -> dict[str, Any]:
    from pertoken.services.archiving import file_fields

    return {**file_fields(one.file), "moved": one.moved, "known": one.known, "conflicting": one.conflicting}


def _month(text: str, option: str) -> int:
    """Return the start of the month (UTC) of "2026-09", or of a date or time in it."""
    from pertoken.core.periods import Window, bounds

    at_us = parse_time(f"{text}-01" if len(text) == len("2026-09") else text, "UTC", option)
    return bounds(Window.MONTH, at_us, "UTC")[0]


def _resting(moving: Progress) -> Callable[[], None]:
    """Return a function to call between two transactions; it pauses, so that other writers get their turn."""
    from pertoken.services.archiving import CHUNK

    def rest() -> None:
        moving.add(CHUNK)
        time.sleep(REST_S)

    return rest
