"""What a measurement says: tables of figures, which are printed, written as markdown, or given as JSON."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

WIDTH = 132  # where a page is narrower, it wraps by itself

TEXT = "{}"

Cell = str | float | None


class Column(NamedTuple):
    """One column; `form` is how its numbers are written."""

    name: str
    form: str = TEXT


class Table(NamedTuple):
    """Figures. A row that is shorter than the columns says why in its last cell."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()

    def texts(self) -> list[list[str]]:
        """Return the rows as they are read."""
        return [[_text(cell, column) for cell, column in zip(row, self.columns, strict=False)] for row in self.rows]

    def as_data(self) -> dict[str, Any]:
        """Return the table as JSON knows it."""
        names = [column.name for column in self.columns]
        units = {column.name: unit for column in self.columns if (unit := column.form.partition("}")[2].strip())}
        return {
            "title": self.title,
            "units": units,
            "rows": [dict(zip(names, row, strict=False)) for row in self.rows],
            "notes": list(self.notes),
        }


def show(table: Table) -> None:
    """Print a table to be read."""
    shown = RichTable(title=table.title, title_justify="left")
    for column in table.columns:
        shown.add_column(column.name, justify="left" if column.form == TEXT else "right")
    for texts in table.texts():
        shown.add_row(*texts)
    console = Console(width=WIDTH)
    console.print(shown)
    for note in table.notes:
        console.print(f"  {note}", highlight=False)
    console.print()


def as_markdown(table: Table) -> str:
    """Return a table as it stands in a page."""
    names = [column.name for column in table.columns]
    lines = [
        f"### {table.title}",
        "",
        _line(names),
        _line(["---" if column.form == TEXT else "---:" for column in table.columns]),
    ]
    lines += [_line(texts + [""] * (len(names) - len(texts))) for texts in table.texts()]
    lines += ["", f"{'; '.join(table.notes)}.", ""] if table.notes else [""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(cell: Cell, column: Column) -> str:
    if cell is None:
        return "-"
    return cell if isinstance(cell, str) else column.form.format(cell)
