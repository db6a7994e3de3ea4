"""The output of commands, in one place: text from outside never reaches a terminal as a control sequence."""

import re
import sys

import click
import msgspec

from pertoken.cli.tables import rows_of, write_csv
from pertoken.core.texts import UNSAFE, escaped


def echo(text: str = "", *, err: bool = False, mark: str = "") -> None:
    """Print a text with control characters escaped; `mark` is pertoken's own text, and may be coloured."""
    click.echo(mark + escaped(text, keep="\n"), err=err)


def say_empty(text: str, next_command: str) -> None:
    """Say that there is nothing yet, and which command to run next."""
    echo(f"{text}\nnext: {next_command}")


def print_json(value: object) -> None:
    """Print one JSON document, indented for people, on stdout; with --csv its rows.

    Control characters are escaped as JSON allows.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("as_json") == "csv":
        write_csv(rows_of(value))
        return
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.buffer.write(escaped_json(text).encode() + b"\n")
    sys.stdout.buffer.flush()


def escaped_json(text: str) -> str:
    """Return a JSON text in which control characters that JSON allows, such as C1, are escaped."""
    return text if text.isascii() else UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}"
