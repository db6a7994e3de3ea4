"""`pertoken calls`: lists single calls, newest first, or follows new ones."""

import itertools
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec

from pertoken.cli.filters import filter_options, find_key, take_filters
from pertoken.cli.near_names import say_near_values
from pertoken.cli.output import echo, escaped_json, say_empty
from pertoken.cli.session import (
    database,
    db_option,
    folder_errors,
    json_option,
    open_folder,
)
from pertoken.cli.tables import print_table, write_csv
from pertoken.cli.usage import chosen_range

if TYPE_CHECKING:
    from pertoken.ports.archive import Archive
    from pertoken.ports.months import MonthFiles
    from pertoken.services.calls import Place, Wanted
    from pertoken.wiring.installation import Installation

LIMIT_MAX = 100_000
REFUSED = "refused"  # the status of refused calls, which are stored separately
POLL_S = 0.5  # how often the database is read for new calls
AT_ONCE = 1_000  # of them

# The headings of columns; a column of the second group is left out if it is empty in all rows.
ALWAYS = {"at": "time (UTC)", "call_id": "call", "status": "status", "model": "model"}
SOMETIMES = {
    "refusal": "why",
    "key_name": "key",
    "team": "team",
    "customer": "customer",
    "user": "user",
    "conversation": "conversation",
}
NUMBERS = {"input_tokens": "input", "output_tokens": "output", "cost": "cost", "currency": "currency", "ms": "ms"}
# Columns that a narrow terminal leaves out, the first one first.
SPARED = ("user", "conversation", "ms", "customer", "team", "input_tokens", "output_tokens", "key_name")


@click.command()
@filter_options
@click.option("--since", metavar="TIME", help="A date, a time, 7d, 24h, yesterday or 2026-11. [7 days before today]")
@click.option("--until", metavar="TIME", help="The same; a day or month is included. [now]")
@click.option("--tz", "zone", help="Time zone of plain dates. [UTC]")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="Calls on one page.")
@click.option("--cursor", metavar="CURSOR", help="Continue the list where an earlier page ended.")
@click.option("--follow", is_flag=True, help="Show calls as they come, until Ctrl-C.")
@click.option("--archive", "folder", metavar="DIR", help="Folder with archived months. [where they were written]")
@db_option
@json_option
def calls(**given: Any) -> None:
    """List calls, newest first, one line each: caller, model, status and cost.

    With --json, each call is one JSON line. Archived months are read if --since reaches into them.
    """
    where, status, cost_min = take_filters(given)
    from pertoken.services.calls import Wanted

    _, start_us, end_us = chosen_range(given["since"], given["until"], given["zone"], given["db"], 7)
    with database(given["db"]) as opened:
        with opened.archive() as stored:
            where = find_key(stored, where)
        wanted = Wanted(where, start_us, end_us, status, cost_min)
        if given["follow"]:
            follow = _follow_refused if status == REFUSED else _follow
            follow(opened, wanted, given["as_json"])
        elif status == REFUSED:
            with opened.archive() as stored:
                _refused(stored, wanted, given)
        else:
            with opened.archive() as stored:
                _page(stored, wanted, given)


def _page(archive: "Archive", wanted: "Wanted", given: Mapping[str, Any]) -> None:
    from pertoken.services import calls as listing

    def folder_of(archived: Any) -> "MonthFiles":
        return open_folder(given["folder"] or archived.folder)

    limit = given["limit"]
    before = None if given["cursor"] is None else read_cursor(given["cursor"])
    with folder_errors():
        found = list(itertools.islice(listing.newest(archive, wanted, folder_of, before), limit + 1))
    keys = {key.key_id: key.name for key in archive.list_keys()}
    rows = [listing.call_fields(posted.event, keys) for posted in found[:limit]]
    _show(rows, given["as_json"])
    if not found:
        say_near_values(archive, wanted.where)
    if len(found) > limit:
        echo(f"more: the same command with --cursor {write_cursor(found[limit - 1].place)}", err=True)


def _refused(archive: "Archive", wanted: "Wanted", given: Mapping[str, Any]) -> None:
    """Show refused calls, of which only the last ones are kept."""
    from pertoken.core.refusals import WHOLE_MAX
    from pertoken.services import calls as listing

    keys, limit = {key.key_id: key.name for key in archive.list_keys()}, given["limit"]
    before = None if given["cursor"] is None else read_refused_cursor(given["cursor"])
    found = listing.refused(archive, wanted, limit + 1, before)
    _show([listing.refused_fields(one, keys) for one in found[:limit]], given["as_json"])
    if len(found) > limit:
        last = found[limit - 1]
        echo(f"more: the same command with --cursor {last.at_us}.{last.call_id}", err=True)
    if not given["as_json"]:
        echo(f"the last {WHOLE_MAX:,} refused calls are kept; why one was refused: pertoken explain CALL_ID", err=True)


