"""Shared by all commands: options, the database, JSON and the errors that end a command."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from pertoken.cli.output import print_json
from pertoken.core.texts import escaped

if TYPE_CHECKING:
    from pertoken.core.price_book import PriceBook
    from pertoken.core.secrets import Hasher
    from pertoken.ports.archive import Archive
    from pertoken.ports.months import MonthFiles
    from pertoken.ports.store import Opened
    from pertoken.settings import Settings
    from pertoken.wiring.installation import Installation

F = TypeVar("F", bound=Callable[..., Any])

db_option = click.option("--db", metavar="URL", help="Database, such as sqlite:///pertoken.db. [PERTOKEN_DATABASE_URL]")
_json = click.option("--json", "as_json", flag_value="json", default=None, help="One JSON document on stdout.")
_csv = click.option("--csv", "as_json", flag_value="csv", help="The same rows as comma-separated values.")


def json_option(command: Any) -> Any:
    """Add --json and --csv to a command; `print_json` knows which of them was given."""
    return _json(_csv(command))


__all__ = ["print_json"]


class CommandRefused(click.ClickException):
    """A command was refused, or a check failed: exit 1."""

    def format_message(self) -> str:
        """Return the message, escaped."""
        return escaped(self.message)


def load_settings(db: str | None, config: str | None = None) -> "Settings":
    """Return the settings; `--db` replaces the database, and `config` names another settings file."""
    from pertoken import settings

    try:
        loaded = settings.load(path=config)
    except settings.BadSettings as error:
        raise CommandRefused(one_line(error)) from error
    return loaded if db is None else msgspec.structs.replace(loaded, database_url=db)


@contextlib.contextmanager
def database(db: str | None, *, make: bool = False) -> Iterator["Installation"]:
    """Yield the installation with its database open; if that fails, end the command with one line.

    Only commands that add data create a missing database, with `make`. If other commands did so, a misspelt name would
    look like an empty database.
    """
    from pertoken.wiring.database import open_database

    loaded = load_settings(db)
    with store_errors(), open_database(loaded, make=make) as opened:
        yield opened


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Turn errors of the database and of prices in the settings into one line and exit 1."""
    from pertoken.core.money import NotAnAmount
    from pertoken.ports.failures import NoDatabase, NotAnAddress, OtherVersion, StoreFailed
    from pertoken.ports.months import EventsArchived

    try:
        yield
    except NoDatabase as error:
        raise CommandRefused(f"{error}; make one: pertoken key create my-app; or name another: --db URL") from error
    except NotAnAddress as error:
        raise CommandRefused(str(error)) from error
    except OtherVersion as error:
        raise CommandRefused(
            f"the database belongs to another version of pertoken; install that version: {one_line(error)}"
        ) from error
    except StoreFailed as error:
        raise CommandRefused(f"{one_line(error)}; see: pertoken doctor") from error
    except EventsArchived as error:
        raise CommandRefused(str(error)) from error
    except NotAnAmount as error:
        raise CommandRefused(f"invalid price in settings: {error}") from error


def open_folder(path: str) -> "MonthFiles":
    """Return a folder of archived months. Exits with 1 if the library that reads it is not installed."""
    from pertoken.wiring.month_folder import month_folder

    with store_errors():
        return month_folder(path)


@contextlib.contextmanager
def folder_errors() -> Iterator[None]:
    """Turn errors of a folder of archived months into one line and exit 1."""
    from pertoken.ports.ledger import StoreUnavailable
    from pertoken.ports.months import FolderFailed
    from pertoken.services.archiving import NotArchived

    try:
        yield
    except (FolderFailed, NotArchived) as error:
        raise CommandRefused(one_line(error)) from error
    except StoreUnavailable as error:
        raise CommandRefused(f"{one_line(error)}; see: pertoken doctor") from error


def one_line(error: Exception) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())


@contextlib.contextmanager
def archive(db: str | None) -> Iterator["Archive"]:
    """Yield one consistent view of everything stored."""
    with database(db) as opened, opened.archive() as stored:
        yield stored


@contextlib.contextmanager
def changes(db: str | None, *, make: bool = False) -> Iterator["Opened"]:
    """Yield keys, budgets, teams and admins for changes, in one transaction."""
    with database(db, make=make) as opened, opened.changes() as changing:
        yield changing


def make_hasher(db: str | None, *, make: bool = False) -> "Hasher":
    """Return the hasher for the secrets of this installation."""
    from pertoken.wiring import hasher

    with database(db, make=make) as opened:
        return hasher.make_hasher(opened)


def price_book(db: str | None) -> "PriceBook":
    """Return the database's price book; if there is no database yet, the book that a new one would begin with."""
    from pertoken.wiring.installation import connect
    from pertoken.wiring.prices import read_price_book, shipped_price_book

    settings = load_settings(db)
    with store_errors(), connect(settings) as found:
        if db is None and not found.exists():
            return shipped_price_book(settings, now_us())
    with database(db) as opened:
        return read_price_book(opened)


def now_us() -> int:
    """Return the time."""
    from pertoken.wiring.clock import SystemClock

    return SystemClock().now_us()


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """Return name=value options as a mapping. Exits with 2 if one is invalid or given twice."""
    found = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"write NAME=VALUE, not {text!r}", param_hint=option)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice; give it once", param_hint=option)
        found[name] = value
    return found


def span(since: str | None, until: str | None, names: tuple[str, str], default: tuple[int, int]) -> tuple[int, int]:
    """Return the two instants of a range of time. Exits with 2 if it ends before it begins."""
    start_us = default[0] if since is None else parse_time(since, "UTC", names[0])
    end_us = default[1] if until is None else parse_time(until, "UTC", names[1])
    if start_us >= end_us and (since, until) != (None, None):
        raise click.BadParameter(f"must be after {names[0]}", param_hint=names[1])
    return start_us, end_us


def checked_name(text: str, option: str) -> str:
    """Return a valid name. Exits with 2 if the text cannot be a name."""
    from pertoken.core.texts import why_no_name

    why = why_no_name(text, "it")
    if why is not None:
        raise click.BadParameter(why, param_hint=option)
    return text


def parse_time(text: str, zone: str, option: str) -> int:
    """Return an instant. Exits with 2 if the text is not a time."""
    from pertoken.core.periods import NotATime, parse_when

    try:
        return parse_when(text, zone, now_us())[0]
    except NotATime as error:
        raise click.BadParameter(str(error), param_hint=option) from error
