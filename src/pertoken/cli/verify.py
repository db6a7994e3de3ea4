"""`pertoken verify`: recomputes the books and reports differences."""

import click

from pertoken.cli.output import echo
from pertoken.cli.progress import Progress
from pertoken.cli.session import archive, db_option, folder_errors, json_option, now_us, open_folder, print_json


@click.command()
@click.option(
    "--archive",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Also use the archived events in this folder.",
)
@db_option
@json_option
def verify(folder: str | None, db: str | None, as_json: bool) -> None:
    """Recompute every balance, budget window and roll-up from events; exit with 1 if there are differences."""
    from pertoken.services.verify import verify as verify_books

    with archive(db) as stored, folder_errors(), Progress("checking the database") as checking:
        removed = sum(one.removed for one in stored.archived()) if folder is None else 0
        events = max(0, stored.last_number() - removed) or None  # approximate: some numbers may belong to no event
        steps = {"events": ("checking events", events), "postings": ("checking postings", None)}
        files = None if folder is None else open_folder(folder)
        verdict = verify_books(stored, now_us(), files, lambda what: checking.see(*steps[what]))
    if as_json:
        print_json({"ok": verdict.ok, "checked": verdict.checked, "differences": verdict.differences})
    else:
        counts = (f"{count:,} {name.replace('_', ' ')}" for name, count in verdict.checked.items())
        echo(f"checked {', '.join(counts)}")
        for difference in verdict.differences:
            echo(f"DIFFERENCE {difference}")
        echo("no difference" if verdict.ok else f"{len(verdict.differences)} differences")
    if not verdict.ok:
        raise SystemExit(1)
