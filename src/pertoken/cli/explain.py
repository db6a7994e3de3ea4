"""`pertoken explain`: prints the arithmetic of one call, so that a person can check it."""

from decimal import Decimal
from typing import Any

import click

from pertoken.cli.budget import per
from pertoken.cli.output import echo
from pertoken.cli.session import CommandRefused, archive, db_option, json_option, one_line, open_folder, print_json
from pertoken.cli.tables import amount_text, print_table

COLUMNS = {
    "unit": "unit",
    "quantity": "quantity",
    "unit_price": "price",
    "per": "per",
    "amount": "amount",
    "source": "price from",
}


@click.command()
@click.argument("call_id")
@click.option("--archive", "folder", metavar="DIR", help="Folder with archived months. [where they were written]")
@db_option
@json_option
def explain(call_id: str, folder: str | None, db: str | None, as_json: bool) -> None:
    """Show how one call was charged (quantity x price = amount), its hold, its budgets, and what a policy changed.

    A call of an archived month is read from its file.
    """
    from pertoken.ports.months import FolderFailed
    from pertoken.services.explain import ARCHIVED
    from pertoken.services.explain import explain as explain_call

    is_read = True
    with archive(db) as stored:
        try:
            found = explain_call(stored, call_id, lambda one: open_folder(folder or one.folder))
        except (FolderFailed, CommandRefused) as error:  # the part in the database is shown anyway
            is_read = False
            echo(f"the archive cannot be read: {one_line(error)}", err=True)
            found = explain_call(stored, call_id)
    if found is None:
        raise CommandRefused(f"no call {call_id!r}; its id is in the header x-pertoken-call-id, and in: pertoken calls")
    if as_json:
        print_json(found)
        return
    _print_archived(found["archived"], is_read=is_read)
    if found["status"] == ARCHIVED:
        return
    if "refusal" in found:
        refusal = found["refusal"]
        echo(f"refused  {refusal['code']} at {refusal['at']}: {refusal['message']}")
    for attempt in found["attempts"]:
        _print_attempt(attempt)
    currency = found["currency"]
    if found["lines"]:
        rows = [{**line, "source": _source(line)} for line in found["lines"]]
        columns = {**COLUMNS, "unit_price": f"price {currency}", "amount": f"amount {currency}"}
        total = {"unit": "cost, provisional" if found["status"] == "unpriced" else "cost", "amount": found["cost"]}
        print_table("quantity x price / per = amount", columns, rows, total=total)
    elif found["status"] in ("priced", "unpriced"):
        echo(f"cost     {_cost(found)}")
    _print_standing(found)


def _print_standing(found: dict[str, Any]) -> None:
    """Print the price book's figure, the hold, the budgets and the changes by policy."""
    currency, book = found["currency"], found["price_book"]
    if found["price"] is not None:
        echo(f"price    {amount_text(found['price'])} {currency} is what the customer is charged for it")
    if book:
        echo(f"book     {_beside_the_book(found['cost'], book, currency)}")
    if found["hold"]:
        hold = found["hold"]
        size = f" for up to {hold['tokens']:,} tokens" if "tokens" in hold else ""
        overrun = f"; overrun {amount_text(hold['overrun'])}" if "overrun" in hold else ""
        echo(f"hold     {amount_text(hold['held'])} {currency}{size}, {hold['state']}{overrun}")
    for one in found["budgets"]:
        unit = one["currency"] or one["axis"]
        spent, limit, left = (amount_text(one[name]) for name in ("spent", "limit", "remaining"))
        echo(f"budget   {one['name']}: {spent} of {limit} {unit} {per(one['window'])} spent, {left} left")
    for change in found["policy"]:
        echo(f"policy   {change}")


def _cost(found: dict[str, Any]) -> str:
    """Say what a call without lines costs."""
    if found["status"] != "unpriced":
        return amount_text(found["cost"])
    since = found["attempts"][0]["at"][:10]
    return f"unknown, so nothing is charged; fix: pertoken price add, then pertoken rerate --from {since}"


def _beside_the_book(cost: str, book: dict[str, Any], currency: str) -> str:
    """Say what a call costs by the price book, if its provider stated the cost."""
    difference = Decimal(book["difference"])
    by_book = f"the price book says {amount_text(book['cost'])} {currency}"
    if not difference:
        return f"{by_book}, as the provider does"
    more = "more" if difference > 0 else "less"
    return f"{by_book}; the provider charged {amount_text(cost)}, which is {amount_text(f'{abs(difference):f}')} {more}"


def _print_archived(files: list[dict[str, Any]], *, is_read: bool) -> None:
    for one in files:
        echo(f"archived {one['file']} in {one['folder']}")
    if files and not is_read:
        echo(f"next: pertoken archive import {files[0]['folder']} --month {files[0]['month']}")


def _print_attempt(attempt: dict[str, Any]) -> None:
    if attempt["corrects"]:
        added = f"{amount_text(attempt['cost'])} added to {attempt['corrects']} at {attempt['recorded_at']}"
        echo(f"correct  {added}: {attempt['reason']}")
        return
    served = f", served as {attempt['model_served']}" if attempt["model_served"] not in (None, attempt["model"]) else ""
    echo(f"call     {attempt['event_id']} at {attempt['at']}")
    echo(f"model    {attempt['provider']} {attempt['model']}{served}")
    counts = "\n         ".join(f"{unit} {count:,}" for unit, count in attempt["usage"].items())
    echo(f"usage    {attempt['completeness']}, totals include their parts:\n         {counts}")
    if attempt["timeline"]:
        echo(f"timeline {_timeline(attempt['timeline'])}{_after_others(attempt['attempts'])}")
    if attempt["reason"]:
        echo(f"because  {attempt['reason']}")


def _timeline(steps: dict[str, int | None]) -> str:
    """Say when the call reached each step."""
    said = ((name.removesuffix("_ms").replace("_", " "), ms) for name, ms in steps.items())
    return ", ".join(f"{name} {ms:,} ms" for name, ms in said if ms is not None)


def _after_others(attempts: int | None) -> str:
    return f"; attempt {attempts}" if attempts is not None and attempts > 1 else ""


def _source(line: dict[str, Any]) -> str:
    since = line["price_valid_from"]
    said = str(line["price_source"]) + (f", from {since[:10]}" if since else "")
    if "listed_by" in line:
        said += f", the list of {line['listed_by']}"
    if "factors" in line:
        said += "".join(f", x {one['factor']}" for one in line["factors"])
    if "free" in line:
        said += f", {line['free']}"
    if "priced_as" in line:
        said += f", at the price of {line['priced_as']}"
    return said + (f", {line['tier']}" if "tier" in line else "")
