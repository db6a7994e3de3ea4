"""Tables for people: numbers on the right, thousands separated, one totals row, and no number ever cut.

If a table is too wide for the terminal, headings and texts wrap; then less important columns are left out, and a line
names them. Ids and days are never cut, because people copy them. rich is imported only to print a table.
"""

import csv
import io
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast
from unicodedata import east_asian_width

import msgspec

from pertoken.cli.bars import CostBar, draw_bar
from pertoken.core.money import short_amount
from pertoken.core.texts import escaped

WIDTH_OF_A_FILE = 160  # piped output is not cut to a terminal's width
BAR_WIDTH_MIN, BAR_WIDTH_MAX = 12, 60
BAR_WIDTH_LEAST = 3  # the width if no column can be left out
WIDE = frozenset("WF")  # widths of Unicode (UAX 11) that take two cells
GAP = 2  # between two columns: a blank and the rule's place
WORD_WIDTH_MAX = 24  # longer words are cut first when room is short
FORMULA = ("=", "+", "-", "@")  # a spreadsheet evaluates a text that begins so
LISTS = frozenset({"rows", "keys", "admins", "budgets", "prices", "providers", "counts"})  # header even without rows
_WHOLE = re.compile(r"\b[a-z]+_[0-9a-z]{26}\b|^\d{4}-\d\d-\d\d$")  # an id, a day
TEXT_WIDTH_MIN = 8  # a text column is not made narrower than this

TableRows = Sequence[Mapping[str, Any]]


class _Column(NamedTuple):
    heading: str
    cells: list[str]  # the total last, where there is one
    numeric: bool
    bars: Sequence[CostBar | None] = ()  # one for each row; the column of bars gets the remaining width

    @property
    def widest(self) -> int:
        return max(_cells_of(self.heading), self.widest_cell)

    @property
    def widest_cell(self) -> int:
        if self.bars:
            return BAR_WIDTH_MIN
        return max(map(_cells_of, self.cells), default=0)

    @property
    def longest_word(self) -> int:
        return max(map(_cells_of, self.heading.split()), default=0)

    @property
    def longest_whole(self) -> int:
        return max((len(word) for cell in self.cells for word in cell.split() if _WHOLE.search(word)), default=0)


