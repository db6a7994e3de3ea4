"""`pertoken latency`: reports how long calls took."""

from collections.abc import Mapping
from typing import Any

import click

from pertoken.cli.output import say_empty
from pertoken.cli.session import archive, print_json
from pertoken.cli.tables import print_table
from pertoken.cli.usage import chosen_range, range_options, read_dimensions, span_text

COLUMNS = {
    "calls": "calls",
    "first_p50": "first byte p50",
    "first_p95": "p95",
    "first_p99": "p99",
    "total_p50": "whole call p50",
    "total_p95": "p95 ",
    "total_p99": "p99 ",
}


@click.command()
@click.option("--by", default="provider,model", show_default=True, help="Dimensions; see: pertoken usage --help.")
@range_options
def latency(  # noqa: PLR0917 - click passes each option by name
    by: str, since: str | None, until: str | None, zone: str | None, db: str | None, as_json: bool
) -> None:
    """Show how long calls took until their first byte and as a whole: p50, p95 and p99, in milliseconds."""
    from pertoken.services.latency import latency as times

    dimensions = read_dimensions(by)
    chosen, start_us, end_us = chosen_range(since, until, zone, db, 7, dimensions)
    with archive(db) as stored:
        report = times(stored, start_us, end_us, dimensions, chosen, {})
    if as_json:
        print_json(report)
    elif not report["rows"]:
        say_empty("no calls in this time", "pertoken usage --by day, for days with calls")
    else:
        rows = [{**{name: row[name] or "-" for name in dimensions}, **_cells(row)} for row in report["rows"]]
        columns = {**{name: name for name in dimensions}, **COLUMNS}
        caption = f"milliseconds, within {report['error_percent']} %; {span_text(start_us, end_us, chosen)}"
        print_table("how long calls took", columns, rows, total=_cells(report["total"]), caption=caption)


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    cells = {"calls": row["total"]["calls"]}
    for kind, times in (("first", row["first_byte"]), ("total", row["total"])):
        cells.update({f"{kind}_{name}": times[f"{name}_ms"] for name in ("p50", "p95", "p99")})
    return cells
