"""`pertoken ingest`: imports usage that others report."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pertoken.cli.output import echo
from pertoken.cli.progress import Progress
from pertoken.cli.session import CommandRefused, database, db_option, json_option, now_us, print_json

if TYPE_CHECKING:
    from pertoken.cli.ingest_notes import Notes
    from pertoken.core.customers import Customer
    from pertoken.services.ingest import Tally
    from pertoken.wiring.installation import Installation


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--format", "form", type=click.Choice(["events", "azure-trace"]), default="events", show_default=True)
@click.option("--provider", help="Used if a line names none.")
@click.option("--model", help="Used if a line names none.")
@click.option("--customer", help="The customer, if a line names none.")
@click.option("--team", help="Used if a line names none.")
@click.option("--key", help="Id of the key, if a line names none.")
@db_option
@json_option
def ingest(  # noqa: PLR0917 - click passes each option by name
    file: Path,
    form: str,
    provider: str | None,
    model: str | None,
    customer: str | None,
    team: str | None,
    key: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Import the usage in FILE (.gz too). Each event is recorded once: a second run adds nothing."""
    from pertoken.cli.ingest_notes import Notes
    from pertoken.cli.usage_logs import open_log, read_log, read_so_far
    from pertoken.services.customers import reject_customers
    from pertoken.services.ingest import NotAnEvent, check_provider
    from pertoken.services.ingest import ingest as ingest_records
    from pertoken.wiring.bookkeeper import make_bookkeeper
    from pertoken.wiring.customers import make_named_customers
    from pertoken.wiring.pricing import make_pricing

    said = {"provider": provider, "model": model, "customer": customer, "team": team, "key": key}
    notes = Notes(now_us())
    defaults = {name: value for name, value in said.items() if value is not None}
    try:
        with (
            database(db, make=True) as opened,
            open_log(file) as log,
            Progress(f"reading {file.name}", file.stat().st_size) as reading,
        ):
            books = make_bookkeeper(opened)
            if provider is not None:
                check_provider(provider, books.prices)
            records = read_log(form, log, file.name, defaults, notes)
            records = reading.over(records, lambda: read_so_far(log))
            settings = opened.settings
            records = reject_customers(records, lambda named: _find(opened, named), settings.customers.unknown)
            cost_max, pricing = settings.limits.reported_event, make_pricing(lambda: books.directory.plans)
            tally = ingest_records(records, books, now_us(), cost_max, pricing)
            books.close()
            make_named_customers(opened)
    except NotAnEvent as error:  # an option has an unknown name, or the format needs an option that was not given
        raise click.UsageError(str(error)) from error
    notes.add_unpriced(*tally.unpriced)
    _show(tally, notes, as_json=as_json)
    if tally.gave_up:
        lines = len(tally.rejected) + len(tally.conflicting)
        raise CommandRefused(
            f"{file} was not read to its end: {lines:,} lines were not imported; correct them and run this again: "
            "nothing counts twice"
        )
    if tally.rejected or tally.conflicting:
        raise SystemExit(1)


def _find(opened: "Installation", named: Collection[str]) -> "Mapping[str, Customer]":
    """Return those of the customers that exist."""
    with opened.reads() as stored:
        return stored.customers.find(named)


def _show(tally: "Tally", notes: "Notes", *, as_json: bool) -> None:
    """Print the result for the lines."""
    if as_json:
        rejected = [problem._asdict() for problem in tally.rejected]
        print_json(
            {
                "accepted": tally.accepted,
                "duplicate": tally.duplicate,
                "conflicting": len(tally.conflicting),
                "conflicting_lines": list(tally.conflicting),
                "rejected": rejected,
                "gave_up": tally.gave_up,
                "notes": notes.rows(),
            }
        )
    else:
        counts = (
            f"{tally.duplicate:,} duplicate, {len(tally.conflicting):,} conflicting, {len(tally.rejected):,} rejected"
        )
        echo(f"{tally.accepted:,} accepted, {counts}")
        for sentence in notes.sentences():
            echo(sentence, err=True)
        for line in tally.conflicting:
            echo(f"line {line}: conflict: this id exists with other content", err=True)
        for problem in tally.rejected:
            echo(f"line {problem.line}: {problem.code}: {problem.message}", err=True)