def _cells_of(text: str) -> int:
    """Return how many cells of a terminal a text takes: characters of East Asian scripts take two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(one) in WIDE else 1 for one in text)


def print_table(
    title: str,
    columns: Mapping[str, str],
    rows: TableRows,
    *,
    total: Mapping[str, Any] | None = None,
    caption: str = "",
    spared: Sequence[str] = (),
    rounded: Collection[str] = (),
) -> None:
    """Print `rows`; `columns` maps a field to its heading. Numbers and amounts are aligned at the decimal point.

    Amounts of the columns `rounded`, which are texts, are as short as on pages. If the terminal is too narrow, columns
    of `spared` are left out, the first of them first.
    """
    from rich import box  # 50 ms that only tables need
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # rich must not read a value as markup

    every = {
        field: _column(field, heading, rows, total, is_short=field in rounded) for field, heading in columns.items()
    }
    console = Console(highlight=False)
    room = console.width if console.is_terminal else max(console.width, WIDTH_OF_A_FILE)
    left_out = _too_many(every, room, spared) if console.is_terminal else []
    drawn = [column for field, column in every.items() if field not in left_out]
    widths = _fit(drawn, room - GAP * len(drawn) - 1)
    spare = max(0, room - sum(widths) - GAP * len(drawn) - 1)
    widths = [
        min(width + spare, BAR_WIDTH_MAX) if column.bars else width for column, width in zip(drawn, widths, strict=True)
    ]
    drawn = [_drawn_bars(column, width, console.encoding) for column, width in zip(drawn, widths, strict=True)]
    console.width = max(room, sum(widths) + GAP * len(drawn) + 1)  # a terminal that is narrower still wraps the lines
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=total is not None, footer_style="bold")
    for column, width in zip(drawn, widths, strict=True):
        footer = Text(column.cells[-1] if total is not None else "")
        justify = "right" if column.numeric else "left"
        table.add_column(Text(column.heading), footer, justify=justify, width=width, overflow="fold", vertical="top")  # type: ignore[arg-type]
    for at in range(len(rows)):
        table.add_row(*(Text(column.cells[at]) for column in drawn))
    console.print(Text(escaped(title), style="bold"))
    console.print(table)
    if caption:
        console.print(Text(escaped(f"  {caption}", keep="\n"), style="dim"), soft_wrap=True)
    if left_out:
        names = ", ".join(columns[field] for field in columns if field in left_out)
        console.print(Text(f"  the terminal is too narrow for: {names}; --csv shows all", style="dim"), soft_wrap=True)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, singular or plural: "1 call", "1,200 calls"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def amount_text(amount: str | int) -> str:
    """Return an exact amount with thousands separated: "1,234.50"."""
    whole, point, rest = str(amount).partition(".")
    return f"{int(whole):,}{point}{rest}" if whole.lstrip("-").isdigit() and whole != "-0" else str(amount)


def time_text(time: str | None) -> str | None:
    """Return a time to the minute: "2026-11-27 19:03"."""
    return None if time is None else time[:16].replace("T", " ")


def write_csv(rows: TableRows, *, head: bool = True) -> None:
    """Write rows as comma-separated values (RFC 4180) on stdout, one column for each field.

    Lists and objects are written as JSON, unknown values as nothing. A text that a spreadsheet would evaluate gets a
    leading apostrophe, so that no customer's name works as a formula.
    """
    columns = list(dict.fromkeys(field for row in rows for field in row))
    sink = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "backslashreplace", newline="", write_through=True)
    try:
        writer = csv.writer(sink)
        if head:
            writer.writerow(columns)
        writer.writerows([_cell(row.get(field)) for field in columns] for row in rows)
    finally:
        sink.detach()


def rows_of(document: object) -> TableRows:
    """Return the rows of a JSON document: its first list of objects, or else the document itself as the only row."""
    if isinstance(document, Mapping):
        for name, part in document.items():
            is_rows = isinstance(part, list) and all(isinstance(row, Mapping) for row in part)
            if is_rows and (part or name in LISTS):
                return cast("TableRows", part)
        return [document]
    assert isinstance(document, list), document
    return document


def _cell(value: object) -> object:
    if value is None or isinstance(value, bool | int | Decimal):
        return "" if value is None else str(value).lower() if isinstance(value, bool) else value
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    shown = escaped(value)
    return f"'{shown}" if shown.startswith(FORMULA) and not _is_number(shown) else shown


def _column(
    field: str, heading: str, rows: TableRows, total: Mapping[str, Any] | None, *, is_short: bool = False
) -> _Column:
    totals = [] if total is None else [total.get(field)]
    bars = [row.get(field) for row in rows]
    if any(isinstance(one, CostBar) for one in bars):
        return _Column(heading, [], numeric=False, bars=bars)
    values = [*(row.get(field) for row in rows), *totals]
    numeric = any(value is not None for value in values) and all(value is None or _is_number(value) for value in values)
    places = max((len(value.partition(".")[2]) for value in values if isinstance(value, str)), default=0)
    cells = [
        _short(value) if is_short and isinstance(value, str) else _text(value, places if numeric else None)
        for value in values
    ]
    if totals == [None]:
        cells[-1] = ""  # a column without a total is blank there, not unknown
    return _Column(heading, cells, numeric)


def _short(text: str) -> str:
    return short_amount(Decimal(text)) if _is_number(text) else escaped(text)


def _drawn_bars(column: _Column, width: int, encoding: str) -> _Column:
    """Return a column of bars as texts of at most `width`; other columns do not change."""
    if not column.bars:
        return column
    cells = ["" if bar is None else draw_bar(bar, width, encoding) for bar in column.bars]
    return column._replace(cells=[*cells, ""])


def _too_many(columns: Mapping[str, _Column], room: int, spared: Sequence[str]) -> list[str]:
    """Return the fields of `spared` to leave out so that no word in the other columns is cut; at most all of them."""
    kept = dict(columns)
    left_out: list[str] = []
    for field in (field for field in spared if field in columns):
        if sum(map(_least_by_word, kept.values())) + GAP * len(kept) + 1 <= room:
            break
        del kept[field]
        left_out.append(field)
    return left_out


def _fit(columns: Sequence[_Column], room: int) -> list[int]:
    """Return the width of each column: that of its widest cell, or less if `room` is short and words can wrap."""
    widths = [column.widest for column in columns]
    for least in (_least_by_heading, _least_by_word, _least_by_letter):
        while sum(widths) > room:
            spare = [width - least(column) for width, column in zip(widths, columns, strict=True)]
            at = max(range(len(columns)), key=lambda at: (spare[at] > 0, widths[at]))
            if spare[at] <= 0:
                break
            widths[at] -= 1
    return widths


def _least_by_heading(column: _Column) -> int:
    return max(column.widest_cell, column.longest_word)


def _least_by_word(column: _Column) -> int:
    if column.numeric:
        return _least_by_heading(column)
    if column.bars:
        return BAR_WIDTH_MIN
    longest = max((_cells_of(word) for cell in column.cells for word in cell.split()), default=0)
    return max(_least_by_letter(column), min(longest, WORD_WIDTH_MAX), column.longest_whole)


def _least_by_letter(column: _Column) -> int:
    if column.bars:
        return BAR_WIDTH_LEAST
    least = _least_by_heading(column)
    return least if column.numeric else min(least, max(TEXT_WIDTH_MIN, column.longest_word, column.longest_whole))


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return bool(value) and value.lstrip("-").replace(".", "", 1).isdigit()
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _text(value: object, places: int | None) -> str:
    """Return a cell: a number with `places` decimals and thousands separated; if `places` is None, the value itself."""
    if value is None:
        return "" if places is None else "-"
    if places is None:
        return escaped(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{Decimal(str(value)):,.{places}f}"
