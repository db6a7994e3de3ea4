"""`pertoken price stated`: compares the costs that providers stated with the price book."""

from typing import Any

import click

from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import archive, folder_errors, open_folder, print_json
from pertoken.cli.tables import amount_text, print_table
from pertoken.cli.usage import chosen_range, range_options, span_text

COLUMNS = {
    "provider": "provider",
    "model": "model",
    "calls": "calls",
    "stated": "stated",
    "calls_without_book": "not in the book",
    "book": "price book",
    "difference": "difference",
    "currency": "currency",
}


@click.command()
@click.option(
    "--archive",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Also read the archived events in this folder.",
)
@range_options
def stated(  # noqa: PLR0917 - click passes each option by name
    folder: str | None, since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool
) -> None:
    """Compare the costs that providers stated with the price book, for the same calls.

    Calls without a price in the price book count only in the first sum.
    """
    from pertoken.services.stated import stated_against_book

    chosen, start_us, end_us = chosen_range(since, until, zone, db, 7)
    with archive(db) as stored, folder_errors():
        files = None if folder is None else open_folder(folder)
        report = stated_against_book(stored, start_us, end_us, files)
    if as_json:
        print_json(report)
    elif not report["rows"]:
        say_empty("no call in this time was charged as its provider states", "pertoken provider list")
    else:
        _print(report, span_text(start_us, end_us, chosen))


def _print(report: dict[str, Any], span: str) -> None:
    totals = report["totals"]
    total = {"provider": "total", **totals[0]} if len(totals) == 1 else None
    columns = {field: heading for field, heading in COLUMNS.items() if field != "calls_without_book" or _any(totals)}
    print_table("stated by providers, and the price book", columns, report["rows"], total=total, caption=span)
    for each in totals if total is None else ():
        sums = (amount_text(each["stated"]), each["currency"], amount_text(each["book"]))
        echo("  total {} {}, in the price book {}".format(*sums))


def _any(totals: list[dict[str, Any]]) -> bool:
    return any(one["calls_without_book"] for one in totals)
