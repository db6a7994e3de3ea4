"""Sums of usage by any dimensions: what roll-ups are, how a report's time is cut into slices, and how these are added.

Roll-ups are kept for every quarter of an hour and for every day of UTC. All clocks in use are ahead of UTC by whole
quarters of an hour, so that quarters can say the hours and days of every time zone; days spare most of the reading
where a report does not ask for less.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import add
from typing import NamedTuple, TypeVar, assert_never

from pertoken.core import periods
from pertoken.core.budgets import DIMENSIONS, TAG_PREFIX, Attribution, is_dimension
from pertoken.core.calls import ESTIMATED, FAILED, HUNG_UP, marks
from pertoken.core.events import Event, EventStatus, OfCall, OfCorrection, OfReport
from pertoken.core.latency import LatencyCounts, add_counts, count
from pertoken.core.periods import DAY_US, US_PER_SECOND, Window, load_zone
from pertoken.core.usage import Completeness

SUMS = (
    "calls", "unpriced_calls", "uncounted_calls", "failed_calls", "hung_up_calls", "estimated_calls", "sold_calls",
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_picos", "price_picos",
)  # fmt: skip
CALLS, UNCOUNTED, SOLD, COST = map(SUMS.index, ("calls", "uncounted_calls", "sold_calls", "cost_picos"))
WELL = (0, 0, 0)  # neither failed, nor hung up, nor estimated
NOTHING = (0,) * len(SUMS)
Sums = tuple[int, ...]  # in the order of SUMS


class Total(NamedTuple):
    """What events of one attribution and one currency come to."""

    attribution: Attribution  # without conversation
    currency: str
    sums: Sums  # in the order of SUMS
    latency: LatencyCounts


Key = TypeVar("Key")

# An enum's member costs three look-ups where it is used.
FINAL = Completeness.FINAL
PRICED = EventStatus.PRICED

QUARTER_US = 900 * US_PER_SECOND
HOUR_US = 4 * QUARTER_US
DAYS_MAX = 31  # of a slice of quarters by day

TIME_DIMENSIONS = {"hour": Window.HOUR, "day": Window.DAY, "week": Window.WEEK, "month": Window.MONTH}
_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Grain(StrEnum):
    """What a stretch of time is summed from."""

    DAY = "day"  # roll-ups of days
    QUARTER = "quarter"  # roll-ups of quarters of an hour
    EVENT = "event"  # events themselves


class Rollup(NamedTuple):
    """The sums of one quarter of an hour or one day, one attribution and one currency, in the order of SUMS."""

    start_us: int
    attribution: Attribution
    currency: str
    sums: tuple[int, ...]
    latency: LatencyCounts


class Slice(NamedTuple):
    """A stretch of time that is summed from one grain, by spans of local time; all in one span where `width_us` is 0.

    The span of an instant is number (instant + offset_us) // width_us; it begins at `width_us` times that, on the
    clocks of the zone. The one span of a slice without width begins at `local_us` there.
    """

    grain: Grain
    start_us: int
    end_us: int
    offset_us: int
    width_us: int = 0
    local_us: int = 0


class Sum(NamedTuple):
    """The sums of one span of a slice and one set of values, in the order of SUMS. A tag that is not there is None."""

    span: int
    values: tuple[str | None, ...]
    currency: str
    sums: tuple[int, ...]


class Timed(NamedTuple):
    """The latency counts of one span of a slice and one set of values. A tag that is not there is None."""

    span: int
    values: tuple[str | None, ...]
    latency: LatencyCounts


class Group(NamedTuple):
    """One row of a report: the values it is grouped by, and its sums in the order of SUMS."""

    values: tuple[str, ...]
    currency: str
    sums: tuple[int, ...]


def event_sums(event: Event) -> tuple[int, ...]:
    """Return what one event adds to its roll-ups, in the order of SUMS."""
    is_call = not isinstance(event.of, OfCorrection)
    unpriced, uncounted = (0, 0) if is_call and event.status is PRICED else _unknown(event)
    is_well = event.reason is None and event.completeness is FINAL
    failed, hung_up, estimated = WELL if is_well else _ended(event)
    price_picos, get = event.price_picos, event.quantities.get
    return (
        1 if is_call else 0,
        unpriced,
        uncounted,
        failed,
        hung_up,
        estimated,
        1 if is_call and price_picos is not None else 0,
        get("input_tokens", 0),
        get("cache_read_tokens", 0),
        get("cache_write_tokens", 0),
        get("output_tokens", 0),
        get("reasoning_tokens", 0),
        event.cost_picos,
        price_picos or 0,
    )


def _unknown(event: Event) -> tuple[int, int]:
    """Return how many calls an event makes unpriced, and how many of those without any known cost; a correction, fewer.

    A correction takes back the provisional line of what it corrects, if that had one.
    """
    unpriced, of = int(event.status is not PRICED), event.of
    match of:
        case OfCall() | OfReport():
            return unpriced, int(unpriced and not event.lines)
        case OfCorrection():
            was_unpriced = int(of.was_unpriced)
            return unpriced - was_unpriced, -int(was_unpriced and all(line[3] >= 0 for line in event.lines))
        case _:
            assert_never(of)


def _ended(event: Event) -> tuple[int, int, int]:
    """Return whether an event is of a call that failed, whose client hung up, that was estimated: each that fits."""
    if isinstance(event.of, OfCall) and event.of.attempts is None:
        return WELL
    found = marks(event)
    return int(FAILED in found), int(HUNG_UP in found), int(ESTIMATED in found)


def add_sums(sums: dict[Key, Sums], key: Key, amounts: Sums) -> None:
    """Add to the sums of a key."""
    before = sums.get(key)
    if before is None:
        sums[key] = amounts
    else:
        sums[key] = tuple(map(add, before, amounts))  # as many as SUMS each; twice as fast as pairs in a loop


def is_report_dimension(name: str) -> bool:
    """Tell whether a report can be grouped by `name`. By conversation it is summed from events."""
    return name in TIME_DIMENSIONS or is_dimension(name)


def attributes(by: Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions of `by` that are no times. Raises KeyError for no dimension."""
    found = tuple(dimension for dimension in by if dimension not in TIME_DIMENSIONS)
    for dimension in found:
        if not dimension.startswith(TAG_PREFIX) and dimension not in DIMENSIONS:
            raise KeyError(dimension)
    return found


