"""`pertoken rerate`: rates recorded events again, and corrects those with a wrong cost."""

from typing import TYPE_CHECKING

import click

from pertoken.cli.near_names import say_near_values
from pertoken.cli.noting import note
from pertoken.cli.output import echo
from pertoken.cli.progress import Progress
from pertoken.cli.session import CommandRefused, database, db_option, json_option, now_us, print_json, span
from pertoken.cli.tables import print_table
from pertoken.core.access import Action

if TYPE_CHECKING:
    from pertoken.core.corrections import Rerating
    from pertoken.services.rerate import Selection
    from pertoken.wiring.installation import Installation

COLUMNS = {
    "provider": "provider",
    "model": "model",
    "events": "events",
    "corrected": "corrected",
    "before": "cost before",
    "after": "cost after",
    "change": "change",
    "unpriced": "still unpriced",
}
BATCH = 1_000  # corrections in one transaction


@click.command()
@click.option("--from", "from_", metavar="TIME", required=True, help="Events from this time on.")
@click.option("--to", metavar="TIME", help="Events before this time. [now]")
@click.option("--provider")
@click.option("--model", help="The requested or the served model.")
@click.option("--dry-run", is_flag=True, help="Only print what would be corrected.")
@db_option
@json_option
def rerate(  # noqa: PLR0917 - click passes each option by name
    from_: str, to: str | None, provider: str | None, model: str | None, dry_run: bool, db: str | None, as_json: bool
) -> None:
    """Rate recorded events again at the prices that were in force when they occurred, as the price book knows them now.

    An event whose price was unknown or wrong gets a correction: a new event and entry for the difference. The original
    stays as it is; `pertoken explain` shows both.
    """
    from pertoken.services.rerate import Selection, outcome_rows
    from pertoken.services.rerate import rerate as rate_again
    from pertoken.wiring.prices import read_price_book
    from pertoken.wiring.pricing import KnownPlans, make_pricing

    at_us = now_us()
    selection = Selection(*span(from_, to, ("--from", "--to"), (0, at_us)), provider, model)
    with database(db) as opened, Progress("rating events again") as rating:
        book, pricing = read_price_book(opened), make_pricing(KnownPlans(opened))
        with opened.archive() as archive:
            outcomes = list(rating.over(rate_again(archive, book, selection, at_us, pricing)))
            if not outcomes:
                named = {"provider": provider, "model": model}
                with rating.aside():
                    say_near_values(archive, {name: value for name, value in named.items() if value is not None})
        made = sum(len(one.corrections) for one in outcomes)
        if made and not dry_run:
            rating.begin("writing corrections", made)
            _note(opened, selection, {"events": len(outcomes), "corrections": made})
            made = _correct(opened, outcomes, rating)
    rows = outcome_rows(iter(outcomes))
    if as_json:
        print_json({"dry_run": dry_run, "corrections": made, "rows": rows})
        return
    changed = [row for row in rows if row["corrected"] or row["unpriced"]]
    if changed:
        print_table("rated again", COLUMNS, changed)
    verb = "would be made" if dry_run else "made"
    echo(f"{len(outcomes):,} events rated again, {made:,} corrections {verb}")


def _note(opened: "Installation", selection: "Selection", after: dict[str, int]) -> None:
    """Write down what is to be corrected: this and the corrections cannot be one transaction."""
    from pertoken.core.periods import format_time

    since, until = format_time(selection.since_us), format_time(selection.until_us)
    before = {"since": since, "until": until, "provider": selection.provider, "model": selection.model}
    with opened.changes() as changing:
        note(changing, Action.PRICES_WRITE, "/api/v1/reratings", before, after)


def _correct(opened: "Installation", outcomes: "list[Rerating]", rating: Progress) -> int:
    """Record the corrections; return how many were made."""
    from pertoken.services.rerate import Correcting, NotCorrected
    from pertoken.wiring.bookkeeper import make_bookkeeper

    correcting = Correcting(outcomes)
    books = make_bookkeeper(opened)
    try:
        for recorded in correcting.record(books, BATCH):
            rating.add(recorded)
        correcting.check()
    except NotCorrected as error:
        raise CommandRefused(str(error)) from error
    finally:
        books.close()
    return correcting.made
