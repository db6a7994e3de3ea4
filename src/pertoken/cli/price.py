"""`pertoken price`: shows what a model costs, when, and by which source; adds your own prices."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.noting import note
from pertoken.cli.output import echo
from pertoken.cli.price_sources import conditions_text, diff, import_
from pertoken.cli.price_stated import stated
from pertoken.cli.session import (
    CommandRefused,
    changes,
    checked_name,
    database,
    db_option,
    json_option,
    now_us,
    pairs,
    parse_time,
    print_json,
)
from pertoken.cli.tables import print_table
from pertoken.core.access import Action

if TYPE_CHECKING:
    from pertoken.core.price_book import PriceBook

COLUMNS = {
    "provider": "provider",
    "unit": "unit",
    "price": "price",
    "per": "per",
    "valid_from": "from",
    "valid_to": "until",
    "when": "when",
    "source": "source",
}
MILLION = "million"


@click.group(cls=CommandGroup)
def price() -> None:
    """Show, import, compare, add and withdraw prices."""


price.add_command(import_)
price.add_command(diff)
price.add_command(stated)


@price.command()
@click.argument("model")
@click.option("--provider", help="Default: every provider with a price for the model.")
@click.option("--at", metavar="TIME", help="Prices in force at this time. [now]")
@click.option("--believed", metavar="TIME", help="As the price book was at this time. [now]")
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
    from pertoken.core.conditions import to_context
    from pertoken.core.periods import format_time
    from pertoken.services.price_show import NoPrices, show_prices
    from pertoken.wiring.prices import read_price_book

    at_us = now_us() if at is None else parse_time(at, "UTC", "--at")
    believed_us = None if believed is None else parse_time(believed, "UTC", "--believed")
    context = to_context(tuple(sorted(pairs(when, "--when").items())))
    with database(db) as opened:
        book = read_price_book(opened, believed_us)
    try:
        rows = show_prices(book, model, provider, at_us, context)
    except NoPrices as error:
        raise CommandRefused(str(error)) from error
    if as_json:
        print_json(
            {"model": model, "provider": provider or rows[0]["provider"], "at": format_time(at_us), "prices": rows}
        )
    else:
        _print(f"prices of {model} at {format_time(at_us)}", rows)


@price.command()
@click.argument("model")
@click.option("--provider", help="Default: every provider with a price for the model.")
@click.option("--believed", metavar="TIME", help="As the price book was at this time. [now]")
@db_option
@json_option
def history(model: str, provider: str | None, believed: str | None, db: str | None, as_json: bool) -> None:
    """Show all prices of MODEL, past and present, oldest first."""
    from pertoken.services.price_show import price_fields
    from pertoken.wiring.prices import read_price_book

    believed_us = None if believed is None else parse_time(believed, "UTC", "--believed")
    with database(db) as opened:
        book = read_price_book(opened, believed_us)
    found = []
    for name in [provider] if provider else book.providers:
        of_provider = [row for _, row in book.candidates(name, model)]
        if any(row.sells for row in of_provider):
            found += of_provider
    found.sort(key=lambda row: (row.provider, row.unit, row.input_above or 0, row.conditions, row.valid_from_us))
    rows = [price_fields(row) for row in found]
    if not rows:
        raise CommandRefused(_why_no_history(model, provider, book))
    if as_json:
        print_json({"model": model, "prices": rows})
    else:
        _print(f"every price of {model}", rows)


def _why_no_history(model: str, provider: str | None, book: "PriceBook") -> str:
    """Say why no price was found, and which name was most likely meant."""
    from pertoken.core.texts import meant

    add = "; add one: pertoken price add"
    if provider is not None and not book.knows(provider):
        return f"no price of the provider {provider!r} is known{meant(provider, book.providers) or add}"
    sellers = book.providers if provider is None else [provider]
    names = [name for seller in sellers for name in book.models_of(seller, now_us())]
    return f"no price is known for {model!r}{meant(model, names) or add}"


@price.command()
@click.argument("price_ids", nargs=-1, required=True, metavar="PRICE_ID...")
@db_option
@json_option
def withdraw(price_ids: tuple[str, ...], db: str | None, as_json: bool) -> None:
    """Withdraw announced prices that are not in force yet. The earlier prices stay in force."""
    from pertoken.services.catalog import CannotWithdraw, take_back
    from pertoken.services.price_show import price_fields

    try:
        with changes(db) as opened:
            change = take_back(opened.administration, price_ids, now_us())
            after = {"prolonged": [price_fields(row) for row in change.added]}
            for price_id in price_ids:
                note(opened, Action.PRICES_WRITE, f"/api/v1/announced-prices/{price_id}", None, after)
    except CannotWithdraw as error:
        raise CommandRefused(str(error)) from error
    if as_json:
        print_json({"withdrawn": list(price_ids), "prolonged": [price_fields(row) for row in change.added]})
    else:
        echo(f"withdrawn: {', '.join(price_ids)}; {len(change.added)} earlier prices stay in force")


@price.command()
@click.option("--provider", required=True)
@click.option("--model", required=True)
@click.option("--input", "input_", required=True, help="Price per million tokens.")
@click.option("--output", default=None, help="Price per million tokens.")
@click.option("--cache-read", default=None, help="Price per million tokens.")
@click.option("--cache-write", default=None, help="Price per million tokens.")
@click.option("--from", "from_", metavar="TIME", help="When the price begins. [now]")
@click.option("--to", metavar="TIME", help="When the price ends. [never]")
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
    """Add your own price. It takes precedence over imported prices."""
    from pertoken.services.price_show import price_fields
    from pertoken.services.price_stating import BadPrice, StatedPrice, stated_rows
    from pertoken.wiring.prices import read_price_book

    start_us = None if from_ is None else parse_time(from_, "UTC", "--from")
    end_us = None if to is None else parse_time(to, "UTC", "--to")
    checked_name(provider, "--provider")
    checked_name(model, "--model")
    per_million = {"input": input_, "output": output, "cache_read": cache_read, "cache_write": cache_write}
    try:
        rows = stated_rows(StatedPrice(provider, model, per_million, start_us, end_us, currency), now_us())
    except BadPrice as error:
        if error.field == "valid_to":
            raise click.BadParameter("must be after --from (default: now)", param_hint="--to") from error
        raise click.BadParameter(str(error), param_hint=f"--{error.field.replace('_', '-')}") from error
    with database(db) as opened:
        _say_unknown_provider(provider, read_price_book(opened).providers)
        with opened.changes() as changing:
            added = changing.administration.change_prices(rows, (), now_us())
            if added:
                after = {"added": added, "prices": [price_fields(row) for row in rows]}
                note(changing, Action.PRICES_WRITE, f"/api/v1/prices/{model}", None, after)
    if as_json:
        prices = [price_fields(row) for row in rows]
        print_json({"model": model, "provider": provider, "added": added, "prices": prices})
    else:
        echo(f"added {added} prices of {model} at {provider}; see: pertoken price show {model}")


def _say_unknown_provider(provider: str, known: Iterable[str]) -> None:
    """Warn on stderr that a provider's name may be misspelt; it is not an error, because your own may have any name."""
    from pertoken.core.texts import meant

    known = set(known)
    near = meant(provider, known)
    if provider not in known and near:
        echo(f"unknown provider {provider!r}{near} the price is added anyway", err=True)


def _print(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print prices, without empty columns."""
    shown = [_shown(row) for row in rows]
    columns = {field: heading for field, heading in COLUMNS.items() if any(row[field] for row in shown)}
    currencies = {row["currency"] for row in rows}
    if not currencies <= {"USD", None}:
        columns["currency"] = "currency"
    print_table(title, columns, shown)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    days = {name: (row[name] or "").replace("T00:00:00Z", "") for name in ("valid_from", "valid_to")}
    terms: dict[str, Any] = {name: row[name] for name in ("minimum", "free") if name in row}
    price = f"x {row['factor']}" if "factor" in row else row["price"]
    per = "" if row["per"] is None else MILLION if row["per"] == 10**6 else f"{row['per']:,}"
    return {**row, **days, "price": price, "per": per, "when": conditions_text({**row["conditions"], **terms})}
