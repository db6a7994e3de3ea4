"""Tables with columns. The address sets how they are sorted, filtered and paged. Exports have the same rows.

The rows of a page are plain values by column. A column decides how its values are shown and where they link to.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from pertoken.core.periods import format_time
from pertoken.web import shown
from pertoken.web.page import Visit
from pertoken.web.shown import Figure

ROWS = 100  # a page
EXPORTS = ("csv", "json")  # of a table
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet evaluates a cell that begins so (OWASP, CSV injection)

GridRow = Mapping[str, Any]


class Cells(StrEnum):
    """The kind of a column's values; it decides how they are shown, aligned and sorted."""

    NAME = "name"
    ID = "id"
    AMOUNT = "amount"  # Decimal, in the currency of the row's `currency`
    COUNT = "count"
    TIME = "time"  # microseconds since the epoch
    TOOK = "took"  # microseconds
    STATE = "state"  # one word, shown as a badge
    TEXT = "text"
    SHARE = "share"  # from 0 to 1: a bar in the cell
    PERCENT = "percent"  # the same without a bar
    RISE = "rise"  # Decimal: the relative rise of a figure; None: there was no earlier value

    @property
    def is_number(self) -> bool:
        """Whether its values are aligned on the right."""
        return self in (
            Cells.AMOUNT,
            Cells.COUNT,
            Cells.TOOK,
            Cells.SHARE,
            Cells.PERCENT,
            Cells.RISE,
        )


class Column(NamedTuple):
    """One column."""

    name: str  # the column's name in rows, addresses and exports
    label: str
    kind: Cells = Cells.TEXT
    link: Callable[[GridRow], str | None] | None = None  # the address that a row's value links to
    narrow: bool = False  # whether it is one of the few that a phone shows
    beneath: bool = False  # whether a phone shows it in a second line of the first that it shows
    hidden: bool = False  # whether it is shown only on request
    sorts: bool = True
    dot: bool = False  # whether the row's colour is shown before it


class Grid(NamedTuple):
    """One table of a page, for its template."""

    columns: Sequence[Column]  # the columns that are shown
    every: Sequence[Column]
    rows: Sequence[GridRow]
    total: GridRow | None
    sort: str  # the column that rows are sorted by, with `-` before it if the largest comes first
    filter: str
    found: int | None  # the number of matching rows; None if they were not counted
    start: int  # the number of the first row that is shown
    next: str | None  # the address of the next page
    previous: str | None
    unit: str  # the currency of all amounts; "" if rows differ
    empty: str  # the message if there is no row
    command: str  # a command that prints the same
    api: str  # a path of the control plane that returns the same

    def beneath(self, column: Column) -> list[Column]:
        """Return what a phone shows in a second line of a column: nothing but in the first that it shows."""
        if column is not next((one for one in self.columns if one.narrow), None):
            return []
        return [one for one in self.columns if one.beneath]

    def cell(self, row: GridRow, column: Column, visit: Visit) -> Figure:
        """Return one value as it is shown."""
        return show(row.get(column.name), column.kind, row, visit, self.unit)


def listed(
    visit: Visit,
    columns: Sequence[Column],
    rows: Iterable[GridRow],
    *,
    sort: str,
    empty: str,
    command: str = "",
    api: str = "",
    total: GridRow | None = None,
    paged: bool = True,
) -> Grid:
    """Sort and filter all rows, and return the page of rows that the address requests; an export has all of them."""
    paged = paged and visit.query.get("format") not in EXPORTS
    text = visit.query.get("q", "").strip()
    fitting = [row for row in rows if not text or _has(row, columns, text.lower())]
    given = visit.query.get("sort", sort)
    by = given if _sorts(given, columns) else sort
    column = next((one for one in columns if one.name == by.removeprefix("-")), None)
    if column is not None:
        fitting.sort(key=lambda row: _order(row.get(column.name)), reverse=by.startswith("-"))
    start = _number(visit.query.get("from"), len(fitting)) if paged else 0
    page = fitting[start : start + ROWS] if paged else fitting
    more = start + len(page) < len(fitting)
    currencies = {row.get("currency", "") for row in fitting}
    return Grid(
        _shown(columns, visit.query.get("columns")), columns, page, total, by, text, len(fitting), start,
        visit.here(**{"from": str(start + ROWS)}) if more else None,
        visit.here(**{"from": str(max(0, start - ROWS)) if start > ROWS else None}) if start else None,
        currencies.pop() if len(currencies) == 1 else "", empty, command, api,
    )  # fmt: skip


