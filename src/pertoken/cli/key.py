"""`pertoken key`: creates, lists, rotates and revokes virtual keys."""

from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.near_names import say_new_names
from pertoken.cli.noting import note, note_budget
from pertoken.cli.output import echo, say_empty
from pertoken.cli.session import (
    CommandRefused,
    archive,
    changes,
    db_option,
    json_option,
    make_hasher,
    now_us,
    pairs,
    print_json,
)
from pertoken.cli.tables import print_table, time_text
from pertoken.core.access import Action
from pertoken.core.texts import meant

if TYPE_CHECKING:
    from pertoken.core.directory import Key
    from pertoken.ports.administration import Administration

COLUMNS = {
    "name": "name",
    "id": "id",
    "secret_ends_in": "ends in",
    "team": "team",
    "customer": "customer",
    "status": "status",
    "until": "until (UTC)",
}


@click.group(cls=CommandGroup)
def key() -> None:
    """Create, list, rotate and revoke virtual keys."""


@key.command()
@click.argument("name")
@click.option("--team", help="The team that uses it.")
@click.option("--customer", help="The customer who is billed for its calls.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag on every call; may repeat.")
@click.option("--budget", "rate", metavar="LIMIT/WINDOW", help="A hard money budget for this key, such as 5/day.")
@click.option("--expires", metavar="SPAN|TIME", help="When it expires: 90d, or 2027-01-01 (UTC).")
@db_option
@json_option
def create(  # noqa: PLR0917 - click passes each option by name
    name: str,
    team: str | None,
    customer: str | None,
    tags: tuple[str, ...],
    rate: str | None,
    expires: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Create a key. Its secret is shown only now."""
    from pertoken.services.budgets import BadBudget, Wish, parse_rate, set_budget
    from pertoken.services.keys import BadKey, create_key
    from pertoken.wiring.clock import SystemClock

    clock = SystemClock()
    hasher = make_hasher(db, make=True)
    expires_at_us = None if expires is None else _moment(expires)
    try:
        limit_and_window = parse_rate(rate) if rate else None
        with changes(db) as opened:
            admin = opened.administration
            keys = admin.list_keys()
            made = create_key(
                admin, clock, hasher, name,
                team=team, customer=customer, tags=pairs(tags, "--tag"), expires_at_us=expires_at_us,
            )  # fmt: skip
            note(opened, Action.KEYS_WRITE, f"/api/v1/keys/{made.key.key_id}", None, _fields(made.key), team)
            if limit_and_window is not None:
                limit, window = limit_and_window
                of_team = {} if team is None else {"team": team}  # the name is unique in the team
                scope = {"key": made.key.key_id, **of_team}
                if any(one.name == f"key:{name}" and dict(one.scope).get("team") == team for one in admin.budgets()):
                    raise BadBudget(f"a budget named 'key:{name}' already exists; see: pertoken budget status")
                wish = Wish(f"key:{name}", limit, window=window, scope=scope)
                note_budget(opened, None, set_budget(admin, clock, wish))
    except (BadKey, BadBudget) as error:
        raise CommandRefused(str(error)) from error
    say_new_names(keys, team, customer)
    if as_json:
        said = {"team": team, "customer": customer, "expires_at": _said(expires_at_us)}
        print_json({"id": made.key.key_id, "secret": made.secret, "name": name, **said})
        return
    echo(f"id      {made.key.key_id}\nsecret  {made.secret}")
    echo("the secret is shown only now; use it in place of a provider's key", err=True)


@key.command("list")
@db_option
@json_option
def list_(db: str | None, as_json: bool) -> None:
    """List all keys, including revoked ones."""
    with archive(db) as stored:
        keys = stored.list_keys()
    now = now_us()
    rows: list[dict[str, Any]] = [{**_fields(one), "status": _status(one, now)} for one in keys]
    if as_json:
        print_json({"keys": rows})
    elif not rows:
        say_empty("no keys yet", "pertoken key create my-app --budget 5/day")
    else:
        ends = [time_text(row["revoked_at"] or row["expires_at"]) for row in rows]
        said = [{**row, "until": until} for row, until in zip(rows, ends, strict=True)]
        print_table("virtual keys", COLUMNS, said, spared=["secret_ends_in", "until"])


def _fields(one: "Key") -> dict[str, Any]:
    return {
        "id": one.key_id,
        "name": one.name,
        "secret_ends_in": one.secret_hint,
        "team": one.team,
        "customer": one.customer,
        "tags": dict(one.tags),
        "created_at": _said(one.created_at_us),
        "expires_at": _said(one.expires_at_us),
        "revoked_at": _said(one.revoked_at_us),
        "old_secret_until": _said(one.old_secret_until_us),
    }


def _why_no_live_key(admin: "Administration", id_or_name: str) -> str:
    names = {one.name for one in admin.list_keys() if one.revoked_at_us is None} - {id_or_name}
    return f"no live key {id_or_name!r}{meant(id_or_name, names) or ';'} see: pertoken key list"


@key.command()
@click.argument("id_or_name")
@click.option("--overlap", default="24h", show_default=True, metavar="SPAN", help="Validity of the old secret.")
@db_option
@json_option
def rotate(id_or_name: str, overlap: str, db: str | None, as_json: bool) -> None:
    """Give a key a new secret, which is shown only now. The key, its budgets and its usage do not change."""
    from pertoken.core.periods import NotATime, parse_span
    from pertoken.services.keys import BadKey, rotate_key
    from pertoken.wiring.clock import SystemClock

    try:
        overlap_us = parse_span(overlap)
    except NotATime as error:
        raise click.BadParameter(str(error), param_hint="--overlap") from error
    hasher = make_hasher(db)
    with changes(db) as opened:
        admin = opened.administration
        found = find(admin, id_or_name)
        if found is None or found.revoked_at_us is not None:
            raise CommandRefused(_why_no_live_key(admin, id_or_name))
        try:
            made = rotate_key(admin, SystemClock(), hasher, found, overlap_us)
        except BadKey as error:
            raise CommandRefused(str(error)) from error
        path = f"/api/v1/secrets/{found.key_id}"
        note(opened, Action.KEYS_WRITE, path, _fields(found), _fields(made.key), found.team)
    until = _said(made.key.old_secret_until_us)
    if as_json:
        print_json({"id": made.key.key_id, "secret": made.secret, "name": found.name, "old_secret_until": until})
        return
    echo(f"id      {made.key.key_id}\nsecret  {made.secret}")
    echo(f"the secret is shown only now; the old one stays valid until {until}", err=True)


@key.command()
@click.argument("id_or_name")
@db_option
@json_option
def revoke(id_or_name: str, db: str | None, as_json: bool) -> None:
    """Revoke a key by id or name. Its next call is refused."""
    at_us = now_us()
    with changes(db) as opened:
        admin = opened.administration
        found = find(admin, id_or_name)
        if found is None or not admin.revoke_key(found.key_id, at_us):
            raise CommandRefused(_why_no_live_key(admin, id_or_name))
        revoked = found._replace(revoked_at_us=at_us)
        path = f"/api/v1/keys/{found.key_id}"
        note(opened, Action.KEYS_WRITE, path, _fields(found), _fields(revoked), found.team)
    if as_json:
        print_json({"id": found.key_id, "name": found.name, "revoked": True})
    else:
        echo(f"revoked {found.name} ({found.key_id})")


def find(admin: "Administration", id_or_name: str) -> "Key | None":
    """Return a key by its id or name, or None. Ends the command if several teams use the name."""
    from pertoken.services.keys import SeveralKeys, find_key

    try:
        return find_key(admin, id_or_name)
    except SeveralKeys as error:
        raise CommandRefused(str(error)) from error


def _moment(text: str) -> int:
    """Return an instant from a time, or from a span that begins now. Exits with 2 if the text is neither."""
    from pertoken.core.periods import NotATime, parse_span, parse_time

    try:
        return parse_time(text) if "-" in text else now_us() + parse_span(text)
    except NotATime as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error


def _said(at_us: int | None) -> str | None:
    from pertoken.core.periods import format_time

    return None if at_us is None else format_time(at_us)


def _status(key: "Key", now: int) -> str:
    if key.revoked_at_us is not None:
        return "revoked"
    return "expired" if key.expires_at_us is not None and key.expires_at_us <= now else "live"
