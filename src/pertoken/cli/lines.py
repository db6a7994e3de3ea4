"""`pertoken extract` and `pertoken rate`: JSON lines in, JSON lines out, one answer for each line."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from pertoken.cli.session import db_option, load_settings

WRITE_LINES = 500  # answers gathered for one write

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class BadLine(ValueError):
    """A line that cannot be answered."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@click.command()
def extract() -> None:
    """Read usage from provider answers: {"id", "api", "provider", "body" | "sse"} a line."""
    from pertoken.services.extract import CannotExtract, extract_usage  # noqa: PLC0415 - keeps --help fast

    def answer(fields: dict[str, Any]) -> dict[str, Any]:
        try:
            return extract_usage(fields)
        except CannotExtract as error:
            raise BadLine(error.code, str(error)) from error

    _run(answer)


@click.command()
@db_option
def rate(db: str | None) -> None:
    """Price usage: {"id", "provider", "model", "usage", "at", "service_tier", "batch", "speed"} a line."""
    from pertoken.core.usage import Contradiction  # noqa: PLC0415 - keeps --help fast
    from pertoken.services.ingest import NotAnEvent  # noqa: PLC0415
    from pertoken.services.rate import rate_usage  # noqa: PLC0415

    book, now = _price_book(db)

    def answer(fields: dict[str, Any]) -> dict[str, Any]:
        try:
            return rate_usage(fields, book, now)
        except NotAnEvent as error:
            raise BadLine("invalid_line", str(error)) from error
        except Contradiction as error:
            raise BadLine("contradictory_usage", str(error)) from error

    _run(answer)


def _run(answer: Answer) -> None:
    """Answer each line of standard input; a bad one gets an error object, and exit 1 at the end."""
    failed = 0
    encode = msgspec.json.encode
    waiting: list[bytes] = []
    for number, line in _lines(sys.stdin.buffer):
        ident: Any = None
        try:
            fields = msgspec.json.decode(line)
            if not isinstance(fields, dict):
                raise BadLine("invalid_line", "not a json object")
            ident = fields.get("id")
            waiting.append(encode({"id": ident, **answer(fields)}))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            failed += 1
            waiting.append(
                encode({"id": ident, "error": {"code": "invalid_json", "message": f"line {number}: {error}"}})
            )
        except BadLine as error:
            failed += 1
            waiting.append(_error(ident, number, error.code, error))
        if len(waiting) >= WRITE_LINES:
            _write(waiting)
    _write(waiting)
    if failed:
        click.echo(f"{failed} lines failed", err=True)
        raise SystemExit(1)


def _error(ident: Any, number: int, code: str, error: Exception) -> bytes:
    return msgspec.json.encode({"id": ident, "error": {"code": code, "message": f"line {number}: {error}"}})


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(source, start=1):
        if line.strip():
            yield number, line


def _write(waiting: list[bytes]) -> None:
    if waiting:
        waiting.append(b"")
        sys.stdout.buffer.write(b"\n".join(waiting))
        sys.stdout.buffer.flush()
        waiting.clear()


def _price_book(db: str | None) -> tuple[Any, int]:
    """Return the database's price book; without a database, the shipped one."""
    from pertoken import wiring  # noqa: PLC0415 - keeps --help fast

    settings = load_settings(db)
    now_us = wiring.SystemClock().now_us()
    path = Path(settings.database_url.removeprefix("sqlite:///"))
    if path.exists():
        with wiring.open_database(settings) as opened:
            return wiring.read_price_book(opened), now_us
    return wiring.shipped_price_book(settings, now_us), now_us