def slices(since_us: int, until_us: int, by: Sequence[str], zone: str) -> Iterator[Slice]:
    """Cut [since, until) into slices, each within one span of the times in `by`, or of spans that it can be cut into.

    Together they hold every instant once, in order. What is shorter than a quarter of an hour is left to events.
    """
    windows = _windows(by)
    if not windows:
        yield from _cut(since_us, until_us, 0)
    elif windows in ({Window.WEEK}, {Window.MONTH}):
        [window] = windows
        for start_us, end_us in periods.windows(window, since_us, until_us, zone):
            local_us = start_us + periods.offset_us(start_us, zone)
            yield from _cut(max(start_us, since_us), min(end_us, until_us), 0, local_us=local_us)
    else:
        width_us = HOUR_US if Window.HOUR in windows else DAY_US
        for start_us, end_us, offset_us in periods.offsets(since_us, until_us, zone):
            for piece in _cut(start_us, end_us, offset_us, width_us):
                days = 1 if width_us == HOUR_US else DAYS_MAX
                yield from _by_days(piece, days) if piece.grain is Grain.QUARTER else [piece]


def _windows(by: Sequence[str]) -> set[Window]:
    return {TIME_DIMENSIONS[dimension] for dimension in by if dimension in TIME_DIMENSIONS}


