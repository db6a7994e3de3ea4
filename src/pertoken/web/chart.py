"""Charts: the exact values from the server. `static/charts.js` draws them, and a table below shows them.

Money is decimal text, counts are whole numbers. Only the script converts them to floats, for drawing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pertoken.core.money import format_amount
from pertoken.core.periods import US_PER_SECOND, load_zone
from pertoken.services.explore import Span
from pertoken.services.price_changes import PriceChange
from pertoken.web import shown
from pertoken.web.shown import Figure

OTHER, ALL = "other", "all"  # the hues of series without a colour of their own, and of the sum
MARKS_MAX = 6
BARS, AREAS, LINES, PRICES = "bars", "areas", "lines", "steps"


class Drawn(NamedTuple):
    """One series. `points` are picos or counts; None is a gap."""

    name: str
    points: Sequence[int | None]
    hue: int | str = OTHER
    is_dashed: bool = False  # drawn for comparison, and not stacked


class Mark(NamedTuple):
    """Something that happened: a vertical line with a text."""

    at_us: int
    text: str


class Chart(NamedTuple):
    """One chart, as its template shows it."""

    name: str  # unique among the charts of the page; it is part of the chart's ids
    title: str
    kind: str
    spans: Sequence[Span]
    drawn: Sequence[Drawn]
    step: str  # one of services.explore.STEPS
    zone: str
    now_us: int
    currency: str = ""  # the currency; empty: the points are counts
    unit: str = ""  # the unit of counts: calls, tokens
    marks: Sequence[Mark] = ()
    low: bool = False  # whether it is drawn less high
    empty: str = "Nothing was counted in this time."

    @property
    def labels(self) -> list[str]:
        """The steps, for the axis."""
        if self.step == "hour" and len({local(span.start_us, self.zone).date() for span in self.spans}) == 1:
            return [f"{local(span.start_us, self.zone):%H:%M}" for span in self.spans]
        return [step_label(span.start_us, self.step, self.zone) for span in self.spans]

    @property
    def unfinished(self) -> int | None:
        """The index of the step that is not over yet."""
        found = (at for at, span in enumerate(self.spans) if span.start_us <= self.now_us < span.end_us)
        return next(found, None)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(point for one in self.drawn for point in one.points)

    def shown(self, point: int | None) -> Figure:
        """Return one value as it is shown in the table."""
        if self.currency and point is not None:
            return shown.amount(format_amount(point, self.currency), self.currency)
        return shown.count(point)

    def total(self, at: int) -> Figure:
        """Return the sum of a step."""
        return self.shown(sum(one.points[at] or 0 for one in self.drawn if not one.is_dashed))

    @property
    def data(self) -> dict[str, Any]:
        """The data that the script draws."""
        return {
            "title": self.title,
            "kind": self.kind,
            "labels": self.labels,
            "times": [span.start_us // US_PER_SECOND for span in self.spans] if self.kind == PRICES else None,
            "tips": [step_name(span.start_us, self.step, self.zone) for span in self.spans],
            "unit": self.currency or self.unit,
            "money": bool(self.currency),
            "unfinished": self.unfinished,
            "marks": [{"at": at, "text": text} for at, text in self._placed()],
            "series": [
                {
                    "name": shown.name(one.name).text, "hue": one.hue, "dashed": one.is_dashed,
                    "values": [None if point is None else self._exact(point) for point in one.points],
                }
                for one in self.drawn
            ],
        }  # fmt: skip

    def _exact(self, point: int) -> int | str:
        return format_amount(point, self.currency) if self.currency else point

    def _placed(self) -> list[tuple[float, str]]:
        """Return the marks by step; marks of one step share a line."""
        if self.kind == PRICES:
            return [(mark.at_us / US_PER_SECOND, mark.text) for mark in self.marks]
        starts = [span.start_us for span in self.spans]
        found: dict[int, list[Mark]] = {}
        for mark in self.marks:
            at = bisect_right(starts, mark.at_us) - 1
            if at >= 0 and mark.at_us < self.spans[at].end_us:
                found.setdefault(at, []).append(mark)
        placed = []
        for at, marks in sorted(found.items())[-MARKS_MAX:]:
            start_us, end_us = self.spans[at]
            more = f" and {len(marks) - 1} more" if len(marks) > 1 else ""
            place = at - 0.5 + (marks[0].at_us - start_us) / (end_us - start_us)
            placed.append((round(place, 3), marks[0].text + more))
        return placed


def step_label(at_us: int, step: str, zone: str) -> str:
    """Return a step's short name, for the axis."""
    at = local(at_us, zone)
    if step == "month":
        return f"{at:%b %Y}"
    if step == "hour":
        return f"{at:%H:%M}" if at.hour else f"{at.day} {at:%b}"
    return f"{at.day} {at:%b}"


def step_name(at_us: int, step: str, zone: str) -> str:
    """Return a step's full name."""
    at = local(at_us, zone)
    day = f"{at:%a} {at.day} {at:%b %Y}"
    if step == "month":
        return f"{at:%B %Y}"
    if step == "hour":
        return f"{day}, {at:%H:%M} {at:%z}"
    return f"Week {at:%V}, from {day}" if step == "week" else day


def price_marks(changes: Sequence[PriceChange]) -> list[Mark]:
    """Return price changes as marks of a chart."""
    return [Mark(one.at_us, f"{shown.name(one.model).text} price {_percent(one.percent)}") for one in changes]


def _percent(percent: Decimal) -> str:
    text = f"{abs(percent):.0f}" if abs(percent) >= 1 else f"{abs(percent):.2f}"
    return f"{'+' if percent > 0 else shown.MINUS}{text} %"


def local(at_us: int, zone: str) -> datetime:
    """Return an instant in a time zone."""
    return datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone))
