"""`pertoken doctor`: what is wrong with this installation, and the command that mends it. It changes nothing."""

import contextlib
import http.client
import os
import socket
import sys
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from pertoken.cli.provider import STREAM_USAGE, shown_url
from pertoken.cli.session import Refused, db_option, json_option, load_settings, now_us, one_line, print_json

if TYPE_CHECKING:
    from pertoken.core.census import Full
    from pertoken.core.trust import Doubt
    from pertoken.settings import Settings
    from pertoken.store.database import Database

PRICES_AGE_MAX = timedelta(days=90)
CLOCK_AHEAD_US_MAX = 5_000_000  # two machines' clocks may differ this much without harm
ANSWER_S_MAX = 2.0
COUNTS_SHOWN = 10
NAMED_SHOWN = 10
MAKE_A_KEY = "pertoken key create my-app --budget 5/day"  # makes the database too


class Finding(NamedTuple):
    """One thing looked at."""

    check: str
    ok: bool
    found: str
    mend: str | None = None


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=4000, envvar="PORT", help="Where the gateway listens.")
@db_option
@json_option
def doctor(port: int, db: str | None, as_json: bool) -> None:
    """Look at Python, settings, database, prices, keys, clock and port; exit 1 when something is wrong."""
    findings = list(_look(db, port))
    if as_json:
        print_json({"ok": all(finding.ok for finding in findings), "checks": [one._asdict() for one in findings]})
    else:
        for one in findings:
            mark = click.style("ok     ", fg="green") if one.ok else click.style("problem", fg="red")
            click.echo(f"{mark}  {one.check}: {one.found}" + (f"\n         mend: {one.mend}" if one.mend else ""))
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def _look(db: str | None, port: int) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    new_enough = sys.version_info >= (3, 11)
    yield Finding("python", new_enough, version, None if new_enough else "install Python 3.11 or newer")
    yield _time_zones()
    try:
        settings = load_settings(db)
    except Refused as error:
        mend = "correct the file that PERTOKEN_CONFIG names, or the PERTOKEN_ variable named here"
        yield Finding("settings", ok=False, found=error.message, mend=mend)
        return
    found = f"{len(settings.providers)} providers, {len(settings.models)} model names routed"
    yield Finding("settings", ok=True, found=found)
    yield from _providers(settings)
    yield _admin_key(settings)
    yield from _store(settings)
    yield _port(port)


def _time_zones() -> Finding:
    if "Europe/Berlin" in zoneinfo.available_timezones():
        return Finding("time zones", ok=True, found="known")
    return Finding("time zones", ok=False, found="this machine has no time zone data", mend="pip install tzdata")


def _providers(settings: "Settings") -> Iterator[Finding]:
    """Tell of each active provider where it is and what it can do, and whether it has a key, never which.

    One key is enough for all to be well, and a local provider may need none.
    """
    from pertoken.settings import ENCRYPTED, key_variables, missing_key  # noqa: PLC0415 - keeps --help fast

    for name, provider in settings.providers.items():
        key = "key present, encrypted" if (provider.api_key or "").startswith(ENCRYPTED) else "key present"
        if provider.auth == "none":
            key = "sent without a key"
        elif not provider.api_key:
            lacking = missing_key(settings, name)
            wanted = lacking or " or ".join(key_variables(name)) or f"providers.{name}.api_key"
            key = f"no key ({wanted}): calls to it {'are refused' if lacking else 'go without one'}"
        found = (
            f"{shown_url(provider.base_url)}, {key}; wire {provider.wire}, "
            f"usage in streams: {STREAM_USAGE[provider.stream_usage]}, "
            f"abort stops billing: {provider.stops_billing_on_abort}, on hang-up: {provider.on_hangup}"
        )
        problem, mend = _what_is_wrong(name, settings)
        yield Finding(f"provider {name}", not problem, f"{found}; {problem}" if problem else found, mend)
    if not any(one.api_key or one.auth == "none" for one in settings.providers.values()):
        yield Finding("provider keys", ok=False, found="none is set", mend="export OPENAI_API_KEY=...")


def _what_is_wrong(name: str, settings: "Settings") -> tuple[str | None, str | None]:
    from pertoken.settings import BadSettings  # noqa: PLC0415 - keeps --help fast
    from pertoken.upstream.origin import parse_origin  # noqa: PLC0415
    from pertoken.wiring import provider_key  # noqa: PLC0415

    provider = settings.providers[name]
    try:
        parse_origin(provider.base_url)
    except ValueError:
        return (
            "its base url cannot be called",
            f"write providers.{name}.base_url as https://HOST/PATH, without a secret",
        )
    try:
        provider_key(settings, name)
    except BadSettings as error:
        return str(error), f"pertoken provider encrypt, and write what it prints as providers.{name}.api_key"
    if provider.on_hangup == "cut" and provider.stops_billing_on_abort != "yes":
        known = {"no": "it goes on charging", "unknown": "it may go on charging"}[provider.stops_billing_on_abort]
        mend = f"set providers.{name}.on_hangup to drain, or stops_billing_on_abort to yes if you know better"
        return f"a stream that is cut leaves a charge that nobody sees: {known} after an abort", mend
    return None, None


