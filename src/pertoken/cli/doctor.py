"""`pertoken doctor`: finds problems of this installation, and says how to fix them. It changes nothing."""

import http.client
import os
import shlex
import sys
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import click

from pertoken.cli.output import echo
from pertoken.cli.provider import STREAM_USAGE, shown_url
from pertoken.cli.serve import PORT, why_not_free
from pertoken.cli.session import CommandRefused, db_option, json_option, load_settings, now_us, one_line, print_json
from pertoken.cli.tables import counted

if TYPE_CHECKING:
    from pertoken.core.census import Full
    from pertoken.core.prices import PriceRow
    from pertoken.core.trust import Doubt
    from pertoken.settings import Settings
    from pertoken.wiring.installation import Installation

PRICES_AGE_MAX = timedelta(days=90)
CLOCK_AHEAD_US_MAX = 5_000_000  # the clocks of two machines may differ by this much without harm
ANSWER_S_MAX = 2.0
COUNTS_SHOWN = 10
NAMED_SHOWN = 10
MAKE_A_KEY = "pertoken key create my-app --budget 5/day"  # creates the database too


class Finding(NamedTuple):
    """The result of one check: ok, a problem, or a note (everything works, but you may want to decide something)."""

    check: str
    ok: bool
    found: str
    fix: str | None = None
    note: bool = False

    @property
    def level(self) -> str:
        """Return "ok", "note" or "problem"."""
        if not self.ok:
            return "problem"
        return "note" if self.note else "ok"

    def fields(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        said = {"check": self.check, "ok": self.ok, "level": self.level, "found": self.found}
        return {**said, "fix": self.fix}


COLORS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command()
@click.option("--port", type=PORT, default=4000, envvar="PORT", help="Port of the gateway.")
@db_option
@json_option
def doctor(port: int, db: str | None, as_json: bool) -> None:
    """Check Python, settings, database, prices, keys, clock and port. Exit with 1 if there is a problem.

    A note is not a problem: everything works, but you may want to decide something.
    """
    findings = list(_look(db, port))
    if as_json:
        print_json({"ok": all(finding.ok for finding in findings), "checks": [one.fields() for one in findings]})
    else:
        for one in findings:
            mark = click.style(f"{one.level:7}", fg=COLORS[one.level])
            echo(f"  {one.check}: {one.found}" + (f"\n         fix: {one.fix}" if one.fix else ""), mark=mark)
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def _look(db: str | None, port: int) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    new_enough = sys.version_info >= (3, 11)
    yield Finding("python", new_enough, version, None if new_enough else "install Python 3.11 or newer")
    yield _time_zones()
    try:
        settings = load_settings(db)
    except CommandRefused as error:
        fix = "correct that setting, in the file that PERTOKEN_CONFIG names or in its PERTOKEN_ variable"
        yield Finding("settings", ok=False, found=error.message, fix=fix)
        return
    found = f"{counted(len(settings.providers), 'provider')}, {counted(len(settings.models), 'model name')} routed"
    yield Finding("settings", ok=True, found=found)
    yield from _providers(settings)
    yield _admin_key(settings)
    yield from _store(settings)
    yield _port(port)


def _time_zones() -> Finding:
    if "Europe/Berlin" in zoneinfo.available_timezones():
        return Finding("time zones", ok=True, found="known")
    return Finding("time zones", ok=False, found="this machine has no time zone data", fix="pip install tzdata")


def _providers(settings: "Settings") -> Iterator[Finding]:
    """Report the address and the abilities of each active provider, and whether it has a key, but never the key.

    One key is enough, and a local provider may need none; a provider without a key is a note.
    """
    from pertoken.settings import ENCRYPTED, has_key, key_variables, missing_key

    for name, provider in settings.providers.items():
        key = "key present, encrypted" if (provider.api_key or "").startswith(ENCRYPTED) else "key present"
        if provider.auth == "none":
            key = "sent without a key"
        elif not has_key(provider):
            lacking = missing_key(settings, name)
            wanted = lacking or " or ".join(key_variables(name)) or f"providers.{name}.api_key"
            key = f"no key is set ({wanted}), so calls to it {'are refused' if lacking else 'are sent without one'}"
        found = (
            f"{shown_url(provider.base_url)}, {key}; wire {provider.wire}, "
            f"usage in streams: {STREAM_USAGE[provider.stream_usage]}, "
            f"abort stops billing: {provider.stops_billing_on_abort}, on hang-up: {provider.on_hangup}"
        )
        problem, fix = _what_is_wrong(name, settings)
        has_no_key = not has_key(provider) and provider.auth != "none"
        if has_no_key and fix is None:
            fix = f"export {(key_variables(name) or ('KEY',))[0]}=..., if you call {name}"
        found = f"{found}; {problem}" if problem else found
        yield Finding(f"provider {name}", not problem, found, fix, note=has_no_key)
    if not any(has_key(one) or one.auth == "none" for one in settings.providers.values()):
        yield Finding("provider keys", ok=False, found="none is set", fix="export OPENAI_API_KEY=...")


def _what_is_wrong(name: str, settings: "Settings") -> tuple[str | None, str | None]:
    from pertoken.settings import ENCRYPTED, FROM_ENVIRONMENT, BadSettings
    from pertoken.wiring.base_urls import check_base_url
    from pertoken.wiring.provider_keys import provider_key

    provider = settings.providers[name]
    try:
        check_base_url(provider.base_url)
    except ValueError:
        return (
            "its base url cannot be called",
            f"write providers.{name}.base_url as https://HOST/PATH, without a secret",
        )
    try:
        provider_key(settings, name)
    except BadSettings as error:
        if (provider.api_key or "").startswith(FROM_ENVIRONMENT):
            problem, _, fix = str(error).partition("; set it: ")
            return problem, fix
        if not (provider.api_key or "").startswith(ENCRYPTED):
            return str(error), f"set providers.{name}.api_key to the key that {name} gave you"
        return str(error), f"pertoken provider encrypt, and write what it prints as providers.{name}.api_key"
    if provider.on_hangup == "cut" and provider.stops_billing_on_abort != "yes":
        charging = "goes on" if provider.stops_billing_on_abort == "no" else "may go on"
        fix = (
            f"set providers.{name}.on_hangup to drain, or providers.{name}.stops_billing_on_abort to yes "
            "if you know that an abort ends its charge"
        )
        problem = f"a client that hangs up cuts the stream, and the provider {charging} charging for uncounted output"
        return problem, fix
    return None, None


def _admin_key(settings: "Settings") -> Finding:
    from pertoken.core.secrets import weakness

    if not settings.admin_key:
        return Finding(
            "admin key", ok=True, found="not set; the control plane accepts the keys of: pertoken admin list"
        )
    problem = weakness(settings.admin_key)
    if problem is None:
        return Finding("admin key", ok=True, found="set")
    fix = "export PERTOKEN_ADMIN_KEY=$(openssl rand -hex 20)"
    return Finding("admin key", ok=False, found=f"it opens the control plane and is weak: {problem}", fix=fix)


def _store(settings: "Settings") -> Iterator[Finding]:
    from pertoken.ports.failures import NotAnAddress, StoreFailed
    from pertoken.wiring.installation import connect

    is_file = settings.database_url.startswith("sqlite:")
    try:
        with connect(settings) as found:
            if found.exists():
                yield from _opened(found)
            else:
                yield _no_database_yet(Path(found.place))
    except NotAnAddress as error:
        fix = "name a database: --db sqlite:///PATH or --db postgresql://USER@HOST/NAME"
        yield Finding("database", ok=False, found=str(error), fix=fix)
    except StoreFailed as error:
        fix = "make the file and its folder writable, or name another: --db sqlite:///PATH"
        yield Finding("database", ok=False, found=one_line(error), fix=fix if is_file else _fix_server(error, settings))


def _fix_server(error: Exception, settings: "Settings") -> str:
    """Return the fix for a database on a server that cannot be opened."""
    name = urlsplit(settings.database_url).path.removeprefix("/") or "NAME"
    if "does not exist" in str(error) and "database" in str(error):
        return f"createdb {shlex.quote(name)}, or name another: --db postgresql://USER@HOST/NAME"
    return "start the server, or correct the address: --db postgresql://USER@HOST/NAME; see docs/how-to/postgresql.md"


def _no_database_yet(path: Path) -> Finding:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        fix = f"chmod u+w {shlex.quote(str(folder))}, or name another file: --db sqlite:///PATH"
        return Finding("database", ok=False, found=f"cannot be made, the folder is not writable: {folder}", fix=fix)
    return Finding("database", ok=False, found=f"not made yet: {path}", fix=MAKE_A_KEY)


def _secret_key(opened: "Installation") -> Finding:
    from pertoken.ports.failures import StoreFailed
    from pertoken.wiring.hasher import make_hasher

    try:
        make_hasher(opened)
    except StoreFailed as error:
        return Finding("secret key", ok=False, found=one_line(error), fix="see docs/how-to/keys.md")
    return Finding("secret key", ok=True, found="it matches the keys in the database")


def _counts(doubts: "Sequence[Doubt]") -> Finding:
    """Report models whose providers count more input than pertoken. This is no fault: more is held for their calls."""
    if not doubts:
        return Finding("token counts", ok=True, found="no provider has reported more input than was held")
    said = [
        f"{one.provider}/{one.model} {one.trust.ratio_percent} % of pertoken's count"
        + (f", {one.trust.byte_ratio_percent} % of its bytes" if one.trust.byte_ratio_percent > 100 else "")
        + (f", and {one.trust.constant_tokens:,} tokens" if one.trust.constant_tokens else "")
        + f" (last {one.reported_tokens:,} reported, {one.counted_tokens:,} counted)"
        for one in doubts[:COUNTS_SHOWN]
    ]
    more = f"; and {len(doubts) - COUNTS_SHOWN} more" if len(doubts) > COUNTS_SHOWN else ""
    name = f"{doubts[0].provider}/{doubts[0].model}"
    found = f"some providers count more tokens than pertoken, so more is held for their calls: {'; '.join(said)}{more}"
    fix = f"pertoken provider trust --reset {name}, if the provider now counts like pertoken"
    return Finding("token counts", ok=True, found=found, fix=fix, note=True)


def _named(full: "Sequence[Full]", names: "Mapping[str, str]") -> Finding:
    """Report keys that have reached a limit on users, tags and so on. That is no problem: further names are limited."""
    if not full:
        return Finding("what keys name", ok=True, found="within its limits")
    said = [f"{names.get(one.key_id, one.key_id)} {one.named:,} {one.kind.replace('_', ' ')}" for one in full]
    more = f"; and {len(full) - NAMED_SHOWN} more" if len(full) > NAMED_SHOWN else ""
    what = "new customers are refused, and other new names are counted as `other`"
    mend = "; to allow more: limits.key_" + full[0].kind + "_max"
    found = f"limits are reached, so {what}: {'; '.join(said[:NAMED_SHOWN])}{more}{mend}"
    return Finding("what keys name", ok=True, found=found)


def _opened(opened: "Installation") -> Iterator[Finding]:
    from pertoken.core.periods import FOREVER_US, US_PER_SECOND
    from pertoken.wiring.bookkeeper import full_accounts
    from pertoken.wiring.census import read_full
    from pertoken.wiring.schema import is_at_head, is_empty

    settings = opened.settings
    if is_empty(opened):
        yield Finding("database", ok=False, found=f"empty, no tables are made yet: {opened.place}", fix=MAKE_A_KEY)
        return
    if not is_at_head(opened):
        yield Finding("database", ok=False, found=f"its tables have another version: {opened.place}", fix=MAKE_A_KEY)
        return
    owed, unreadable = _owed(settings), list(_unreadable(settings))
    if not owed.ok or not unreadable:
        yield owed
    yield from unreadable
    with opened.changes():
        pass  # if a transaction begins and commits, the database is writable
    yield Finding("database", ok=True, found=f"writable, at the newest version: {opened.place}")
    yield _secret_key(opened)
    accounts, named = full_accounts(opened), read_full(opened, now_us())
    with opened.archive() as archive:
        rows, keys, doubts = archive.prices(), archive.list_keys(), archive.doubts()
        ahead = archive.events_by_time(now_us(), FOREVER_US)
        newest_event_us = max((event.recorded_at_us for event in ahead), default=0)
    newest_us = max((row.recorded_at_us for row in rows), default=0)
    yield _accounts(accounts)
    yield _prices(len(rows), datetime.fromtimestamp(newest_us // US_PER_SECOND, UTC))
    yield from _routed(settings, rows)
    yield _counts(doubts)
    yield _named(named, {key.key_id: key.name for key in keys})
    live = sum(key.revoked_at_us is None for key in keys)
    yield Finding("virtual keys", live > 0, f"{live} live" if live else "none is live", None if live else MAKE_A_KEY)
    yield _clock(max(newest_us, newest_event_us))


def _owed(settings: "Settings") -> Finding:
    """Report settlements that are not in the books yet, of all processes on this machine."""
    from pertoken.wiring.journals import read_waiting

    waiting = read_waiting(settings)
    if not waiting:
        return Finding("settlements", ok=True, found="all are posted")
    parked = [one for one in waiting if one.parked]
    if not parked:
        found = f"{len(waiting)} wait for the database, in {waiting[0].path}"
        return Finding("settlements", ok=False, found=found, fix="pertoken serve, which posts them to the database")
    first, providers = parked[0], ", ".join(sorted({one.provider for one in parked}))
    found = (
        f"{len(parked)} cannot be posted, in {first.path}; until then, no call goes to {providers}; "
        f"the first, {first.hold_id}: {first.reason}"
    )
    fix = (
        "upgrade and restart pertoken; if the problem remains, report the reason as a bug. To give these settlements "
        "up, stop pertoken and move the file away: their holds expire in a year"
    )
    return Finding("settlements", ok=False, found=" ".join(found.split()), fix=fix)


def _unreadable(settings: "Settings") -> Iterator[Finding]:
    """Report files that were set aside because some of their lines cannot be read."""
    from pertoken.wiring.journals import read_unreadable

    for path, numbers in read_unreadable(settings):
        lines = ", ".join(map(str, numbers)) or "none, now"
        found = f"lines of {path} cannot be read ({lines}) and are not posted"
        fix = (
            "if a newer version of pertoken wrote them, upgrade. Else compare the lines with the log, which has each "
            "settlement in full, and correct or remove them. Then rename the file to "
            f"{path.with_suffix('').name}, and restart pertoken; or move the file away to go on"
        )
        yield Finding("unreadable settlements", ok=False, found=found, fix=fix)


def _accounts(full: list[tuple[str, str]]) -> Finding:
    if not full:
        return Finding("accounts", ok=True, found="all have room")
    names = ", ".join(f"{provider} in {currency}" for provider, currency in full)
    fix = "find the wrong events: pertoken usage --by provider,model; then start a new database: --db sqlite:///PATH"
    return Finding("accounts", ok=False, found=f"full, so no call is sent: {names}", fix=fix)


def _prices(count: int, newest: datetime) -> Finding:
    if not count:
        return Finding("price book", ok=False, found="empty", fix="pertoken price import genai")
    found = f"{count:,} prices, the newest recorded {newest:%Y-%m-%d}"
    if datetime.now(UTC) - newest > PRICES_AGE_MAX:
        fix = "pip install --upgrade genai-prices && pertoken price import genai"
        return Finding("price book", ok=False, found=f"{found}: more than {PRICES_AGE_MAX.days} days ago", fix=fix)
    return Finding("price book", ok=True, found=found)


def _routed(settings: "Settings", rows: Sequence["PriceRow"]) -> Iterator[Finding]:
    """Report price lists and routed models in the settings that have no price; most of them are misspelt."""
    from pertoken.core.price_book import PriceBook
    from pertoken.core.texts import meant
    from pertoken.wiring.sellers import sellers

    lists = {(name, other) for name, one in settings.providers.items() for other in one.prices_from}
    sold = {row.provider for row in rows}
    for name, other in sorted(lists):
        if other not in sold:
            found = f"its list prices are those of {other!r}, but none is known{meant(other, sold)}"
            yield Finding(
                f"provider {name}", ok=True, found=found, fix=f"correct providers.{name}.prices_from", note=True
            )
    if not settings.models:
        return  # sorting thousands of prices takes time
    book = PriceBook(rows, sellers(settings))
    for name, one in settings.models.items():
        model = one.priced_as or one.model
        if not book.providers_of(model, now_us(), [one.provider]):
            near = meant(model, book.models_of(one.provider, now_us())).strip("; ")
            found = f"{one.provider} has no price for {model!r}, so calls to it are refused"
            fix = f"pertoken price add --provider {one.provider} --model {shlex.quote(model)} --input ... --output ..."
            yield Finding(f"model {name}", ok=True, found=found, fix=f"{near} else: {fix}" if near else fix, note=True)


def _clock(newest_us: int) -> Finding:
    """Compare the clock with the newest record, because prices and budgets depend on the clock."""
    now = datetime.now(UTC)
    if newest_us > now_us() + CLOCK_AHEAD_US_MAX:
        found = f"{now:%Y-%m-%dT%H:%MZ}, which is earlier than the newest record in the database"
        return Finding("clock", ok=False, found=found, fix="sudo timedatectl set-ntp true")
    return Finding("clock", ok=True, found=f"{now:%Y-%m-%dT%H:%MZ}")


def _port(port: int) -> Finding:
    if port == 0:
        return Finding("port", ok=True, found="port 0: any free port")
    error = why_not_free("127.0.0.1", port)
    if error is None:
        return Finding(f"port {port}", ok=True, found="free")
    if _is_a_gateway(port):
        return Finding(f"port {port}", ok=True, found="a gateway answers there")
    other = f"pertoken serve --port {port + 1 if port < 65535 else 0}"
    return Finding(f"port {port}", ok=False, found=f"not free: {error.strerror}", fix=other)


def _is_a_gateway(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().read(100) == b'{"status":"live"}'
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
