"""One figure of usage over time, by up to two dimensions: what charts and the tables beneath them show.

The sums are those of `services.reports`, cut by steps of time, so that they add up to what a report of the same range
says. Money of several currencies is never added up: a question about money is about one currency.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from operator import add, sub
from typing import NamedTuple

from pertoken.core.periods import parse_time, to_us, windows
from pertoken.core.refusals import RefusedKind
from pertoken.core.reporting import NOTHING, SUMS, TIME_DIMENSIONS, Group, Sums, add_sums
from pertoken.ports.archive import Archive, RefusedView
from pertoken.services.reports import ALL, Part, groups

REFUSED = "refused"
REFUSED_BY = ("reason", "budget", "key")  # what refusals are counted by
REFUSED_WHERE = ("key",)
STEPS = tuple(TIME_DIMENSIONS)
POINTED_MAX = 100  # tracks that have points


class Metric(NamedTuple):
    """One figure. `column` is its place in SUMS, None for what roll-ups do not have."""

    name: str
    label: str
    column: int | None
    is_money: bool = False


def _metric(name: str, label: str, column: str, *, is_money: bool = False) -> Metric:
    return Metric(name, label, SUMS.index(column), is_money)


METRICS = {
    one.name: one
    for one in (
        _metric("cost", "Cost", "cost_picos", is_money=True),
        _metric("price", "Price", "price_picos", is_money=True),
        _metric("calls", "Calls", "calls"),
        _metric("input", "Input tokens", "input_tokens"),
        _metric("output", "Output tokens", "output_tokens"),
        _metric("cached", "Input read from cache", "cache_read_tokens"),
        _metric("cache-write", "Input written to cache", "cache_write_tokens"),
        _metric("reasoning", "Reasoning tokens", "reasoning_tokens"),
        _metric("failed", "Failed calls", "failed_calls"),
        _metric("hung-up", "Calls whose client hung up", "hung_up_calls"),
        _metric("estimated", "Calls with estimated usage", "estimated_calls"),
        _metric("unpriced", "Calls without a price", "unpriced_calls"),
        Metric(REFUSED, "Refused calls", None),
    )
}


class Question(NamedTuple):
    """What is asked: a metric of [since, until), by dimensions, in steps of time of a zone."""

    metric: Metric
    by: tuple[str, ...]  # two at most; of refused calls REFUSED_BY
    step: str  # one of STEPS
    since_us: int
    until_us: int
    zone: str
    now_us: int
    part: Part = ALL
    currency: str | None = None  # None: the one that most calls have


class Span(NamedTuple):
    """One step of time, [start, end); the first and the last may reach beyond what is asked for."""

    start_us: int
    end_us: int


class Track(NamedTuple):
    """One set of values, and its figure in each step."""

    values: tuple[str, ...]
    points: tuple[int, ...]  # of the largest alone: there may be very many tracks
    sums: Sums  # of all steps, in the order of SUMS
    total: int  # of the points

    def minus(self, others: Iterable["Track"]) -> "Track":
        """Return what is left without others that have points."""
        points, sums, total = self.points, self.sums, self.total
        for one in others:
            points, sums = tuple(map(sub, points, one.points)), tuple(map(sub, sums, one.sums))
            total -= one.total
        return Track((), points, sums, total)

    def cumulative(self) -> "Track":
        """Return it with each point as the sum of those up to it."""
        return self._replace(points=tuple(accumulate(self.points)))


class Explored(NamedTuple):
    """The answer: every track, the largest first, and all of them together. Only the largest tracks have points."""

    spans: tuple[Span, ...]
    tracks: tuple[Track, ...]
    total: Track
    currency: str  # of money in `sums`; empty where they have several
    currencies: tuple[str, ...]  # that there are

    def top(self, most: int) -> tuple[tuple[Track, ...], Track | None]:
        """Return the largest tracks, POINTED_MAX at most, and all others as one; None where there are no others."""
        most = min(most, POINTED_MAX)
        if len(self.tracks) <= most:
            return self.tracks, None
        return self.tracks[:most], self.total.minus(self.tracks[:most])


def explore(archive: Archive, asked: Question) -> Explored:
    """Return the answer. Raises EventsArchived, FolderFailed as a report does."""
    spans = _spans(asked)
    starts = [span.start_us for span in spans]
    if asked.metric.column is None:
        rows = _refused(archive, asked)
    else:
        found = groups(archive, asked.since_us, asked.until_us, (asked.step, *asked.by), asked.zone, asked.part)
        rows = ((row, _start_us(row.values[0], asked.step, asked.zone)) for row in found)
    kept = [(row, max(0, bisect_right(starts, at_us) - 1)) for row, at_us in rows]
    calls: dict[str, int] = {}
    for row, _ in kept:
        calls[row.currency] = calls.get(row.currency, 0) + row.sums[0]
    currencies = tuple(sorted(calls, key=lambda one: (-calls[one], one)))
    currency = _currency(asked, currencies)
    if asked.metric.is_money:
        kept = [(row, at) for row, at in kept if row.currency == currency]
    last = max((at for _, at in kept), default=0)
    spans = tuple(span for at, span in enumerate(spans) if at <= last or span.start_us <= asked.now_us)
    column = asked.metric.column or 0  # refused calls are in the place of calls
    whole = _whole(kept, column, len(spans))
    return Explored(spans, _tracks(kept, column, len(spans)), whole, currency, currencies)


def _currency(asked: Question, currencies: Sequence[str]) -> str:
    if asked.metric.is_money:
        return asked.currency or next(iter(currencies), "USD")
    return currencies[0] if len(currencies) == 1 else ""


def _spans(asked: Question) -> tuple[Span, ...]:
    window = TIME_DIMENSIONS[asked.step]
    return tuple(Span(*one) for one in windows(window, asked.since_us, asked.until_us, asked.zone))


def _whole(rows: Iterable[tuple[Group, int]], column: int, steps: int) -> Track:
    """Return all rows as one track, without values."""
    points, sums = [0] * steps, NOTHING
    for row, at in rows:
        points[at] += row.sums[column]
        sums = tuple(map(add, sums, row.sums))
    return Track((), tuple(points), sums, sum(points))


def _tracks(rows: Sequence[tuple[Group, int]], column: int, steps: int) -> tuple[Track, ...]:
    """Return a track for each set of values, the largest first, those alone with points."""
    sums: dict[tuple[str, ...], Sums] = {}
    for row, _ in rows:
        add_sums(sums, row.values[1:], row.sums)
    largest = sorted(sums, key=lambda values: (-sums[values][column], values))
    points = {values: [0] * steps for values in largest[:POINTED_MAX]}
    for row, at in rows:
        own = points.get(row.values[1:])
        if own is not None:
            own[at] += row.sums[column]
    return tuple(Track(values, tuple(points.get(values, ())), sums[values], sums[values][column]) for values in largest)


@lru_cache(maxsize=4_096)
def _start_us(label: str, step: str, zone: str) -> int:
    """Return when the step of a report's row begins."""
    if step == "hour":
        return to_us(datetime.fromisoformat(label))
    if step == "week":
        return parse_time(f"{datetime.strptime(f'{label}-1', '%G-W%V-%u').date()}", zone)  # noqa: DTZ007 - a date
    return parse_time(f"{label}-01" if step == "month" else label, zone)


def _refused(archive: RefusedView, asked: Question) -> Iterator[tuple[Group, int]]:
    """Yield refused calls as rows: they are counted by the hours of UTC that begin in the range."""
    key = asked.part.where.get("key")
    for kind, calls in archive.refused_counts(asked.since_us, asked.until_us).items():
        if key in (None, kind.key):
            values = ("", *(_value(kind, name) for name in asked.by))
            yield Group(values, "", (calls, *NOTHING[1:])), kind.hour_us


def _value(kind: RefusedKind, name: str) -> str:
    return kind.code if name == "reason" else str(getattr(kind, name))
