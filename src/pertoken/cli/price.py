"""`pertoken price`: what a model costs, when, and who says so."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.session import (
    Refused,
    database,
    db_option,
    json_option,
    load_settings,
    now_us,
    pairs,
    parse_time,
    print_json,
)
from pertoken.cli.tables import print_table

if TYPE_CHECKING:
    from pertoken.core.price_book import PriceBook
    from pertoken.core.prices import PriceRow
    from pertoken.settings import Settings
    from pertoken.store.database import Database

COLUMNS = {
    "provider": "provider",
    "unit": "unit",
    "per_million": "per million",
    "valid_from": "from",
    "valid_to": "until",
    "when": "when",
    "source": "source",
}


SOURCES = ["genai", "history", "rules", "litellm", "contract"]

DIFFERENCE_COLUMNS = {
    "provider": "provider",
    "model": "model",
    "unit": "unit",
    "when": "when",
    "before": "before per million",
    "after": "after per million",
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


@click.group()
def price() -> None:
    """Look into the price book, import and add prices."""


@price.command()
@click.argument("model")
@click.option("--provider", help="Default: every provider whose prices name the model.")
@click.option("--at", metavar="TIME", help="Prices in force then. Default: now.")
@click.option("--believed", metavar="TIME", help="As the book stood then. Default: as it stands now.")
@click.option("--when", multiple=True, metavar="KEY=VALUE", help="service_tier, batch, speed, region, or another key.")
@db_option
@json_option
def show(  # noqa: PLR0917 - click passes each option by name
    model: str,
    provider: str | None,
    at: str | None,
    believed: str | None,
    when: tuple[str, ...],
    db: str | None,
    as_json: bool,
) -> None:
    """Show the prices in force for MODEL."""
    from pertoken.core.periods import format_time  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.rates import Rates  # noqa: PLC0415
    from pertoken.services.pricing import to_context  # noqa: PLC0415
    from pertoken.wiring import read_price_book  # noqa: PLC0415

    at_us = now_us() if at is None else parse_time(at, "UTC", "--at")
    believed_us = None if believed is None else parse_time(believed, "UTC", "--believed")
    context = to_context(tuple(sorted(pairs(when, "--when").items())))
    with database(db) as opened:
        book = read_price_book(opened, load_settings(db), believed_us)
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for name in [provider] if provider else book.providers:
        rates = book.resolve(name, model, at_us, context)
        if isinstance(rates, Rates):
            shown = {row.price_id: row for tier in rates.tiers for row in tier.all_rows()}
            rows += [row_fields(row) for row in shown.values()]
        elif any(not row.is_factor for _, row in book.candidates(name, model)):
            reasons.append(rates.reason)
    if not rows:
        why = "; ".join(reasons[:3]) or f"no price in force for {model!r}"
        raise Refused(f"{why}; see: pertoken price history {model}, or pertoken price add")
    if as_json:
        print_json(
            {"model": model, "provider": provider or rows[0]["provider"], "at": format_time(at_us), "prices": rows}
        )
    else:
        _print(f"prices of {model} at {format_time(at_us)}", rows)


@price.command()
@click.argument("model")
@click.option("--provider", help="Default: every provider whose prices name the model.")
@click.option("--believed", metavar="TIME", help="As the book stood then. Default: as it stands now.")
@db_option
@json_option
def history(model: str, provider: str | None, believed: str | None, db: str | None, as_json: bool) -> None:
    """Show every price that MODEL ever had, the oldest first."""
    from pertoken.wiring import read_price_book  # noqa: PLC0415 - keeps --help fast

    believed_us = None if believed is None else parse_time(believed, "UTC", "--believed")
    with database(db) as opened:
        book = read_price_book(opened, load_settings(db), believed_us)
    found = []
    for name in [provider] if provider else book.providers:
        of_provider = [row for _, row in book.candidates(name, model)]
        if any(not row.is_factor for row in of_provider):
            found += of_provider
    found.sort(key=lambda row: (row.provider, row.unit, row.input_above or 0, row.conditions, row.valid_from_us))
    rows = [row_fields(row) for row in found]
    if not rows:
        raise Refused(f"no price is known for {model!r}; add one: pertoken price add")
    if as_json:
        print_json({"model": model, "prices": rows})
    else:
        _print(f"every price of {model}", rows)


@price.command("import")
@click.argument("source", type=click.Choice(SOURCES))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option(
    "--dry-run", is_flag=True, help="Print what would change, in prices and on last month's events; do nothing."
)
@db_option
@json_option
def import_(source: str, file: Path | None, dry_run: bool, db: str | None, as_json: bool) -> None:
    """Import prices; what was rated before stays as it was. litellm and contract need a FILE."""
    from pertoken.wiring import import_prices, preview_import  # noqa: PLC0415 - keeps --help fast

    at_us = now_us()
    offered = _read_source(source, file, at_us)
    with database(db) as opened:
        if dry_run:
            change, before, after = preview_import(opened, load_settings(db), offered, at_us)
            compared = _compare(opened, before, None, after, None, at_us)
        else:
            change, compared = import_prices(opened, offered, at_us), None
    counts = {"added": len(change.added), "superseded": len(change.superseded), "unchanged": change.unchanged}
    if as_json:
        print_json({"source": source, **counts, **(compared or {})})
        return
    if compared is not None:
        _print_comparison(compared, "now", "after the import")
    click.echo(("would be: " if dry_run else "") + ", ".join(f"{count:,} {name}" for name, count in counts.items()))


@price.command()
@click.argument("before")
@click.argument("after")
@click.option("--since", metavar="TIME", help="Events to compare on, from. Default: 30 days ago.")
@click.option("--until", metavar="TIME", help="Events to compare on, to. Default: now.")
@db_option
@json_option
def diff(  # noqa: PLR0917 - click passes each option by name
    before: str, after: str, since: str | None, until: str | None, db: str | None, as_json: bool
) -> None:
    """Compare two price books or dates: what differs, and what that is in money on last month's events.

    BEFORE and AFTER are: a TIME (the book's prices at that time), book, shipped, genai, history, rules,
    litellm:FILE, contract:FILE.
    """
    at_us = now_us()
    with database(db) as opened:
        sides = [_side(name, opened, load_settings(db), at_us) for name in (before, after)]
        (old, old_at), (new, new_at) = sides
        compared = _compare(opened, old, old_at, new, new_at, at_us, since, until)
    if as_json:
        print_json({"before": before, "after": after, **compared})
    else:
        _print_comparison(compared, before, after)


@price.command()
@click.argument("price_ids", nargs=-1, required=True, metavar="PRICE_ID...")
@db_option
@json_option
def withdraw(price_ids: tuple[str, ...], db: str | None, as_json: bool) -> None:
    """Take back announced prices that are not in force yet; the price before each goes on."""
    from pertoken.services.catalog import CannotWithdraw  # noqa: PLC0415 - keeps --help fast
    from pertoken.wiring import withdraw_prices  # noqa: PLC0415

    try:
        with database(db) as opened:
            change = withdraw_prices(opened, price_ids, now_us())
    except CannotWithdraw as error:
        raise Refused(str(error)) from error
    if as_json:
        print_json({"withdrawn": list(price_ids), "prolonged": [row_fields(row) for row in change.added]})
    else:
        click.echo(f"withdrawn: {', '.join(price_ids)}; {len(change.added)} prices before them go on")


@price.command()
@click.option("--provider", required=True)
@click.option("--model", required=True)
@click.option("--input", "input_", required=True, help="Per million tokens.")
@click.option("--output", default=None, help="Per million tokens.")
@click.option("--cache-read", default=None, help="Per million tokens.")
@click.option("--cache-write", default=None, help="Per million tokens.")
@click.option("--from", "from_", metavar="TIME", help="Default: now.")
@click.option("--to", metavar="TIME", help="Default: open.")
@click.option("--currency", default="USD", show_default=True)
@db_option
@json_option
def add(  # noqa: PLR0917 - click passes each option by name
    provider: str,
    model: str,
    input_: str,
    output: str | None,
    cache_read: str | None,
    cache_write: str | None,
    from_: str | None,
    to: str | None,
    currency: str,
    db: str | None,
    as_json: bool,
) -> None:
    """Add a price of your own; it wins over imported ones."""
    from pertoken.core.money import NotAnAmount, parse_amount  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.periods import FOREVER_US  # noqa: PLC0415
    from pertoken.core.prices import Match, PriceRow, Source, price_id  # noqa: PLC0415
    from pertoken.wiring import add_prices  # noqa: PLC0415

    at_us = now_us()
    start_us = at_us if from_ is None else parse_time(from_, "UTC", "--from")
    end_us = FOREVER_US if to is None else parse_time(to, "UTC", "--to")
    if start_us >= end_us:
        raise click.BadParameter("must be after --from", param_hint="--to")
    stated = {
        "input_tokens": input_,
        "output_tokens": output,
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
    }
    rows = []
    for unit, amount in stated.items():
        if amount is None:
            continue
        try:
            picos = parse_amount(amount, currency)
        except NotAnAmount as error:
            raise click.BadParameter(str(error)) from error
        row = PriceRow(
            "", provider, model, Match.SNAPSHOT, unit, picos, 10**6, currency, start_us, end_us, at_us,
            Source.OPERATOR, "added by hand",
        )  # fmt: skip
        rows.append(row._replace(price_id=price_id(row)))
    with database(db) as opened:
        added = add_prices(opened, rows)
    if as_json:
        print_json({"model": model, "provider": provider, "added": added, "prices": [row_fields(row) for row in rows]})
    else:
        click.echo(f"added {added} prices of {model} at {provider}; see: pertoken price show {model}")


def _read_source(source: str, file: Path | None, at_us: int) -> "list[PriceRow]":
    """Return the rows of a source. Ends the command where its file is missing or not what it should be."""
    from pertoken.catalogs import contract, genai, litellm, rules  # noqa: PLC0415 - keeps --help fast
    from pertoken.catalogs import history as points  # noqa: PLC0415

    if source in ("litellm", "contract"):
        if file is None:
            example = "model_prices_and_context_window.json" if source == "litellm" else "contract.yaml"
            raise click.UsageError(f"{source} needs the file: pertoken price import {source} {example}")
        try:
            content = file.read_bytes()
            return litellm.read(content, at_us) if source == "litellm" else contract.read(content, at_us)
        except (litellm.NotAPriceList, contract.NotAContract) as error:
            raise Refused(f"{file}: {error}") from error
        except OSError as error:
            raise Refused(f"cannot read {file}: {error.strerror}") from error
    if source == "genai":
        return genai.read(at_us)
    return points.read(at_us) if source == "history" else rules.read(at_us)


def _side(name: str, opened: "Database", settings: "Settings", at_us: int) -> "tuple[PriceBook, int | None]":
    """Return a side of a comparison: a book, and the instant its prices are taken at."""
    from pertoken.core.periods import NotATime  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.periods import parse_time as read_time  # noqa: PLC0415
    from pertoken.core.price_book import PriceBook  # noqa: PLC0415
    from pertoken.wiring import read_price_book, sellers, shipped_prices  # noqa: PLC0415

    kind, _, path = name.partition(":")
    if name == "book":
        return read_price_book(opened, settings), None
    if name == "shipped":
        return PriceBook(shipped_prices(at_us), sellers(settings)), None
    if kind in SOURCES:
        return PriceBook(_read_source(kind, Path(path) if path else None, at_us), sellers(settings)), None
    try:
        return read_price_book(opened, settings), read_time(name)
    except NotATime as error:
        known = ", ".join(["a time", "book", "shipped", *SOURCES])
        raise click.BadParameter(f"{name!r} is none of {known}") from error


def _compare(  # noqa: PLR0917 - two sides and a span
    opened: "Database",
    before: "PriceBook",
    before_at_us: int | None,
    after: "PriceBook",
    after_at_us: int | None,
    at_us: int,
    since: str | None = None,
    until: str | None = None,
) -> dict[str, Any]:
    """Return the differences of two sides, and their effect on the events of a span."""
    from pertoken.core.periods import DAY_US  # noqa: PLC0415 - keeps --help fast
    from pertoken.services import price_diff  # noqa: PLC0415
    from pertoken.store.archive import Archive  # noqa: PLC0415

    since_us = at_us - 30 * DAY_US if since is None else parse_time(since, "UTC", "--since")
    until_us = at_us if until is None else parse_time(until, "UTC", "--until")
    old, new = price_diff.Side(before, before_at_us), price_diff.Side(after, after_at_us)
    found = price_diff.differences(old, new, at_us)
    with opened.read() as connection:
        effects = price_diff.effects(old, new, Archive(connection).events(since_us, until_us))
    return {
        "differences": [price_diff.difference_fields(one) for one in found],
        "effects": [price_diff.effect_fields(one) for one in effects],
    }


def _print_comparison(compared: dict[str, Any], before: str, after: str) -> None:
    rows = [
        {
            **row,
            "when": _when(row["conditions"]),
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
        click.echo(f"no price differs between {before} and {after}")
    effects = [
        row for row in compared["effects"] if row["change"] != "0" or row["unpriced_before"] != row["unpriced_after"]
    ]
    if effects:
        print_table("on the events of the time compared", EFFECT_COLUMNS, effects)
    else:
        click.echo(f"no cost changes on the {sum(row['calls'] for row in compared['effects']):,} events compared")


def _with_terms(amount: str | None, terms: str | None) -> str | None:
    return amount if terms is None else f"{amount}, {terms}"


def row_fields(row: "PriceRow") -> dict[str, Any]:
    """Return one price as commands print it."""
    from pertoken.core.money import divide_half_even, format_amount  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.periods import FOREVER_US, format_time  # noqa: PLC0415

    conditions: dict[str, Any] = dict(row.conditions)
    if row.input_above is not None:
        conditions["input_above"] = row.input_above
    if row.is_factor:
        amount: dict[str, Any] = {"per_million": None, "factor": f"{row.amount_picos / row.per:g}", "currency": None}
    else:
        per_million = format_amount(divide_half_even(row.amount_picos * 10**6, row.per), row.currency)
        amount = {"per_million": per_million, "currency": row.currency}
    if row.minimum:
        amount["minimum"] = row.minimum
    if row.quota is not None:
        amount["free"] = f"{row.quota.quantity} a {row.quota.window} ({row.quota.group})"
    if row.marginal:
        amount["marginal"] = True
    return {
        "provider": row.provider,
        "model": row.model,
        "unit": row.unit,
        **amount,
        "valid_from": None if row.valid_from_us == 0 else format_time(row.valid_from_us),
        "valid_to": None if row.valid_to_us >= FOREVER_US else format_time(row.valid_to_us),
        "conditions": conditions,
        "source": row.evidence,
        "price_id": row.price_id,
    }


def _print(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print prices, without the columns that would be empty."""
    shown = [_shown(row) for row in rows]
    columns = {field: heading for field, heading in COLUMNS.items() if any(row[field] for row in shown)}
    currencies = {row["currency"] for row in rows}
    if not currencies <= {"USD", None}:
        columns["currency"] = "currency"
    print_table(title, columns, shown)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    days = {name: (row[name] or "").replace("T00:00:00Z", "") for name in ("valid_from", "valid_to")}
    terms: dict[str, Any] = {name: row[name] for name in ("minimum", "free") if name in row}
    price = f"x {row['factor']}" if "factor" in row else row["per_million"]
    return {**row, **days, "per_million": price, "when": _when({**row["conditions"], **terms})}


def _when(conditions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in conditions.items())
