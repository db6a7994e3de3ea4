"""Budgets as bars: spent and held amounts relative to the limit, and where an even pace would be."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pertoken.core.axes import AXES
from pertoken.core.budgets import Axis
from pertoken.core.money import parse_amount
from pertoken.core.pace import Pace, pace_of
from pertoken.core.periods import parse_time
from pertoken.services.budgets import status
from pertoken.web import shown
from pertoken.web.page import Visit
from pertoken.web.shown import Figure

WARN_PERCENT = 90  # the share of a budget that sets none itself


class BudgetBar(NamedTuple):
    """One budget in its window."""

    name: str
    title: str  # its name, with the value that it counts and the window
    spent_share: float  # share of the limit, for drawing
    held_share: float
    pace: float | None  # the spent share at an even pace; None: the window has no end
    used: Figure  # spent and held, relative to the limit
    left: Figure
    unit: str
    outlook: str  # when the limit is reached at this pace
    refused: int  # refused calls, lately
    is_warning: bool
    is_full: bool  # nothing is left


def budget_bars(visit: Visit, refused: Mapping[str, int]) -> list[BudgetBar]:
    """Return every budget that the visitor may see, the most used first."""
    rows = status(visit.opened.archive, visit.now_us, uncounted=False)["budgets"]
    found = [_bar(visit, row, refused.get(row["name"], 0)) for row in rows]
    return sorted(found, key=lambda one: (not one.refused, -(one.spent_share + one.held_share), one.title))


def _bar(visit: Visit, row: Mapping[str, Any], refused: int) -> BudgetBar:
    limit, spent, held = (Decimal(row[name]) for name in ("limit", "spent", "held"))
    taken = (spent + held) / limit if limit else Decimal(1)
    pace = _pace(visit, row)
    title = " · ".join(shown.name(one).text for one in (row["name"], row["value"]) if one)
    return BudgetBar(
        row["name"], f"{title} · {row['window']}", float(spent / limit) if limit else 1.0,
        float(held / limit) if limit else 0.0, None if pace is None else float(pace.elapsed),
        shown.share(spent + held, limit) if limit else shown.Figure("all", "the limit is 0"),
        figure(row["remaining"], row["currency"]), row["currency"] or row["axis"],
        _outlook(visit, row, pace, taken, refused), refused,
        bool(refused) or taken * 100 >= (row["warn_percent"] or WARN_PERCENT), taken >= 1,
    )  # fmt: skip


def _pace(visit: Visit, row: Mapping[str, Any]) -> Pace | None:
    if row["window_start"] is None or row["window_end"] is None or AXES[Axis(row["axis"])].is_gauge:
        return None
    currency = row["currency"]
    spent, limit = ((parse_amount(row[name], currency) if currency else row[name]) for name in ("spent", "limit"))
    return pace_of(spent, limit, parse_time(row["window_start"]), parse_time(row["window_end"]), visit.now_us)


def _outlook(visit: Visit, row: Mapping[str, Any], pace: Pace | None, taken: Decimal, refused: int) -> str:
    limit = figure(row["limit"], row["currency"]).text
    if taken >= 1:
        return f"nothing is left of {limit}"
    if refused and (pace is None or pace.reached_at_us is None):
        return f"of {limit}, {'a call' if refused == 1 else f'{refused:,} calls'} did not fit"
    if pace is None:
        return f"of {limit}"
    if pace.reached_at_us is None:
        return f"of {limit}, on pace"
    when = shown.time(pace.reached_at_us, visit.zone).text
    day = when if row["window"] in ("minute", "hour", "day") else shown.day(pace.reached_at_us, visit.zone)
    return f"of {limit}; at this pace it is reached on {day}"


def figure(value: str | int, currency: str | None) -> Figure:
    """Return an amount of a budget: of money in a currency, or a count."""
    return shown.amount(str(value), currency) if currency else shown.count(int(value))
