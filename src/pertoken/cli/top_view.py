"""The frame of `pertoken top` as lines of text, and the terminal that shows it."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from types import TracebackType
from typing import NamedTuple, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pertoken.cli.bars import can_print
from pertoken.cli.tables import WIDTH_OF_A_FILE, counted
from pertoken.core.money import format_amount
from pertoken.core.periods import US_PER_SECOND, load_zone
from pertoken.core.texts import escaped
from pertoken.services.watch import LiveFrame, LiveHolds, LiveSpending

GAP = "  "
HEAD_LINES = 6  # lines of a frame: time, rate, holds, a blank, two lines of headings
LIST_LINES = 3  # lines of a list besides its rows: a blank, its name, the number of further rows
NAME_MIN, NAME_MAX = 10, 48
PLACES_MAX = 6  # decimals of an amount; --json has all
SPARED = (0, 2)  # columns that a narrow terminal leaves out, the first one first: calls of the window, calls of today

TopCells = tuple[str, str, str, str]  # calls and cost of the window, calls and cost of today
NO_CELLS = ("", "", "", "")


class _Row(NamedTuple):
    name: str
    cells: TopCells = NO_CELLS
    style: str = ""


class Screen:
    """Where frames are written: a terminal is redrawn, any other output gets one frame after the other."""

    def __init__(self, *, live: bool) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False) if live and self._is_screen else None
        self._shown = 0

    @property
    def _is_screen(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def rows(self, default: int) -> int:
        """Return how many keys, and how many models, may fit."""
        return default if self._live is None else max(1, self._console.height)

    def show(self, frame: LiveFrame, names: Mapping[str, str]) -> None:
        """Show a frame; `names` are the names of keys by their ids."""
        console = self._console
        width = console.width if console.is_terminal else max(console.width, WIDTH_OF_A_FILE)
        if self._live is not None:
            frame = fitted_frame(frame, console.height)
        drawn = Text("\n").join(draw_frame(frame, names, width, console.encoding))
        if self._live is not None:
            self._live.update(drawn, refresh=True)
            return
        if self._shown:
            console.print()
        console.print(drawn, soft_wrap=True)
        sys.stdout.flush()
        self._shown += 1


def fitted_frame(frame: LiveFrame, height: int) -> LiveFrame:
    """Return the frame cut to this many lines: the longer list loses rows first, and each keeps at least one."""
    kept = {dimension: len(found) for dimension, found in frame.by.items()}
    others = HEAD_LINES + max(1, len(frame.totals)) + len(frame.refused) + 2 + LIST_LINES * len(kept)
    while sum(kept.values()) + others > height and max(kept.values()) > 1:
        kept[max(kept, key=lambda dimension: kept[dimension])] -= 1
    return frame._replace(
        by={dimension: found[: kept[dimension]] for dimension, found in frame.by.items()},
        others={name: frame.others[name] + len(frame.by[name]) - kept[name] for name in kept},
    )


def draw_frame(frame: LiveFrame, names: Mapping[str, str], width: int, encoding: str) -> list[Text]:
    """Return the lines of a frame, none wider than `width`, in characters that the encoding can show."""
    currencies = {one.currency for one in (*frame.totals, *frame.by["key"], *frame.by["model"])}
    money = currencies.pop() if len(currencies) == 1 else "cost"
    rows = list(_rows(frame, names, tell_currency=bool(currencies)))
    heads: TopCells = ("calls", money, "calls", money)
    shown = _columns([heads, *(row.cells for row in rows)], width)
    widths = [max(cell_len(cells[at]) for cells in (heads, *(row.cells for row in rows))) for at in shown]
    room = width - sum(widths) - len(GAP) * len(widths)
    name_width = max(1, min(room, NAME_MAX, max(cell_len(_printable(row.name, encoding)) for row in rows)))

    def line(row: _Row) -> Text:
        cells = (cell.rjust(wide) for cell, wide in zip((row.cells[at] for at in shown), widths, strict=True))
        text = GAP.join([_fitted(row.name, name_width, encoding), *cells])
        return Text(text.rstrip(), style=row.style)

    clock = datetime.fromtimestamp(frame.at_us // US_PER_SECOND, load_zone(frame.zone))
    lines = [
        Text(_cut(f"pertoken top  {clock:%Y-%m-%d %H:%M:%S} {frame.zone}", width, encoding), style="bold"),
        Text(_cut(f"{frame.calls_a_second:,.1f} calls a second", width, encoding)),
        Text(_cut(_holds_text(frame.holds, frame.at_us), width, encoding)),
        Text(),
        _spans(shown, widths, name_width, frame.window_s),
        line(_Row("", heads, "dim")),
    ]
    return lines + [line(row) if row.name else Text() for row in rows]


def _rows(frame: LiveFrame, names: Mapping[str, str], *, tell_currency: bool) -> Iterator[_Row]:
    every = [*frame.totals, *frame.by["key"], *frame.by["model"]]
    window = _places(format_amount(one.window_picos, one.currency) for one in every)
    today = _places(format_amount(one.today_picos, one.currency) for one in every)

    def row(name: str, one: LiveSpending, style: str = "") -> _Row:
        costs = (
            _amount_text(format_amount(picos, one.currency), places)
            for picos, places in ((one.window_picos, window), (one.today_picos, today))
        )
        spent, spent_today = costs
        name = f"{name} {one.currency}" if tell_currency else name
        return _Row(name, (f"{one.window_calls:,}", spent, f"{one.today_calls:,}", spent_today), style)

    for total in frame.totals:
        yield row("all", total, "bold")
    if not frame.totals:
        yield _Row("no calls today", style="dim")
    for dimension, found in frame.by.items():
        if not found:
            continue
        yield from (_Row(""), _Row(f"by {dimension}", style="dim"))
        for one in found:
            name = names.get(one.value) or one.value or "(none)"
            yield row(f"  {escaped(name)}", one)
        if frame.others[dimension]:
            yield _Row(f"  {frame.others[dimension]:,} more", style="dim")
    yield from (_Row(""), _Row("refused" if frame.refused else "no call was refused today", style="dim"))
    for reason in frame.refused:
        more = "+" if frame.refused_more and reason.window_calls else ""
        yield _Row(f"  {escaped(reason.code)}", (f"{reason.window_calls:,}{more}", "", f"{reason.today_calls:,}", ""))


def _columns(cells: Sequence[TopCells], width: int) -> list[int]:
    """Return the columns that fit; the cost is always shown."""
    shown = [0, 1, 2, 3]
    for at in SPARED:
        widths = (max(cell_len(row[one]) for row in cells) + len(GAP) for one in shown)
        if sum(widths) + NAME_MIN <= width:
            break
        shown.remove(at)
    return shown


def _spans(shown: Sequence[int], widths: Sequence[int], name_width: int, window_s: int) -> Text:
    """Return the line above the headings, which says which columns are about the window and which about today."""
    text = " " * name_width
    for span, columns in ((f"last {window_s} s", (0, 1)), ("today", (2, 3))):
        wide = sum(width + len(GAP) for at, width in zip(shown, widths, strict=True) if at in columns)
        text += span[: wide - 1].rjust(wide)
    return Text(text.rstrip(), style="dim")


def _holds_text(holds: LiveHolds, at_us: int) -> str:
    if holds.oldest_us is None:
        return "no open holds"
    amounts = (f"{_amount_text(text, _places([text]))} {currency}" for currency, text in _amounts(holds))
    seconds = max(0, at_us - holds.oldest_us) // US_PER_SECOND
    age = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600:,} h"
    return ", ".join([counted(holds.number, "open hold"), *amounts, f"the oldest {age}"])


def _amounts(holds: LiveHolds) -> Iterator[tuple[str, str]]:
    for currency, picos in holds.picos.items():
        yield currency, format_amount(picos, currency)


def _places(amounts: Iterator[str] | Sequence[str]) -> int:
    """Return the number of decimals that shows two digits of the smallest amount: 2 to PLACES_MAX."""
    least = min((abs(Decimal(one)) for one in amounts if Decimal(one)), default=Decimal(1))
    return min(PLACES_MAX, max(2, 1 - least.adjusted()))


def _amount_text(amount: str, places: int) -> str:
    """Return a rounded amount; an amount above zero is never shown as zero."""
    exact = Decimal(amount)
    least = Decimal(1).scaleb(-places)
    rounded = exact.quantize(least, ROUND_HALF_EVEN)
    if exact and not rounded:
        return f"<{least:f}" if exact > 0 else f"-{least:f}"
    return f"{rounded:,f}"


def _printable(text: str, encoding: str) -> str:
    return text if can_print(text, encoding) else text.encode(encoding, "backslashreplace").decode(encoding)


def _fitted(text: str, width: int, encoding: str) -> str:
    """Return a text of exactly this width."""
    return set_cell_size(_cut(text, width, encoding), width)


def _cut(text: str, width: int, encoding: str) -> str:
    """Return a text that fits; if it is cut, it ends in dots."""
    text = _printable(text, encoding)
    if cell_len(text) <= width:
        return text
    dots = "…" if can_print("…", encoding) else "..."
    return set_cell_size(text, max(0, width - len(dots))) + dots
