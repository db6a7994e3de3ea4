"""`pertoken price`: what a model costs, when, and who says so."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.session import Refused, database, db_option, json_option, now_us, parse_time, print_json
from pertoken.cli.tables import print_table

if TYPE_CHECKING:
    from pertoken.core.prices import PriceRow

COLUMNS = {
    "provider": "provider",
    "unit": "unit",
    "per_million": "per million",
    "valid_from": "from",
    "valid_to": "until",
    "when": "when",
    "source": "source",
}


@click.group()
def price() -> None:
    """Look into the price book, import and add prices."""


@price.command()
@click.argument("model")
@click.option("--provider", help="Default: every provider whose prices name the model.")
@click.option("--at", metavar="TIME", help="Default: now.")
@db_option
@json_option
def show(model: str, provider: str | None, at: str | None, db: str | None, as_json: bool) -> None:
    """Show the prices in force for MODEL."""
    from pertoken.core.periods import format_time  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.rates import Rates  # noqa: PLC0415
    from pertoken.wiring import read_price_book  # noqa: PLC0415

    at_us = now_us() if at is None else parse_time(at, "UTC", "--at")
    with database(db) as opened:
        book = read_price_book(opened)
    rows = []
    for name in [provider] if provider else book.providers:
        rates = book.resolve(name, model, at_us)
        if isinstance(rates, Rates):
            shown = {row.price_id: row for tier in rates.tiers for row in tier.all_rows()}
            rows += [row_fields(row) for row in shown.values()]
    if not rows:
        raise Refused(f"no price in force for {model!r}; see: pertoken price history {model}, or pertoken price add")
    if as_json:
        print_json(
            {"model": model, "provider": provider or rows[0]["provider"], "at": format_time(at_us), "prices": rows}
        )
    else:
        _print(f"prices of {model} at {format_time(at_us)}", rows)


@price.command()
@click.argument("model")
@click.option("--provider", help="Default: every provider whose prices name the model.")
@db_option
@json_option
def history(model: str, provider: str | None, db: str | None, as_json: bool) -> None:
    """Show every price that MODEL ever had, the oldest first."""
    from pertoken.wiring import read_price_book  # noqa: PLC0415 - keeps --help fast

    with database(db) as opened:
        book = read_price_book(opened)
    found = [row for name in ([provider] if provider else book.providers) for _, row in book.candidates(name, model)]
    found.sort(key=lambda row: (row.provider, row.unit, row.input_above or 0, row.conditions, row.valid_from_us))
    rows = [row_fields(row) for row in found]
    if not rows:
        raise Refused(f"no price is known for {model!r}; add one: pertoken price add")
    if as_json:
        print_json({"model": model, "prices": rows})
    else:
        _print(f"every price of {model}", rows)


@price.command("import")
@click.argument("source", type=click.Choice(["genai", "litellm", "history"]))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@db_option
@json_option
def import_(source: str, file: Path | None, db: str | None, as_json: bool) -> None:
    """Import prices; what was rated before stays as it was. litellm needs its JSON FILE."""
    from pertoken.catalogs import genai, litellm  # noqa: PLC0415 - keeps --help fast
    from pertoken.catalogs import history as points  # noqa: PLC0415
    from pertoken.wiring import import_prices  # noqa: PLC0415

    at_us = now_us()
    if source == "litellm":
        if file is None:
            raise click.UsageError(
                "litellm needs the file: pertoken price import litellm model_prices_and_context_window.json"
            )
        try:
            offered = litellm.read(file.read_bytes(), at_us)
        except litellm.NotAPriceList as error:
            raise Refused(f"{file}: {error}") from error
    else:
        offered = genai.read(at_us) if source == "genai" else points.read(at_us)
    with database(db) as opened:
        change = import_prices(opened, offered, at_us)
    counts = {"added": len(change.added), "superseded": len(change.superseded), "unchanged": change.unchanged}
    if as_json:
        print_json({"source": source, **counts})
    else:
        click.echo(", ".join(f"{count:,} {name}" for name, count in counts.items()))


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


def row_fields(row: "PriceRow") -> dict[str, Any]:
    """Return one price as commands print it."""
    from pertoken.core.money import divide_half_even, format_amount  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.periods import FOREVER_US, format_time  # noqa: PLC0415

    conditions: dict[str, Any] = dict(row.conditions)
    if row.input_above is not None:
        conditions["input_above"] = row.input_above
    return {
        "provider": row.provider,
        "model": row.model,
        "unit": row.unit,
        "per_million": format_amount(divide_half_even(row.amount_picos * 10**6, row.per), row.currency),
        "currency": row.currency,
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
    if currencies != {"USD"}:
        columns["currency"] = "currency"
    print_table(title, columns, shown)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    days = {name: (row[name] or "").replace("T00:00:00Z", "") for name in ("valid_from", "valid_to")}
    when = ", ".join(f"{name} {value}" for name, value in row["conditions"].items())
    return {**row, **days, "when": when}