def paged(
    visit: Visit,
    columns: Sequence[Column],
    rows: Sequence[GridRow],
    *,
    cursor: str | None,
    empty: str,
    command: str = "",
    api: str = "",
) -> Grid:
    """Return a page of rows that are already in order; `cursor` is where the next page begins."""
    currencies = {row.get("currency", "") for row in rows}
    after = visit.query.get("after")
    return Grid(
        _shown(columns, visit.query.get("columns")),
        [column._replace(sorts=False) for column in columns], rows, None, "", visit.query.get("q", ""), None, 0,
        None if cursor is None else visit.here(after=cursor), visit.here(after=None) if after else None,
        currencies.pop() if len(currencies) == 1 else "", empty, command, api,
    )  # fmt: skip


def show(value: Any, kind: Cells, row: GridRow, visit: Visit, unit: str = "") -> Figure:
    """Return one value as it is shown."""
    if kind is Cells.AMOUNT:
        if value is None and row.get("no_price"):
            return shown.NO_PRICE
        currency = row.get("currency", "")
        made = shown.amount(value, currency)
        return made if unit or value is None else made._replace(text=f"{made.text} {currency}".strip())
    if kind is Cells.COUNT:
        return shown.count(value)
    if kind is Cells.TIME:
        return shown.time(value, visit.zone, visit.now_us)
    if kind is Cells.TOOK:
        return shown.took(value)
    if kind is Cells.ID:
        return shown.identity(value)
    if kind in (Cells.SHARE, Cells.PERCENT):
        return shown.share(Decimal(value or 0), 1)
    if kind is Cells.RISE:
        return shown.rise(value)
    return shown.name(None if value is None else str(value))


def to_csv(grid: Grid) -> str:
    """Return the rows as exact CSV. A text that a spreadsheet would evaluate gets a leading apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.name for column in grid.columns])
    for row in grid.rows:
        writer.writerow([_exported(row.get(column.name), column.kind) for column in grid.columns])
    return out.getvalue()


def to_json(grid: Grid) -> bytes:
    """Return the rows as JSON, exact: amounts are decimal strings, times are RFC 3339."""
    rows = [{column.name: _plain(row.get(column.name), column.kind) for column in grid.columns} for row in grid.rows]
    return msgspec.json.encode({"rows": rows})


def _exported(value: Any, kind: Cells) -> str:
    plain = _plain(value, kind)
    text = "" if plain is None else str(plain)
    return f"'{text}" if text.startswith(FORMULA) and not kind.is_number else text


def _plain(value: Any, kind: Cells) -> Any:
    if value is None:
        return None
    if kind is Cells.TIME:
        return format_time(value)
    return f"{value:f}" if isinstance(value, Decimal) else value


def _shown(columns: Sequence[Column], asked: str | None) -> Sequence[Column]:
    if asked is None:
        return [column for column in columns if not column.hidden]
    wanted = asked.split(",")
    return [column for column in columns if column.name in wanted] or list(columns[:1])


def _has(row: GridRow, columns: Sequence[Column], text: str) -> bool:
    return any(text in str(row.get(column.name) or "").lower() for column in columns if not column.kind.is_number)


def _sorts(by: str, columns: Sequence[Column]) -> bool:
    return any(column.sorts and column.name == by.removeprefix("-") for column in columns)


def _order(value: Any) -> tuple[int, Any]:
    """Return the sort key of a row; unknown values come first."""
    return (0, 0) if value is None else (1, value.lower() if isinstance(value, str) else value)


def _number(text: str | None, most: int) -> int:
    if text is None or not text.isascii() or not text.isdigit():
        return 0
    return min(int(text[:9]), max(0, most - 1)) // ROWS * ROWS
