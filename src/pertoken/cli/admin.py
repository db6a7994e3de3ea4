"""`pertoken admin`: keys to the control plane."""

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.near_names import misspelt, say_new_names
from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import (
    CommandRefused,
    admin_keys,
    administration,
    db_option,
    json_option,
    make_hasher,
    now_us,
    parse_time,
    print_json,
)
from pertoken.cli.tables import print_table, time_text
from pertoken.core.texts import meant

COLUMNS = {
    "name": "name",
    "id": "id",
    "secret_ends_in": "ends in",
    "role": "role",
    "of": "team or customer",
    "expires_at": "expires (UTC)",
    "status": "status",
}


@click.group(cls=CommandGroup)
def admin() -> None:
    """Make, list and revoke admin keys: who may use the control plane, and for what. And say what teams may do."""


@admin.command()
@click.argument("name")
@click.option(
    "--role", required=True, type=click.Choice(["admin", "finance", "viewer", "team_owner", "customer"]),
    help="What it may do.",
)  # fmt: skip
@click.option("--team", help="Whose owner it is; with the role team_owner.")
@click.option("--customer", help="Who it is; with the role customer.")
@click.option("--expires", metavar="TIME", help="A date or a time. Default: never.")
@db_option
@json_option
def create(  # noqa: PLR0917 - click passes each option by name
    name: str, role: str, team: str | None, customer: str | None, expires: str | None, db: str | None, as_json: bool
) -> None:
    """Make an admin key. Its secret is shown once, now."""
    from pertoken.core.access import Role
    from pertoken.services.admins import BadAdmin, create_admin
    from pertoken.wiring.clock import SystemClock

    hasher = make_hasher(db)
    expires_at_us = None if expires is None else parse_time(expires, "UTC", "--expires")
    try:
        with admin_keys(db) as admins:
            made = create_admin(
                admins,
                SystemClock(),
                hasher,
                name,
                Role(role),
                team=team,
                customer=customer,
                expires_at_us=expires_at_us,
            )
    except BadAdmin as error:
        raise CommandRefused(str(error)) from error
    with administration(db) as opened:
        say_new_names(opened.list_keys(), team, customer)
    if as_json:
        said = {"id": made.admin.admin_id, "secret": made.secret, "name": name, "role": role}
        print_json({**said, "team": team, "customer": customer})
        return
    echo(f"id      {made.admin.admin_id}\nsecret  {made.secret}")
    echo("the secret is shown only now; send it as a bearer token to /api/v1", err=True)


@admin.command("list")
@db_option
@json_option
def list_(db: str | None, as_json: bool) -> None:
    """List all admin keys, expired and revoked ones too."""
    from pertoken.services.admins import admin_fields

    at_us = now_us()
    with admin_keys(db) as admins:
        rows = [admin_fields(one, at_us) for one in admins.list_all()]
    if as_json:
        print_json({"admins": rows})
    elif not rows:
        say_empty("no admin keys yet", "pertoken admin create NAME --role admin")
    else:
        said = [
            {**row, "of": row["team"] or row["customer"], "expires_at": time_text(row["expires_at"])} for row in rows
        ]
        print_table("admin keys", COLUMNS, said, spared=["secret_ends_in", "expires_at"])


@admin.command()
@click.argument("id_or_name")
@db_option
@json_option
def revoke(id_or_name: str, db: str | None, as_json: bool) -> None:
    """Revoke an admin key by id or name. It is refused from its next request on."""
    with admin_keys(db) as admins:
        found = next((one for one in admins.list_all() if id_or_name in (one.admin_id, one.name)), None)
        if found is None or not admins.revoke(found.admin_id, now_us()):
            near = meant(id_or_name, {one.name for one in admins.list_all()} - {id_or_name})
            raise CommandRefused(f"no live admin key {id_or_name!r}{near or ';'} see: pertoken admin list")
    if as_json:
        print_json({"id": found.admin_id, "name": found.name, "revoked": True})
    else:
        echo(f"revoked {found.name} ({found.admin_id})")


@admin.command()
@click.argument("name")
@click.option("--reports", metavar="AMOUNT", help="What its owners may report a day (UTC), such as 5.")
@click.option("--currency", default="USD", show_default=True, help="Of --reports.")
@click.option("--events", type=click.IntRange(0), help="How many events of it; 1,000 where --reports says no number.")
@click.option("--tokens", type=click.IntRange(0), help="How many tokens of it; 10,000,000 where it says no number.")
@click.option("--no-reports", is_flag=True, help="Its owners report nothing any more.")
@click.option("--customer", "customers", multiple=True, help="It may name this customer as well; may repeat.")
@click.option("--without", multiple=True, metavar="CUSTOMER", help="It may name this customer no more; may repeat.")
@db_option
@json_option
def team(  # noqa: PLR0917 - click passes each option by name
    name: str,
    reports: str | None,
    currency: str,
    events: int | None,
    tokens: int | None,
    no_reports: bool,
    customers: tuple[str, ...],
    without: tuple[str, ...],
    db: str | None,
    as_json: bool,
) -> None:
    """Say which customers a team may name and what its owners may report a day; show what holds then."""
    from pertoken.services import teams

    if no_reports and reports is not None:
        raise click.UsageError("choose one of --reports and --no-reports")
    if reports is None and (events is not None or tokens is not None):
        raise click.UsageError("--events and --tokens go with --reports")
    try:
        allowance = None
        if reports is not None:
            most = (teams.EVENTS if events is None else events, teams.TOKENS if tokens is None else tokens)
            allowance = teams.to_allowance(reports, currency, *most)
    except teams.BadAllowance as error:
        raise CommandRefused(str(error)) from error
    at_us = now_us()
    with administration(db) as opened:
        try:
            teams.change_team(opened, name, teams.TeamChange(allowance, no_reports, customers, without), at_us)
        except teams.BadTeam as error:
            raise CommandRefused(str(error)) from error
        said = teams.team_fields(opened, name, at_us)
    for said_of_it in misspelt(db, {"team": name}):
        echo(f"{said_of_it} it is changed all the same", err=True)
    if as_json:
        print_json(said)
        return
    may = said["reports"]
    if may is None:
        echo("reports    nothing")
    else:
        today = may["reported_today"]
        limits = f"{may['money']} {may['currency']}, {may['events']:,} events, {may['tokens']:,} tokens a day"
        echo(f"reports    {limits}; today {today['money']} {may['currency']}, {today['events']:,} events")
    echo(f"customers  {', '.join(said['customers']) or 'those that it named first'}")