def _admin_key(settings: "Settings") -> Finding:
    from pertoken.core.secrets import weakness  # noqa: PLC0415 - keeps --help fast

    if not settings.admin_key:
        return Finding("admin key", ok=True, found="none is set: only those that pertoken admin made open anything")
    problem = weakness(settings.admin_key)
    if problem is None:
        return Finding("admin key", ok=True, found="set")
    mend = "export PERTOKEN_ADMIN_KEY=$(openssl rand -hex 20)"
    return Finding("admin key", ok=False, found=f"it opens everything and is weak: {problem}", mend=mend)


def _store(settings: "Settings") -> Iterator[Finding]:
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - keeps --help fast

    from pertoken.store.backend import StoreFailed  # noqa: PLC0415 - keeps --help fast
    from pertoken.store.database import Database  # noqa: PLC0415

    mend = "make the file and its folder writable, or name another: --db sqlite:///PATH"
    try:
        database = Database(settings.database_url)
        if not database.exists():
            yield _no_database_yet(Path(database.place))
            return
        with contextlib.closing(database):
            yield from _opened(database, settings)
    except (StoreFailed, ArgumentError) as error:
        yield Finding("database", ok=False, found=one_line(error), mend=mend)


def _no_database_yet(path: Path) -> Finding:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        mend = "make the folder writable, or name another file: --db sqlite:///PATH"
        return Finding("database", ok=False, found=f"cannot be made, the folder is not writable: {folder}", mend=mend)
    return Finding("database", ok=False, found=f"not made yet: {path}", mend=MAKE_A_KEY)


def _secret_key(database: "Database", settings: "Settings") -> Finding:
    from pertoken.store.backend import StoreFailed  # noqa: PLC0415 - keeps --help fast
    from pertoken.wiring import make_hasher  # noqa: PLC0415

    try:
        make_hasher(database, settings)
    except StoreFailed as error:
        return Finding("secret key", ok=False, found=one_line(error), mend="see docs/how-to/keys.md")
    return Finding("secret key", ok=True, found="the one that the keys were made with")


def _counts(doubts: "Sequence[Doubt]") -> Finding:
    """Tell which models' providers count more input than we do. Nothing is broken: their calls are held for it."""
    if not doubts:
        return Finding("token counts", ok=True, found="no provider has reported more input than was held for")
    said = [
        f"{one.provider}/{one.model} {one.trust.ratio_percent} % of our count"
        + (f", {one.trust.byte_ratio_percent} % of its bytes" if one.trust.byte_ratio_percent > 100 else "")
        + (f", and {one.trust.constant_tokens:,} tokens" if one.trust.constant_tokens else "")
        + f" (last {one.reported_tokens:,} reported, {one.counted_tokens:,} counted)"
        for one in doubts[:COUNTS_SHOWN]
    ]
    more = f"; and {len(doubts) - COUNTS_SHOWN} more" if len(doubts) > COUNTS_SHOWN else ""
    name = f"{doubts[0].provider}/{doubts[0].model}"
    found = f"providers count more than we do, and calls are held for it: {'; '.join(said)}{more}"
    return Finding(
        "token counts", ok=True, found=f"{found}; to believe our count: pertoken provider trust --reset {name}"
    )


def _named(full: "Sequence[Full]", names: "Mapping[str, str]") -> Finding:
    """Tell which keys have named as many users, tags and so on as they may. Nothing is broken: the rest is bounded."""
    if not full:
        return Finding("what keys name", ok=True, found="within its bounds")
    said = [f"{names.get(one.key_id, one.key_id)} {one.named:,} {one.kind.replace('_', ' ')}" for one in full]
    more = f"; and {len(full) - NAMED_SHOWN} more" if len(full) > NAMED_SHOWN else ""
    what = "new customers are refused, and the rest is counted as `other`"
    mend = "; to allow more: limits.key_" + full[0].kind + "_max"
    found = f"bounds are reached, so {what}: {'; '.join(said[:NAMED_SHOWN])}{more}{mend}"
    return Finding("what keys name", ok=True, found=found)


