"""Tables for people: numbers right, thousands separated, one totals row. rich is imported only to print one."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import click

WIDTH_OF_A_FILE = 160  # what is piped is not cut to a terminal's width

Rows = Sequence[Mapping[str, Any]]


def print_table(
    title: str, columns: Mapping[str, str], rows: Rows, *, total: Mapping[str, Any] | None = None, caption: str = ""
) -> None:
    """Print `rows`; `columns` maps a field to its heading. Numbers and amounts stand right."""
    from rich import box  # noqa: PLC0415 - 50 ms that only tables need
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=title, caption=caption or None, box=box.SIMPLE_HEAD, title_justify="left", show_footer=total is not None
    )
    for field, heading in columns.items():
        numeric = bool(rows) and all(_is_number(row.get(field)) for row in rows)
        footer = "" if total is None else _text(total.get(field))
        table.add_column(heading, justify="right" if numeric else "left", footer=footer, no_wrap=True)
    places = {field: _places(rows, field, total) for field in columns}
    for row in rows:
        table.add_row(*(_text(row.get(field), places[field]) for field in columns))
    if total is not None:
        for column, field in zip(table.columns, columns, strict=True):
            column.footer = _text(total.get(field), places[field])
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_A_FILE)
    console.print(table)


def say_empty(text: str, next_command: str) -> None:
    """Say that there is nothing yet, and the one command to run next."""
    click.echo(f"{text}\nnext: {next_command}")


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | Decimal) or (isinstance(value, str) and _is_amount(value))


def _is_amount(text: str) -> bool:
    return bool(text) and text.lstrip("-").replace(".", "", 1).isdigit()


def _places(rows: Rows, field: str, total: Mapping[str, Any] | None) -> int:
    """Return how many decimals a column needs, so that its points stand under each other."""
    values = [row.get(field) for row in rows] + ([total.get(field)] if total is not None else [])
    texts = [value for value in values if isinstance(value, str) and _is_amount(value)]
    return max((len(text.partition(".")[2]) for text in texts), default=0)


def _text(value: object, places: int = 0) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str) and _is_amount(value) and places:
        return f"{Decimal(value):,.{places}f}"
    return str(value)
