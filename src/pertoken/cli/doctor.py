"""`pertoken doctor`: what is wrong with this installation, and the command that mends it."""

import socket
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from pertoken.cli.session import Refused, db_option, json_option, load_settings, now_us, print_json

PORT = 4000


class Finding(NamedTuple):
    """One thing looked at."""

    check: str
    ok: bool
    found: str
    mend: str | None = None


@click.command()
@db_option
@json_option
def doctor(db: str | None, as_json: bool) -> None:
    """Look at Python, settings, database, prices, keys and port; exit 1 when something is wrong."""
    findings = list(_look(db))
    if as_json:
        print_json({"ok": all(finding.ok for finding in findings), "checks": [one._asdict() for one in findings]})
    else:
        for one in findings:
            mark = click.style("ok     ", fg="green") if one.ok else click.style("problem", fg="red")
            click.echo(f"{mark}  {one.check}: {one.found}" + (f"\n         mend: {one.mend}" if one.mend else ""))
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def _look(db: str | None) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, None)
    try:
        settings = load_settings(db)
    except Refused as error:
        yield Finding("settings", ok=False, found=error.message, mend="correct the file that PERTOKEN_CONFIG names")
        return
    yield Finding(
        "settings", ok=True, found=f"{len(settings.providers)} providers, {len(settings.models)} models named"
    )
    yield from _look_at_store(settings)
    for name, provider in settings.providers.items():
        found = "set" if provider.api_key else "no key: calls go without one"
        yield Finding(f"key of {name}", ok=True, found=f"{provider.base_url}, {found}")
    yield _look_at_port()


def _look_at_store(settings: Any) -> Iterator[Finding]:
    from pertoken import wiring  # noqa: PLC0415 - keeps --help fast
    from pertoken.core.periods import format_time  # noqa: PLC0415
    from pertoken.store.archive import Archive  # noqa: PLC0415
    from pertoken.store.database import StoreFailed  # noqa: PLC0415

    try:
        with wiring.open_database(settings) as opened:
            with opened.write():
                pass  # a transaction that begins and commits can write
            yield Finding("database", ok=True, found=str(opened.path))
            with opened.read() as connection:
                archive = Archive(connection)
                rows, keys = archive.prices(), archive.list_keys()
            newest = max((row.recorded_at_us for row in rows), default=0)
            yield Finding("price book", bool(rows), f"{len(rows):,} prices, the newest recorded {format_time(newest)}")
            live = [key for key in keys if key.revoked_at_us is None]
            mend = None if live else "pertoken key create my-app --budget 5/day"
            yield Finding("virtual keys", bool(live), f"{len(live)} live", mend)
            ahead = newest > now_us()
            yield Finding("clock", not ahead, "behind the newest price" if ahead else "sane")
    except StoreFailed as error:
        mend = "make the file and its folder writable, or name another: --db sqlite:///PATH"
        yield Finding("database", ok=False, found=str(error), mend=mend)


def _look_at_port() -> Finding:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return Finding(f"port {PORT}", ok=True, found="in use: by a running gateway, or choose another with --port")
    return Finding(f"port {PORT}", ok=True, found="free")
