"""One figure of usage over time, by up to two dimensions: what charts and the tables beneath them show.

The sums are those of `services.reports`, cut by steps of time, so that they add up to what a report of the same range
says. Money of several currencies is never added up: a question about money is about one currency.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from operator import add, sub
from typing import NamedTuple

from pertoken.core.periods import parse_time, to_us, windows
from pertoken.core.refusals import RefusedKind
from pertoken.core.reporting import NOTHING, SUMS, TIME_DIMENSIONS, Group, Sums, add_sums
from pertoken.ports.archive import CountedView, RefusedView, UseView
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
    pointed: int = POINTED_MAX  # tracks that have points, at most


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
        """Return the largest tracks with points, and all others as one; None where there are no others."""
        most = min(most, sum(1 for one in self.tracks[:POINTED_MAX] if one.points))
        if len(self.tracks) <= most:
            return self.tracks, None
        return self.tracks[:most], self.total.minus(self.tracks[:most])


def explore(archive: CountedView, asked: Question) -> Explored:
    """Return the answer. Raises EventsArchived, FolderFailed as a report does."""
    spans = _spans(asked)
    read = _read_together if asked.metric.column is None or asked.part.needs_events(asked.by) else _read_apart
    found = read(archive, asked, [span.start_us for span in spans])
    last = max((at for _, at in found.by_step), default=0)
    spans = tuple(span for at, span in enumerate(spans) if at <= last or span.start_us <= asked.now_us)
    column = asked.metric.column or 0  # refused calls are in the place of calls
    whole = _whole(found.by_step, column, len(spans))
    return Explored(spans, _tracks(found, column, len(spans), asked.pointed), whole, found.currency, found.currencies)


Placed = tuple[Group, int]  # a row of a report, and its step


class _Rows(NamedTuple):
    """What was read, of money in one currency alone."""

    currency: str
    currencies: tuple[str, ...]
    by_step: Sequence[Placed]  # of all tracks together
    sums: Mapping[tuple[str, ...], Sums]  # of each track
    largest: Sequence[tuple[str, ...]]  # the tracks in their order
    pointed: Sequence[Placed]  # by step and values: of the largest tracks, perhaps of others too


def _read_apart(archive: CountedView, asked: Question, starts: Sequence[int]) -> _Rows:
    """Read the tracks without steps, the steps without tracks, and then the steps of the largest tracks alone.

    Where no more tracks than that are there, the steps of all are read alone.
    """
    all_rows = list(_grouped(archive, asked, asked.by, asked.part))
    if len({row.values for row in all_rows}) <= asked.pointed:
        return _read_together(archive, asked, starts)
    by_step = _placed(_grouped(archive, asked, (asked.step,), asked.part), asked, starts)
    currency, currencies = _currencies(asked, by_step)
    of_all = [row for row in all_rows if _is_asked(row, asked, currency)]
    sums, largest = _sums(((row.values, row) for row in of_all), asked)
    tops = largest[: asked.pointed]
    among = {name: tuple({values[at] for values in tops}) for at, name in enumerate(asked.by)}
    pointed = _grouped(archive, asked, (asked.step, *asked.by), asked.part._replace(among=among))
    some = _placed((row for row in pointed if _is_asked(row, asked, currency)), asked, starts)
    by_step = [one for one in by_step if _is_asked(one[0], asked, currency)]
    return _Rows(currency, currencies, by_step, sums, largest, some)


def _read_together(archive: CountedView, asked: Question, starts: Sequence[int]) -> _Rows:
    """Read all in one, for what is counted from events or refusals: they are to be read once."""
    if asked.metric.column is None:
        rows = [(row, max(0, bisect_right(starts, at_us) - 1)) for row, at_us in _refused(archive, asked)]
    else:
        rows = _placed(_grouped(archive, asked, (asked.step, *asked.by), asked.part), asked, starts)
    currency, currencies = _currencies(asked, rows)
    rows = [one for one in rows if _is_asked(one[0], asked, currency)]
    sums, largest = _sums(((row.values[1:], row) for row, _ in rows), asked)
    return _Rows(currency, currencies, rows, sums, largest, rows)


def _grouped(archive: UseView, asked: Question, by: tuple[str, ...], part: Part) -> Iterator[Group]:
    return groups(archive, asked.since_us, asked.until_us, by, asked.zone, part)


def _placed(rows: Iterable[Group], asked: Question, starts: Sequence[int]) -> list[Placed]:
    """Return rows, whose first value is a time, each with its step."""
    times = ((row, _start_us(row.values[0], asked.step, asked.zone)) for row in rows)
    return [(row, max(0, bisect_right(starts, at_us) - 1)) for row, at_us in times]


def _currencies(asked: Question, rows: Iterable[Placed]) -> tuple[str, tuple[str, ...]]:
    """Return the currency of what is asked, and those that there are, that of most calls first."""
    calls: dict[str, int] = {}
    for row, _ in rows:
        calls[row.currency] = calls.get(row.currency, 0) + row.sums[0]
    currencies = tuple(sorted(calls, key=lambda one: (-calls[one], one)))
    return _currency(asked, currencies), currencies


def _is_asked(row: Group, asked: Question, currency: str) -> bool:
    return not asked.metric.is_money or row.currency == currency


def _sums(
    rows: Iterable[tuple[tuple[str, ...], Group]], asked: Question
) -> tuple[dict[tuple[str, ...], Sums], list[tuple[str, ...]]]:
    """Return the sums of each track, and the tracks from the largest on."""
    sums: dict[tuple[str, ...], Sums] = {}
    for values, row in rows:
        add_sums(sums, values, row.sums)
    column = asked.metric.column or 0
    return sums, sorted(sums, key=lambda values: (-sums[values][column], values))


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


def _tracks(found: _Rows, column: int, steps: int, pointed: int) -> tuple[Track, ...]:
    """Return a track for each set of values, the largest first, those alone with points."""
    sums, largest = found.sums, found.largest
    points = {values: [0] * steps for values in largest[:pointed]}
    for row, at in found.pointed:
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