def _follow(opened: "Installation", wanted: "Wanted", form: Any) -> None:
    """Show new calls until interrupted."""
    from pertoken.core.periods import FOREVER_US
    from pertoken.services import calls as listing

    wanted = wanted._replace(since_us=0, until_us=FOREVER_US)
    with opened.archive() as archive:
        last = archive.last_number()
    echo("waiting for calls; Ctrl-C ends", err=True)
    while True:
        with opened.archive() as archive:
            posted = archive.posted_after(last, AT_ONCE)
            keys = {key.key_id: key.name for key in archive.list_keys()} if posted else {}
        for one in listing.following(posted, wanted):
            _line(listing.call_fields(one.event, keys), form)
        if posted:
            last = posted[-1].place[1]
        if len(posted) < AT_ONCE:
            time.sleep(POLL_S)


def _follow_refused(opened: "Installation", wanted: "Wanted", form: Any) -> None:
    """Show newly refused calls until interrupted; a gateway writes them once a second."""
    from pertoken.core.periods import FOREVER_US
    from pertoken.core.refusals import WHOLE_MAX
    from pertoken.services import calls as listing

    wanted = wanted._replace(since_us=0, until_us=FOREVER_US)
    known: set[str] | None = None
    while True:
        with opened.archive() as archive:
            found = listing.refused(archive, wanted, WHOLE_MAX)
            new = [] if known is None else [call for call in reversed(found) if call.call_id not in known]
            keys = {key.key_id: key.name for key in archive.list_keys()} if new else {}
        if known is None:
            echo("waiting for refused calls; Ctrl-C ends", err=True)
        for call in new:
            _line(listing.refused_fields(call, keys), form)
        known = {call.call_id for call in found}
        time.sleep(POLL_S)


def _show(rows: list[dict[str, Any]], form: Any) -> None:
    if form == "csv":
        write_csv(rows)
    elif form:
        for row in rows:
            _line(row, form)
    elif not rows:
        say_empty("no such calls in this time", "pertoken usage --by day, for days with calls")
    else:
        said = [
            {**row, "at": row["at"][:19].replace("T", " "), "key_name": row["key_name"] or row["key"]} for row in rows
        ]
        some = {field: heading for field, heading in SOMETIMES.items() if any(row[field] for row in said)}
        print_table(
            "calls, the newest first", {**ALWAYS, **some, **_numbers(said)}, said, spared=SPARED, rounded=("cost",)
        )


def _numbers(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the columns of numbers; if all calls have one currency, the heading of the costs names it."""
    currencies = {row["currency"] for row in rows}
    if len(currencies) > 1:
        return NUMBERS
    columns = {**NUMBERS, "cost": f"cost {currencies.pop()}"}
    del columns["currency"]
    return columns


def _line(row: dict[str, Any], form: Any) -> None:
    """Print one call on one line, at once."""
    if form == "csv":
        write_csv([row], head=False)
    elif form:
        sys.stdout.buffer.write(escaped_json(msgspec.json.encode(row).decode()).encode() + b"\n")
    else:
        who = " ".join(f"{name}={row[name]}" for name in ("key_name", "team", "customer", "model") if row[name])
        why = f" refusal={row['refusal']}" if row["refusal"] else ""
        used = f"input_tokens={row['input_tokens']} output_tokens={row['output_tokens']}{why}"
        echo(f"{row['at']} {row['call_id']} {row['status']} {who} {used} cost={row['cost']}{row['currency']}")
    sys.stdout.flush()


def write_cursor(place: "Place") -> str:
    """Return a place in the list as text."""
    return f"{place[0]}.{place[1]}"


def read_cursor(text: str) -> "Place":
    """Return the place of a cursor. Exits with 2 if it is invalid."""
    first, _, second = text.partition(".")
    try:
        place = int(first), int(second)
    except ValueError as error:
        raise click.BadParameter("not a cursor; the earlier page ends with one", param_hint="--cursor") from error
    if any(abs(part) >= 2**63 for part in place):
        raise click.BadParameter("not a cursor; the earlier page ends with one", param_hint="--cursor")
    return place


def read_refused_cursor(text: str) -> tuple[int, str]:
    """Return a place among refused calls: the time and id of one. Exits with 2 if the cursor is invalid."""
    first, _, call_id = text.partition(".")
    if not (first.isascii() and first.isdigit() and len(first) < 19 and call_id):
        raise click.BadParameter("not a cursor; the earlier page ends with one", param_hint="--cursor")
    return int(first), call_id
