"""`pertoken admin`: manages keys to the control plane, and what teams may do."""

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.near_names import misspelt, say_new_names
from pertoken.cli.noting import note
from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import (
    CommandRefused,
    changes,
    database,
    db_option,
    json_option,
    make_hasher,
    now_us,
    parse_time,
    print_json,
)
from pertoken.cli.tables import print_table, time_text
from pertoken.core.access import Action
from pertoken.core.periods import US_PER_SECOND
from pertoken.core.sessions import LINK_US
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
    """Create, list and revoke admin keys to the control plane, and set what teams may do."""


@admin.command()
@click.argument("name")
@click.option(
    "--role", required=True, type=click.Choice(["admin", "finance", "viewer", "team_owner", "customer"]),
    help="The role of the key.",
)  # fmt: skip
@click.option("--team", help="The team it owns; for the role team_owner.")
@click.option("--customer", help="The customer; for the role customer.")
@click.option("--expires", metavar="TIME", help="When it expires: a date or a time. [never]")
@db_option
@json_option
def create(  # noqa: PLR0917 - click passes each option by name
    name: str, role: str, team: str | None, customer: str | None, expires: str | None, db: str | None, as_json: bool
) -> None:
    """Create an admin key. Its secret is shown only now."""
    from pertoken.core.access import Role
    from pertoken.services.admins import BadAdmin, admin_fields, create_admin
    from pertoken.wiring.clock import SystemClock

    hasher = make_hasher(db)
    expires_at_us = None if expires is None else parse_time(expires, "UTC", "--expires")
    try:
        with changes(db) as opened:
            made = create_admin(
                opened.admins,
                SystemClock(),
                hasher,
                name,
                Role(role),
                team=team,
                customer=customer,
                expires_at_us=expires_at_us,
            )
            said = admin_fields(made.admin, now_us())
            note(opened, Action.ADMINS_WRITE, f"/api/v1/admins/{made.admin.admin_id}", None, said, team)
            say_new_names(opened.administration.list_keys(), team, customer)
    except BadAdmin as error:
        raise CommandRefused(str(error)) from error
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
    """List all admin keys, including expired and revoked ones."""
    from pertoken.services.admins import admin_fields

    at_us = now_us()
    with changes(db) as opened:
        rows = [admin_fields(one, at_us) for one in opened.admins.list_all()]
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
    """Revoke an admin key by id or name. Its next request is refused."""
    from pertoken.services.admins import admin_fields

    at_us = now_us()
    with changes(db) as opened:
        admins = opened.admins
        found = next((one for one in admins.list_all() if id_or_name in (one.admin_id, one.name)), None)
        if found is None or not admins.revoke(found.admin_id, at_us):
            near = meant(id_or_name, {one.name for one in admins.list_all()} - {id_or_name})
            raise CommandRefused(f"no live admin key {id_or_name!r}{near or ';'} see: pertoken admin list")
        was, is_ = admin_fields(found, at_us), admin_fields(found._replace(revoked_at_us=at_us), at_us)
        note(opened, Action.ADMINS_WRITE, f"/api/v1/admins/{found.admin_id}", was, is_, found.team)
    if as_json:
        print_json({"id": found.admin_id, "name": found.name, "revoked": True})
    else:
        echo(f"revoked {found.name} ({found.admin_id})")


@admin.command()
@click.option("--url", default="http://127.0.0.1:4000", show_default=True, help="Where the gateway is reached.")
@db_option
@json_option
def link(url: str, db: str | None, as_json: bool) -> None:
    """Print a link that signs in to the pages as admin, once, within five minutes."""
    from pertoken.wiring.pages import make_sign_in_link

    with database(db) as installation:
        with installation.changes() as opened:
            note(opened, Action.ADMINS_WRITE, "/login/link", None, {"role": "admin"})
        made = f"{url.rstrip('/')}{make_sign_in_link(installation)}"
    if as_json:
        print_json({"link": made, "valid_s": LINK_US // US_PER_SECOND})
    else:
        echo(made)
        echo("it works once, within five minutes", err=True)


@admin.command()
@click.argument("name")
@click.option("--reports", metavar="AMOUNT", help="The most that its owners may report a day (UTC), such as 5.")
@click.option("--currency", default="USD", show_default=True, help="Currency of --reports.")
@click.option("--events", type=click.IntRange(0), help="The most events a day. [1000 with --reports]")
@click.option("--tokens", type=click.IntRange(0), help="The most tokens a day. [10000000 with --reports]")
@click.option("--no-reports", is_flag=True, help="Its owners may no longer report usage.")
@click.option("--customer", "customers", multiple=True, help="It may also name this customer; may repeat.")
@click.option("--without", multiple=True, metavar="CUSTOMER", help="It may no longer name this customer; may repeat.")
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
    """Set which customers a team may name and how much its owners may report a day, and show the result."""
    from pertoken.services import teams

    if no_reports and reports is not None:
        raise click.UsageError("choose one of --reports and --no-reports")
    if reports is None and (events is not None or tokens is not None):
        raise click.UsageError("--events and --tokens need --reports")
    try:
        allowance = None
        if reports is not None:
            most = (teams.EVENTS if events is None else events, teams.TOKENS if tokens is None else tokens)
            allowance = teams.to_allowance(reports, currency, *most)
    except teams.BadAllowance as error:
        raise CommandRefused(str(error)) from error
    at_us = now_us()
    with changes(db) as opened:
        was = teams.team_fields(opened.administration, name, at_us)
        try:
            change = teams.TeamChange(allowance, no_reports, customers, without)
            teams.change_team(opened.administration, name, change, at_us)
        except teams.BadTeam as error:
            raise CommandRefused(str(error)) from error
        said = teams.team_fields(opened.administration, name, at_us)
        if said != was:
            note(opened, Action.TEAMS_WRITE, f"/api/v1/teams/{name}", was, said, name)
    for said_of_it in misspelt(db, {"team": name}):
        echo(f"{said_of_it} it is changed anyway", err=True)
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