def _opened(database: "Database", settings: "Settings") -> Iterator[Finding]:
    from pertoken.core.periods import FOREVER_US, US_PER_SECOND  # noqa: PLC0415 - keeps --help fast
    from pertoken.store.archive import Archive  # noqa: PLC0415
    from pertoken.store.bookkeeper import full_accounts  # noqa: PLC0415
    from pertoken.store.census import read_census  # noqa: PLC0415
    from pertoken.wiring import is_at_head, make_bounds  # noqa: PLC0415

    if not is_at_head(database):
        yield Finding(
            "database", ok=False, found=f"its tables are of another version: {database.place}", mend=MAKE_A_KEY
        )
        return
    owed, unreadable = _owed(settings), list(_unreadable(settings))
    if not owed.ok or not unreadable:
        yield owed
    yield from unreadable
    with database.write():
        pass  # a transaction that begins and commits can write
    yield Finding("database", ok=True, found=f"writable, at the newest version: {database.place}")
    yield _secret_key(database, settings)
    with database.read() as connection:
        archive = Archive(connection)
        rows, keys, doubts = archive.prices(), archive.list_keys(), archive.doubts()
        full = full_accounts(connection)
        census = read_census(connection, make_bounds(settings), now_us())
        ahead = archive.events_by_time(now_us(), FOREVER_US)
        newest_event_us = max((event.recorded_at_us for event in ahead), default=0)
    newest_us = max((row.recorded_at_us for row in rows), default=0)
    yield _accounts(full)
    yield _prices(len(rows), datetime.fromtimestamp(newest_us // US_PER_SECOND, UTC))
    yield _counts(doubts)
    yield _named(census.full(), {key.key_id: key.name for key in keys})
    live = sum(key.revoked_at_us is None for key in keys)
    yield Finding("virtual keys", live > 0, f"{live} live", None if live else MAKE_A_KEY)
    yield _clock(max(newest_us, newest_event_us))


def _owed(settings: "Settings") -> Finding:
    """Tell what calls came to and the books do not have, of all processes on this machine."""
    from pertoken.settings import owed_folder  # noqa: PLC0415 - keeps --help fast
    from pertoken.store.owed import read_all  # noqa: PLC0415

    owed = read_all(owed_folder(settings))
    if not owed:
        return Finding("settlements", ok=True, found="all are in the books")
    parked = [(path, one) for path, one in owed if one.parked]
    if not parked:
        found = f"{len(owed)} wait for the database, in {owed[0][0]}"
        return Finding("settlements", ok=False, found=found, mend="pertoken serve posts them when the database works")
    path, first = parked[0]
    providers = ", ".join(sorted({one.provider for _, one in parked}))
    found = (
        f"{len(parked)} cannot be posted, in {path}; no call goes to {providers} meanwhile; "
        f"the first, {first.command.hold_id}: {first.reason}"
    )
    mend = (
        "upgrade pertoken and restart it; if it stays so, report the reason as a bug. To go on without them, stop "
        "pertoken and move the file away: their holds expire in a year"
    )
    return Finding("settlements", ok=False, found=" ".join(found.split()), mend=mend)


def _unreadable(settings: "Settings") -> Iterator[Finding]:
    """Tell of the files that were set aside, for lines of them cannot be read."""
    from pertoken.settings import credit_folder, owed_folder  # noqa: PLC0415 - keeps --help fast
    from pertoken.store import credit, journal, owed  # noqa: PLC0415

    kinds = ((owed_folder(settings), owed.KIND, owed.read), (credit_folder(settings), credit.KIND, credit.read))
    for folder, kind, read in kinds:
        for path in journal.all_set_aside(folder, kind):
            lines = ", ".join(map(str, read(path)[-1])) or "none, now"
            found = f"lines of {path} cannot be read ({lines}): what they say is not in the books; the others are"
            mend = (
                "compare the lines with the log, which has each settlement in full. Mend them or take them out, rename "
                f"the file to {path.with_suffix('').name}, and restart pertoken; or move the file away to go on without"
            )
            yield Finding("unreadable settlements", ok=False, found=found, mend=mend)


def _accounts(full: list[tuple[str, str]]) -> Finding:
    if not full:
        return Finding("accounts", ok=True, found="all have room")
    names = ", ".join(f"{provider} in {currency}" for provider, currency in full)
    mend = "look for absurd events: pertoken usage --by provider,model; begin a new database"
    return Finding("accounts", ok=False, found=f"no room for more, so no call is sent: {names}", mend=mend)


def _prices(count: int, newest: datetime) -> Finding:
    if not count:
        return Finding("price book", ok=False, found="empty", mend="pertoken price import genai")
    found = f"{count:,} prices, the newest recorded {newest:%Y-%m-%d}"
    if datetime.now(UTC) - newest > PRICES_AGE_MAX:
        mend = "pip install --upgrade genai-prices && pertoken price import genai"
        return Finding("price book", ok=False, found=f"{found}: more than {PRICES_AGE_MAX.days} days ago", mend=mend)
    return Finding("price book", ok=True, found=found)


def _clock(newest_us: int) -> Finding:
    """Hold the clock against what was written before: prices and budgets go by it."""
    now = datetime.now(UTC)
    if newest_us > now_us() + CLOCK_AHEAD_US_MAX:
        return Finding("clock", ok=False, found=f"{now:%Y-%m-%dT%H:%MZ}, behind what is stored", mend="set the clock")
    return Finding("clock", ok=True, found=f"{now:%Y-%m-%dT%H:%MZ}")


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if _is_a_gateway(port):
                return Finding(f"port {port}", ok=True, found="a gateway answers there")
            other = f"pertoken serve --port {port + 1 if port < 65535 else 0}"
            return Finding(f"port {port}", ok=False, found=f"not free: {error.strerror}", mend=other)
    return Finding(f"port {port}", ok=True, found="free")


def _is_a_gateway(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().read(100) == b'{"status":"live"}'
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
