"""The filter options, which are the same for every command that shows usage."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.session import CommandRefused
from pertoken.core.texts import tidy

if TYPE_CHECKING:
    from pertoken.ports.archive import DirectoryView

DIMENSIONS = ("key", "team", "customer", "user", "provider", "model", "conversation")
STATUSES = ("ok", "refused", "failed", "hung_up", "estimated", "unpriced", "correction")

_HELP = {"key": "Id or name of a key."}


def filter_options(command: Any) -> Any:
    """Add the filters to a command; they arrive as `key`, `team` and so on, `status` and `min_cost`."""
    options = [click.option(f"--{name}", metavar="NAME", help=_HELP.get(name)) for name in DIMENSIONS]
    options.append(click.option("--status", type=click.Choice(STATUSES), help="How the call ended."))
    options.append(click.option("--min-cost", metavar="AMOUNT", help="Least cost of a call, in its currency."))
    for option in reversed(options):
        command = option(command)
    return command


def take_filters(given: Mapping[str, Any]) -> tuple[dict[str, str], str | None, Decimal | None]:
    """Return the requested dimensions, the status and the least cost. Exits with 2 if one is invalid."""
    from pertoken.core.money import NotAnAmount, parse_amount

    where = {name: tidy(given[name]) for name in DIMENSIONS if given.get(name) is not None}
    text = given.get("min_cost")
    if text is None:
        return where, given.get("status"), None
    try:
        parse_amount(text)
    except NotAnAmount as error:
        raise click.BadParameter(str(error), param_hint="--min-cost") from error
    return where, given.get("status"), Decimal(text)


def find_key(archive: "DirectoryView", where: dict[str, str]) -> dict[str, str]:
    """Return `where` with a key's id instead of its name; an unknown name does not change."""
    asked, keys = where.get("key"), archive.list_keys()
    if asked is None or any(key.key_id == asked for key in keys):
        return where
    named = [key.key_id for key in keys if key.name == asked]
    return {**where, "key": named[-1]} if named else where


def refuse_refused() -> None:
    """Point to the list of refused calls. They used nothing, so no report of usage contains them."""
    raise CommandRefused("refused calls have no usage; see: pertoken calls --status refused")
