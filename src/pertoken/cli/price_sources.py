"""`pertoken price import` and `pertoken price diff`: import prices from their sources, and show what would change."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.noting import note
from pertoken.cli.output import echo
from pertoken.cli.progress import Progress
from pertoken.cli.session import (
    CommandRefused,
    database,
    db_option,
    json_option,
    now_us,
    print_json,
    span,
)
from pertoken.cli.tables import print_table
from pertoken.core.access import Action

if TYPE_CHECKING:
    from pertoken.core.price_book import PriceBook
    from pertoken.core.prices import PriceRow
    from pertoken.services.catalog import Merge
    from pertoken.wiring.installation import Installation

SOURCES = ["genai", "history", "rules", "litellm", "contract"]

DIFFERENCE_COLUMNS = {
    "provider": "provider",
    "model": "model",
    "unit": "unit",
    "when": "when",
    "before": "before",
    "after": "after",
    "per": "per",
    "percent": "%",
}
EFFECT_COLUMNS = {
    "provider": "provider",
    "model": "model",
    "calls": "calls",
    "before": "cost before",
    "after": "cost after",
    "change": "change",
    "unpriced_before": "unpriced before",
    "unpriced_after": "unpriced after",
}
DIFFERENCES_SHOWN = 40
FILE_BYTES_MAX = 64 * 1024 * 1024  # the most bytes of a price list; LiteLLM's has 2 MB


@click.command("import")
@click.argument("source", type=click.Choice(SOURCES))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option("--dry-run", is_flag=True, help="Only print what would change, in prices and on last month's events.")
@db_option
@json_option
def import_(source: str, file: Path | None, dry_run: bool, db: str | None, as_json: bool) -> None:
    """Import prices. Past charges do not change. litellm and contract need a FILE."""
    from pertoken.wiring.prices import preview_import

    at_us = now_us()
    with Progress(f"importing prices from {source}"):
        offered = _read_source(source, file, at_us)
        with database(db) as opened:
            if dry_run:
                change, before, after = preview_import(opened, offered, at_us)
                compared = _compare(opened, before, None, after, None, at_us)
            else:
                change, compared = _bring_in(opened, source, offered, at_us), None
    counts = _counts(change)
    if as_json:
        print_json({"source": source, **counts, **(compared or {})})
        return
    if compared is not None:
        _print_comparison(compared, "now", "after the import")
    echo(("would be: " if dry_run else "") + ", ".join(f"{count:,} {name}" for name, count in counts.items()))


def _bring_in(opened: "Installation", source: str, offered: "list[PriceRow]", at_us: int) -> "Merge":
    from pertoken.services.catalog import bring_in

    with opened.changes() as changing:
        change = bring_in(changing.administration, offered, at_us)
        if change.added or change.superseded:
            note(changing, Action.PRICES_WRITE, "/api/v1/prices", None, {"source": source, **_counts(change)})
    return change


def _counts(change: "Merge") -> dict[str, int]:
    return {"added": len(change.added), "superseded": len(change.superseded), "unchanged": change.unchanged}


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--since", metavar="TIME", help="Compare on events from this time on. [30 days ago]")
@click.option("--until", metavar="TIME", help="Compare on events before this time. [now]")
@db_option
@json_option
def diff(  # noqa: PLR0917 - click passes each option by name
    before: str, after: str, since: str | None, until: str | None, db: str | None, as_json: bool
) -> None:
    """Compare two price books or dates: the differences, and what they are worth on last month's events.

    BEFORE and AFTER are: a TIME (the book's prices at that time), book, shipped, genai, history, rules,
    litellm:FILE, contract:FILE.
    """
    at_us = now_us()
    with database(db) as opened:
        sides = [_side(name, opened, at_us) for name in (before, after)]
        (old, old_at), (new, new_at) = sides
        compared = _compare(opened, old, old_at, new, new_at, at_us, since, until)
    if as_json:
        print_json({"before": before, "after": after, **compared})
    else:
        _print_comparison(compared, before, after)


def _read_source(source: str, file: Path | None, at_us: int) -> "list[PriceRow]":
    """Return the rows of a source. Ends the command if its file is missing or invalid."""
    from pertoken.catalogs import contract, genai, litellm, rules
    from pertoken.catalogs import history as points

    if source in ("litellm", "contract"):
        if file is None:
            example = "model_prices_and_context_window.json" if source == "litellm" else "contract.yaml"
            raise click.UsageError(f"{source} needs the file: pertoken price import {source} {example}")
        try:
            content = _content(file)
            return litellm.read(content, at_us) if source == "litellm" else contract.read(content, at_us)
        except (litellm.NotAPriceList, contract.NotAContract) as error:
            raise CommandRefused(f"{file}: {error}") from error
        except OSError as error:
            raise CommandRefused(f"cannot read {file}: {error.strerror}") from error
    if source == "genai":
        return genai.read(at_us)
    return points.read(at_us) if source == "history" else rules.read(at_us)


def _content(file: Path) -> bytes:
    """Return a file's bytes. Raises OSError; ends the command if the file is too large for a price list."""
    with file.open("rb") as opened:
        content = opened.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise CommandRefused(f"{file} is too large: a price list may have at most {FILE_BYTES_MAX:,} bytes")
    return content


def _side(name: str, opened: "Installation", at_us: int) -> "tuple[PriceBook, int | None]":
    """Return one side of a comparison: a book, and the instant of its prices."""
    from pertoken.core.periods import NotATime
    from pertoken.core.periods import parse_time as read_time
    from pertoken.core.price_book import PriceBook
    from pertoken.wiring.prices import read_price_book, shipped_prices
    from pertoken.wiring.sellers import sellers

    kind, _, path = name.partition(":")
    if name == "book":
        return read_price_book(opened), None
    if name == "shipped":
        return PriceBook(shipped_prices(at_us), sellers(opened.settings)), None
    if kind in SOURCES:
        return PriceBook(_read_source(kind, Path(path) if path else None, at_us), sellers(opened.settings)), None
    try:
        return read_price_book(opened), read_time(name)
    except NotATime as error:
        known = ", ".join(["a time", "book", "shipped", *SOURCES])
        raise click.BadParameter(f"{name!r} must be one of {known}") from error


def _compare(  # noqa: PLR0917 - two sides and a span
    opened: "Installation",
    before: "PriceBook",
    before_at_us: int | None,
    after: "PriceBook",
    after_at_us: int | None,
    at_us: int,
    since: str | None = None,
    until: str | None = None,
) -> dict[str, Any]:
    """Return the differences between two sides, and their effect on the events of a period."""
    from pertoken.core.periods import DAY_US
    from pertoken.services import price_diff

    since_us, until_us = span(since, until, ("--since", "--until"), (at_us - 30 * DAY_US, at_us))
    old, new = price_diff.Side(before, before_at_us), price_diff.Side(after, after_at_us)
    found = price_diff.differences(old, new, at_us)
    with opened.archive() as stored:
        effects = price_diff.effects(old, new, stored.events_by_time(since_us, until_us))
    return {
        "differences": [price_diff.difference_fields(one) for one in found],
        "effects": [price_diff.effect_fields(one) for one in effects],
    }


def _print_comparison(compared: dict[str, Any], before: str, after: str) -> None:
    rows = [
        {
            **row,
            "when": conditions_text(row["conditions"]),
            "before": _with_terms(row["before"], row["terms_before"]),
            "after": _with_terms(row["after"], row["terms_after"]),
        }
        for row in compared["differences"]
    ]
    if rows:
        more = f"{len(rows) - DIFFERENCES_SHOWN:,} more, see --json" if len(rows) > DIFFERENCES_SHOWN else ""
        title = f"{len(rows):,} prices differ between {before} and {after}"
        print_table(title, DIFFERENCE_COLUMNS, rows[:DIFFERENCES_SHOWN], caption=more)
    else:
        echo(f"no price differs between {before} and {after}")
    effects = [
        row for row in compared["effects"] if row["change"] != "0" or row["unpriced_before"] != row["unpriced_after"]
    ]
    if effects:
        print_table("on the events compared", EFFECT_COLUMNS, effects)
    else:
        echo(f"no cost changes on the {sum(row['calls'] for row in compared['effects']):,} events compared")


def _with_terms(amount: str | None, terms: str | None) -> str | None:
    return amount if terms is None else f"{amount}, {terms}"


def conditions_text(conditions: dict[str, Any]) -> str:
    """Return conditions as text for a table."""
    return ", ".join(f"{name} {value}" for name, value in conditions.items())