def _by_days(piece: Slice, most: int) -> Iterator[Slice]:
    """Cut a slice by the days of the zone, into so many whole days at most; a part of a day is by itself.

    So no two slices have parts of the same day and of another.
    """
    start_us = piece.start_us
    while start_us < piece.end_us:
        local_us = start_us + piece.offset_us
        days = most if local_us % DAY_US == 0 else 1
        days = max(1, min(days, (piece.end_us - start_us) // DAY_US))
        end_us = min(_down(local_us, DAY_US) + days * DAY_US - piece.offset_us, piece.end_us)
        yield piece._replace(start_us=start_us, end_us=end_us)
        start_us = end_us


def _cut(start_us: int, end_us: int, offset_us: int, width_us: int = 0, local_us: int = 0) -> Iterator[Slice]:
    """Cut a stretch where days, quarters of an hour and events take over from each other."""

    def piece(grain: Grain, at_us: int, to_us: int) -> Iterator[Slice]:
        if at_us < to_us:
            yield Slice(grain, at_us, to_us, offset_us, width_us, local_us)

    if offset_us % QUARTER_US:  # before 1973 there were such clocks
        yield from piece(Grain.EVENT, start_us, end_us)
        return
    first, last = _up(start_us, QUARTER_US), _down(end_us, QUARTER_US)
    if first > last:
        yield from piece(Grain.EVENT, start_us, end_us)
        return
    yield from piece(Grain.EVENT, start_us, first)
    whole_days = width_us == 0 or (width_us == DAY_US and offset_us == 0)
    day, last_day = (_up(first, DAY_US), _down(last, DAY_US)) if whole_days else (last, last)
    if day >= last_day:
        yield from piece(Grain.QUARTER, first, last)
    else:
        yield from piece(Grain.QUARTER, first, day)
        yield from piece(Grain.DAY, day, last_day)
        yield from piece(Grain.QUARTER, last_day, last)
    yield from piece(Grain.EVENT, last, end_us)


def _up(at_us: int, width_us: int) -> int:
    return -(-at_us // width_us) * width_us


def _down(at_us: int, width_us: int) -> int:
    return at_us // width_us * width_us


def sum_events(events: Iterable[Event], piece: Slice, dimensions: Sequence[str]) -> Iterator[Sum]:
    """Yield the sums of each event of a slice, for those slices that roll-ups cannot say."""
    for event in events:
        yield Sum(*_place(event, piece, dimensions), event.currency, event_sums(event))


def time_events(events: Iterable[Event], piece: Slice, dimensions: Sequence[str]) -> Iterator[Timed]:
    """Yield the latency counts of each event of a slice, for those slices that roll-ups cannot say."""
    for event in events:
        counts: LatencyCounts = {}
        count(counts, event)
        if counts:
            yield Timed(*_place(event, piece, dimensions), counts)


def _place(event: Event, piece: Slice, dimensions: Sequence[str]) -> tuple[int, tuple[str | None, ...]]:
    """Return the span that an event is in, and its values."""
    span = (event.occurred_at_us + piece.offset_us) // piece.width_us if piece.width_us else 0
    return span, tuple(event.attribution.value(dimension) for dimension in dimensions)


def latency_report(
    parts: Iterable[tuple[Slice, Iterable[Timed]]], by: Sequence[str], zone: str
) -> dict[tuple[str, ...], LatencyCounts]:
    """Return the latency counts of all slices by the dimensions of `by`, times in order; absent values are empty."""
    times = {at: dimension for at, dimension in enumerate(by) if dimension in TIME_DIMENSIONS}
    found: dict[tuple[str, ...], LatencyCounts] = {}
    begins: dict[tuple[str, ...], int] = {}
    for piece, timed in parts:
        for span, values, counts in timed:
            at_us, texts = _labels(piece, span, times.values(), zone)
            key = _mixed(values, times, texts)
            begins[key] = min(begins.get(key, at_us), at_us)
            add_counts(found.setdefault(key, {}), counts)
    return {key: found[key] for key in sorted(found, key=lambda key: (begins[key], key))}


def report(parts: Iterable[tuple[Slice, Iterable[Sum]]], by: Sequence[str], zone: str) -> Iterator[Group]:
    """Yield the sums of all slices by the dimensions of `by`, where they are not 0; absent values are the empty text.

    Times come first in order, then the dearest rows. The rows of a time are there as soon as its slices are summed.
    """
    times = {at: dimension for at, dimension in enumerate(by) if dimension in TIME_DIMENSIONS}
    windows = _windows(by)
    waits = not windows or windows == {Window.WEEK, Window.MONTH}  # their rows can be of several days
    found: _Found = {}
    last = None
    for piece, sums in parts:
        day = _local_us(piece) // DAY_US
        if day != last and not waits:
            yield from _in_order(found)
            found, last = {}, day
        _add(found, piece, sums, times, zone)
    yield from _in_order(found)


_Found = dict[tuple[tuple[str, ...], str], tuple[int, tuple[int, ...]]]  # (values, currency) -> where it begins, sums


def _add(found: _Found, piece: Slice, sums: Iterable[Sum], times: Mapping[int, str], zone: str) -> None:
    labels: dict[int, tuple[int, list[str]]] = {}
    for span, values, currency, amounts in sums:
        known = labels.get(span)
        if known is None:
            known = labels[span] = _labels(piece, span, times.values(), zone)
        at_us, texts = known
        key = (_mixed(values, times, texts), currency)
        before = found.get(key)
        if before is None:
            found[key] = (at_us, amounts)
        else:
            added = tuple([one + other for one, other in zip(before[1], amounts, strict=True)])
            found[key] = (min(before[0], at_us), added)


def _in_order(found: _Found) -> Iterator[Group]:
    # A provider that failed every call has a roll-up, and used nothing.
    used = ((at_us, key, amounts) for key, (at_us, amounts) in found.items() if amounts != NOTHING)
    rows = sorted((at_us, -amounts[COST], *key, amounts) for at_us, key, amounts in used)
    return (Group(values, currency, amounts) for _, _, values, currency, amounts in rows)


def _local_us(piece: Slice) -> int:
    """Return where the spans of a slice begin, on the clocks of the zone."""
    return piece.start_us + piece.offset_us if piece.width_us else piece.local_us


def _mixed(values: Iterable[str | None], times: Iterable[int], texts: Iterable[str]) -> tuple[str, ...]:
    """Return a row's values with its times where `by` has them."""
    mixed = [value or "" for value in values]
    for at, text in zip(times, texts, strict=True):
        mixed.insert(at, text)
    return tuple(mixed)


def _labels(piece: Slice, span: int, times: Iterable[str], zone: str) -> tuple[int, list[str]]:
    """Return where a span begins, for its place in the order, and what it is called by each of `times`."""
    if not times:
        return 0, []
    local_us = span * piece.width_us if piece.width_us else piece.local_us
    start_us = local_us - piece.offset_us
    local = _EPOCH + timedelta(microseconds=local_us)
    return start_us, [_hour(start_us, zone) if one == "hour" else local.strftime(_FORMATS[one]) for one in times]


def _hour(start_us: int, zone: str) -> str:
    """Return an hour as RFC 3339 has it: its offset tells apart the hours that come twice."""
    return datetime.fromtimestamp(start_us // US_PER_SECOND, UTC).astimezone(load_zone(zone)).isoformat()
