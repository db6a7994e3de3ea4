"""`pertoken key`: virtual keys."""

import click

from pertoken.cli.session import Refused, administration, db_option, json_option, pairs, print_json
from pertoken.cli.tables import print_table, say_empty

COLUMNS = {
    "name": "name",
    "id": "id",
    "secret_ends_in": "ends in",
    "team": "team",
    "customer": "customer",
    "status": "status",
}


@click.group()
def key() -> None:
    """Make, list and revoke virtual keys."""


@key.command()
@click.argument("name")
@click.option("--team", help="Who uses it inside.")
@click.option("--customer", help="Who is billed for its calls.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Put on every call; may repeat.")
@click.option("--budget", "rate", metavar="LIMIT/WINDOW", help="A hard money budget of its own, such as 5/day.")
@db_option
@json_option
def create(  # noqa: PLR0917 - click passes each option by name
    name: str,
    team: str | None,
    customer: str | None,
    tags: tuple[str, ...],
    rate: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Make a key. Its secret is shown once, now."""
    from pertoken.services.budgets import BadBudget, Wish, parse_rate, set_budget  # noqa: PLC0415 - keeps --help fast
    from pertoken.services.keys import NameTaken, create_key  # noqa: PLC0415
    from pertoken.wiring import SystemClock  # noqa: PLC0415

    clock = SystemClock()
    try:
        limit_and_window = parse_rate(rate) if rate else None
        with administration(db) as admin:
            made = create_key(admin, clock, name, team=team, customer=customer, tags=pairs(tags, "--tag"))
            if limit_and_window is not None:
                limit, window = limit_and_window
                wish = Wish(f"key:{name}", limit, window=window, scope={"key": made.key.key_id})
                set_budget(admin, clock, wish)
    except (NameTaken, BadBudget) as error:
        raise Refused(str(error)) from error
    if as_json:
        print_json({"id": made.key.key_id, "secret": made.secret, "name": name, "team": team, "customer": customer})
        return
    click.echo(f"id      {made.key.key_id}\nsecret  {made.secret}")
    click.echo("the secret is shown only now; use it where a provider's key would stand", err=True)


@key.command("list")
@db_option
@json_option
def list_(db: str | None, as_json: bool) -> None:
    """List all keys, revoked ones too."""
    from pertoken.core.periods import format_time  # noqa: PLC0415 - keeps --help fast

    with administration(db) as admin:
        keys = admin.list_keys()
    rows = [
        {
            "id": one.key_id,
            "name": one.name,
            "secret_ends_in": one.secret_hint,
            "team": one.team,
            "customer": one.customer,
            "tags": dict(one.tags),
            "created_at": format_time(one.created_at_us),
            "revoked_at": None if one.revoked_at_us is None else format_time(one.revoked_at_us),
        }
        for one in keys
    ]
    if as_json:
        print_json({"keys": rows})
    elif not rows:
        say_empty("no keys yet", "pertoken key create my-app --budget 5/day")
    else:
        shown = [{**row, "status": "revoked" if row["revoked_at"] else "live"} for row in rows]
        print_table("virtual keys", COLUMNS, shown)


@key.command()
@click.argument("id_or_name")
@db_option
@json_option
def revoke(id_or_name: str, db: str | None, as_json: bool) -> None:
    """Revoke a key by id or name. It is refused from its next call on."""
    from pertoken.cli.session import now_us  # noqa: PLC0415 - keeps --help fast
    from pertoken.services.keys import find_key  # noqa: PLC0415

    with administration(db) as admin:
        found = find_key(admin, id_or_name)
        if found is None or not admin.revoke_key(found.key_id, now_us()):
            raise Refused(f"no live key {id_or_name!r}; see: pertoken key list")
    if as_json:
        print_json({"id": found.key_id, "name": found.name, "revoked": True})
    else:
        click.echo(f"revoked {found.name} ({found.key_id})")
