"""`pertoken explain`: one call's arithmetic, so that a person can redo it."""

from typing import Any

import click

from pertoken.cli.session import Refused, archive, db_option, json_option, print_json
from pertoken.cli.tables import print_table

COLUMNS = {
    "unit": "unit",
    "quantity": "quantity",
    "unit_price_per_million": "USD per million",
    "amount": "amount USD",
    "source": "price from",
}


@click.command()
@click.argument("call_id")
@db_option
@json_option
def explain(call_id: str, db: str | None, as_json: bool) -> None:
    """Show meter x quantity x price = amount for one call, its hold, its budgets, and what policy changed."""
    from pertoken.services.explain import explain as explain_call  # noqa: PLC0415 - keeps --help fast

    with archive(db) as stored:
        found = explain_call(stored, call_id)
    if found is None:
        raise Refused(f"no call {call_id!r}; its id is in the answer's header x-pertoken-call-id")
    if as_json:
        print_json(found)
        return
    for attempt in found["attempts"]:
        _print_attempt(attempt)
    rows = [{**line, "source": _source(line)} for line in found["lines"]]
    print_table("quantity x price / 1,000,000 = amount", COLUMNS, rows, total={"unit": "cost", "amount": found["cost"]})
    if found["hold"]:
        hold = found["hold"]
        state = f"{hold['state']}; overrun {hold['overrun']}"
        click.echo(f"hold     {hold['held']} USD for up to {hold['tokens']:,} tokens, {state}")
    for one in found["budgets"]:
        standing = f"{one['spent']} of {one['limit']} {one['axis']} spent, {one['remaining']} left"
        click.echo(f"budget   {one['name']}: {standing}")
    for change in found["policy"]:
        click.echo(f"policy   {change}")


def _print_attempt(attempt: dict[str, Any]) -> None:
    served = f", served as {attempt['model_served']}" if attempt["model_served"] not in (None, attempt["model"]) else ""
    click.echo(f"call     {attempt['event_id']} at {attempt['at']}")
    click.echo(f"model    {attempt['provider']} {attempt['model']}{served}")
    counts = ", ".join(f"{unit} {count:,}" for unit, count in attempt["usage"].items())
    click.echo(f"usage    {attempt['completeness']}: {counts}")
    if attempt["reason"]:
        click.echo(f"because  {attempt['reason']}")


def _source(line: dict[str, Any]) -> str:
    since = line["price_valid_from"]
    said = f"{line['price_source']}, {since if since == 'since ever' else 'from ' + since[:10]}"
    if "priced_as" in line:
        said += f", at the price of {line['priced_as']}"
    return said + (f", {line['tier']}" if "tier" in line else "")
