"""`pertoken provider`: lists providers, encrypts their keys, and shows which ones count more tokens than pertoken."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import click

from pertoken.cli.group import CommandGroup
from pertoken.cli.noting import note
from pertoken.cli.output import echo
from pertoken.cli.session import (
    CommandRefused,
    archive,
    changes,
    db_option,
    json_option,
    load_settings,
    print_json,
    store_errors,
)
from pertoken.cli.tables import print_table
from pertoken.core.access import Action

if TYPE_CHECKING:
    from pertoken.core.trust import Doubt
    from pertoken.settings import Settings

COLUMNS = {
    "name": "name",
    "wire": "wire",
    "base_url": "base URL",
    "key": "key is read from",
    "stream_usage": "usage in streams",
    "stops_billing_on_abort": "charge ends on abort",
    "state": "state",
}
SPARED = ("stops_billing_on_abort", "stream_usage", "wire")  # a narrow terminal leaves these out, the first one first
TRUST_COLUMNS = {
    "name": "model",
    "ratio_percent": "held, % of pertoken's count",
    "byte_ratio_percent": "or % of bytes",
    "constant_tokens": "plus tokens",
    "counted_tokens": "we counted",
    "reported_tokens": "it reported",
    "changed_at": "last changed",
}
KEY_CHARACTERS_MAX = 8_192
STREAM_USAGE: Mapping[str, str] = {"option": "on request", "unasked": "always", "none": "never; we count"}


@click.group(cls=CommandGroup)
def provider() -> None:
    """List the providers, encrypt their keys, and show which of them count more tokens than pertoken."""


@provider.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every known and every configured provider. Active ones come first, in the order of the model look-up."""
    rows = list(_rows(load_settings(None)))
    if as_json:
        print_json({"providers": rows})
        return
    shown = [
        {
            **row,
            "base_url": row["base_url"] or (f"as {row['base_url_example']}" if row["callable"] else "-"),
            "key": row["key_variables"][0] if row["key_variables"] else "-",
            "stream_usage": STREAM_USAGE[row["stream_usage"]],
            "state": _state(row),
        }
        for row in rows
    ]
    print_table("providers", COLUMNS, shown, spared=SPARED)


@provider.command()
@db_option
@json_option
def encrypt(db: str | None, as_json: bool) -> None:
    """Encrypt a provider's key with the secret key.

    Type or pipe the key in, and use the printed text as `api_key`.
    """
    from pertoken.wiring.provider_keys import encrypt_provider_key

    settings = load_settings(db)
    key = _asked_for_key()
    with store_errors():
        token = encrypt_provider_key(settings, key)
    if as_json:
        print_json({"api_key": token})
        return
    echo(token)
    echo("write it as providers.NAME.api_key; only this installation's secret key can read it", err=True)


@provider.command()
@click.option("--reset", metavar="PROVIDER/MODEL", help="Trust pertoken's count of this model again.")
@db_option
@json_option
def trust(reset: str | None, db: str | None, as_json: bool) -> None:
    """List the models whose providers count more input than pertoken, and how much more is held for their calls.

    Until a provider reports more, pertoken's count is held. After that, the larger of pertoken's count and the length
    in bytes is held, each times its percentage, plus the tokens of the third column. Reset a model when its provider
    has changed how it counts.
    """
    if reset is not None:
        name, _, model = reset.partition("/")
        with changes(db) as changing:
            if not changing.administration.reset_trust(name, model):
                message = f"no provider has contradicted pertoken's count of {reset!r}"
                raise CommandRefused(f"{message}; see: pertoken provider trust")
            note(changing, Action.COUNTS_WRITE, f"/api/v1/counts/{reset}", None, {"name": reset, "reset": True})
        print_json({"name": reset, "reset": True}) if as_json else echo(f"pertoken's count of {reset} is trusted again")
        return
    with archive(db) as opened:
        doubts = opened.doubts()
    rows = [doubt_row(one) for one in doubts]
    if as_json:
        print_json({"counts": rows})
    elif rows:
        print_table("counts that providers contradicted", TRUST_COLUMNS, rows)
    else:
        echo("no provider has reported more input than was held")


def doubt_row(doubt: "Doubt") -> dict[str, Any]:
    """Return how far the count of a model is trusted, and the call that changed this last."""
    from pertoken.core.periods import format_time

    return {
        "name": f"{doubt.provider}/{doubt.model}",
        **doubt.trust._asdict(),
        "counted_tokens": doubt.counted_tokens,
        "reported_tokens": doubt.reported_tokens,
        "call_id": doubt.call_id,
        "changed_at": format_time(doubt.changed_at_us),
    }


def _asked_for_key() -> str:
    """Return the key that is typed unseen or piped; it is never an argument, because other processes can see those."""
    from pertoken.settings import ENCRYPTED

    if sys.stdin.isatty():
        key = str(click.prompt("the provider's key (it is not shown)", hide_input=True, err=True))
    else:
        key = sys.stdin.buffer.read(KEY_CHARACTERS_MAX + 2).decode("ascii", "replace")
    key = key.strip()
    if not key:
        raise CommandRefused("no key was given; pipe it in, or call this from a terminal to be asked")
    if len(key) > KEY_CHARACTERS_MAX:
        raise CommandRefused(f"a provider's key has at most {KEY_CHARACTERS_MAX:,} characters")
    if key.startswith(ENCRYPTED):
        raise CommandRefused("the key is encrypted already")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CommandRefused("a provider's key is one line of printable ASCII without blanks; this is not one")
    return key


def shown_url(base_url: str) -> str:
    """Return a base URL without the user, the password and the query that it may hold."""
    try:
        parts = urlsplit(base_url)
        _ = parts.port
    except ValueError:
        return "(not a URL)"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _rows(settings: "Settings") -> Iterator[dict[str, Any]]:
    from pertoken.catalogs.providers import registry
    from pertoken.settings import has_key, key_variables

    for name, active in settings.providers.items():
        known = registry().get(name)
        yield {
            "name": name,
            "title": known.title if known else name,
            "aliases": known.aliases if known else (),
            "wire": active.wire,
            "base_url": shown_url(active.base_url),
            "base_url_example": None,
            "auth": active.auth,
            "key_variables": key_variables(name),
            "key_found": has_key(active),
            "stream_usage": active.stream_usage,
            "stops_billing_on_abort": active.stops_billing_on_abort,
            "on_hangup": active.on_hangup,
            "output_cap": active.output_cap,
            "callable": True,
            "active": True,
            "note": known.note or None if known else None,
            "source": known.source if known else "settings",
        }
    for name, known in registry().items():
        if name not in settings.providers:
            yield {
                "name": name,
                "title": known.title,
                "aliases": known.aliases,
                "wire": known.wire,
                "base_url": known.base_url or None,
                "base_url_example": known.base_url_example or None,
                "auth": known.auth,
                "key_variables": known.key_variables,
                "key_found": False,
                "stream_usage": known.stream_usage,
                "stops_billing_on_abort": known.stops_billing_on_abort,
                "on_hangup": "drain",
                "output_cap": known.output_cap,
                "callable": known.callable,
                "active": False,
                "note": known.note or None,
                "source": known.source,
            }


def _state(row: Mapping[str, Any]) -> str:
    if row["active"]:
        return "active" if row["key_found"] or row["auth"] == "none" else "active, no key"
    return "not active" if row["callable"] else "reported by ingest only"
