"""Watches what happens now: calls and spending of the last minute and of today, open holds, refusals.

The first look reads today's roll-ups; each further one only what was posted since the look before. Nothing is written.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from heapq import nsmallest
from typing import Any, NamedTuple, Protocol, TypeVar

from pertoken.core.events import Event, OfCall
from pertoken.core.money import format_amount
from pertoken.core.periods import FOREVER_US, US_PER_SECOND, Window, bounds, format_time
from pertoken.core.refusals import WHOLE_MAX, RefusedSearch
from pertoken.core.reporting import CALLS, COST, event_sums
from pertoken.ports.archive import CountedView, HoldsView, RefusedView, UseView
from pertoken.services.reports import groups

WINDOW_S = 60  # "the last minute"
RATE_S = 10  # whole seconds that calls a second are the mean of
PAGE = 1_000  # events that are read at once
BACK_MAX = 10_000  # events that the first look reads; where they are of less than a minute, the window is shorter
BEHIND_MAX = 50_000  # events posted between two looks; where there are more, it begins anew
DIMENSIONS = ("key", "model")

Name = TypeVar("Name")
CurrencyValue = tuple[str, str]  # value of a dimension, currency


class LiveSpending(NamedTuple):
    """What one value of a dimension used, in one currency; the value of a total is empty."""

    value: str
    currency: str
    window_calls: int
    window_picos: int
    today_calls: int
    today_picos: int


class LiveRefusals(NamedTuple):
    """How many calls were refused for one reason."""

    code: str
    window_calls: int
    today_calls: int


class LiveHolds(NamedTuple):
    """The holds that have not ended."""

    number: int
    picos: Mapping[str, int]  # by currency
    oldest_us: int | None  # when the oldest was opened


class LiveFrame(NamedTuple):
    """What is seen at one look. The lists have the largest first, and may be cut: `others` counts what is left out."""

    at_us: int
    zone: str
    window_s: int
    calls_a_second: float
    totals: list[LiveSpending]
    by: Mapping[str, list[LiveSpending]]  # by key, with ids as values, and by model
    others: Mapping[str, int]
    holds: LiveHolds
    refused: list[LiveRefusals]
    refused_more: bool  # more were refused in the window than are kept to be counted


class NowView(CountedView, HoldsView, Protocol):
    """What is used and refused, and what is held."""


class Watcher:
    """Looks again and again, and knows what it saw before."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._seen: int | None = None  # the number of the event that was read last
        self._since_us = 0  # what ended before is not in `_seconds`
        self._day = (0, 0)
        self._seconds: dict[int, dict[tuple[str, str, str], list[int]]] = {}  # of key, model, currency: calls and picos
        self._today: dict[str, dict[CurrencyValue, list[int]]] = {}  # calls and picos, by dimension

    def look(self, archive: NowView, now_us: int, rows_max: int) -> LiveFrame:
        """Return what is to be seen in one view of the store, so many rows of each list."""
        self._catch_up(archive, now_us)
        window_us = min(WINDOW_S * US_PER_SECOND, max(US_PER_SECOND, now_us - self._since_us))
        window = self._window(now_us // US_PER_SECOND)
        by, others = {}, {}
        for dimension in DIMENSIONS:
            every = _spendings(window[dimension], self._today[dimension])
            by[dimension] = _largest(every, rows_max)
            others[dimension] = len(every) - len(by[dimension])
        refused, more = _refused(archive, now_us, self._day)
        return LiveFrame(
            now_us,
            self._zone,
            window_us // US_PER_SECOND,
            self._rate(now_us),
            _total(_spendings(window["model"], self._today["model"])),
            by,
            others,
            _open_holds(archive),
            refused,
            more,
        )

    def _catch_up(self, archive: UseView, now_us: int) -> None:
        """Read what was posted since the last look. The sums of today are read where a day, or the watch, begins."""
        last, seen, day = archive.last_number(), self._seen, bounds(Window.DAY, now_us, self._zone)
        begins = seen is None or last - seen > BEHIND_MAX
        if begins:
            self._seconds.clear()
            self._since_us, seen = 0, max(0, last - BACK_MAX)
        assert seen is not None
        reads_sums = begins or day != self._day
        if reads_sums:
            self._day = day
            self._today = {dimension: _sums(archive, dimension, day, self._zone) for dimension in DIMENSIONS}
        whole = seen == 0
        while posted := archive.posted_after(seen, PAGE):
            if begins and not whole and not self._since_us:
                self._since_us = posted[0].event.recorded_at_us
            for one in posted:
                self._add(one.event, now_us, in_sums=reads_sums)
            seen = posted[-1].place[1]
        self._seen = max(seen, last)

    def _add(self, event: Event, now_us: int, *, in_sums: bool) -> None:
        """Take in one event; what today's sums were read with is in them already."""
        key, model, currency = event.attribution.key or "", event.attribution.model or "", event.currency
        sums = event_sums(event)
        calls, picos = sums[CALLS], sums[COST]
        ended_us = _ended_us(event)
        if ended_us > now_us - WINDOW_S * US_PER_SECOND:
            counted = self._seconds.setdefault(min(ended_us, now_us) // US_PER_SECOND, {})
            _count(counted, (key, model, currency), calls, picos)
        if not in_sums and self._day[0] <= event.occurred_at_us < self._day[1]:
            for dimension, value in zip(DIMENSIONS, (key, model), strict=True):
                _count(self._today[dimension], (value, currency), calls, picos)

    def _window(self, now_s: int) -> dict[str, dict[CurrencyValue, list[int]]]:
        """Return calls and picos of the last minute by dimension, and forget what is older."""
        for second in [second for second in self._seconds if second <= now_s - WINDOW_S]:
            del self._seconds[second]
        found: dict[str, dict[CurrencyValue, list[int]]] = {dimension: {} for dimension in DIMENSIONS}
        for counted in self._seconds.values():
            for (key, model, currency), (calls, picos) in counted.items():
                _count(found["key"], (key, currency), calls, picos)
                _count(found["model"], (model, currency), calls, picos)
        return found

    def _rate(self, now_us: int) -> float:
        """Return calls a second, the mean of the last whole seconds that were seen."""
        now_s = now_us // US_PER_SECOND
        seconds = max(1, min(RATE_S, now_s - self._since_us // US_PER_SECOND))
        counted = (self._seconds.get(second, {}) for second in range(now_s - seconds, now_s))
        calls = sum(one[0] for of_second in counted for one in of_second.values())
        return round(calls / seconds, 1)


def frame_fields(frame: LiveFrame, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a frame as commands print it; `names` are the names of keys by their ids."""
    holds = frame.holds
    return {
        "at": format_time(frame.at_us),
        "timezone": frame.zone,
        "window_seconds": frame.window_s,
        "calls_per_second": frame.calls_a_second,
        "totals": [_fields(one) for one in frame.totals],
        "keys": [
            {"key": one.value or None, "key_name": names.get(one.value), **_fields(one)} for one in frame.by["key"]
        ],
        "models": [{"model": one.value or None, **_fields(one)} for one in frame.by["model"]],
        "more_keys": frame.others["key"],
        "more_models": frame.others["model"],
        "holds": {
            "count": holds.number,
            "amounts": [
                {"currency": currency, "amount": format_amount(picos, currency)}
                for currency, picos in holds.picos.items()
            ],
            "oldest": None if holds.oldest_us is None else format_time(holds.oldest_us),
        },
        "refused": [
            {"code": one.code, "window_calls": one.window_calls, "today_calls": one.today_calls}
            for one in frame.refused
        ],
        "refused_window_is_more": frame.refused_more,
    }


def _fields(one: LiveSpending) -> dict[str, Any]:
    return {
        "window_calls": one.window_calls,
        "window_cost": format_amount(one.window_picos, one.currency),
        "today_calls": one.today_calls,
        "today_cost": format_amount(one.today_picos, one.currency),
        "currency": one.currency,
    }


def _count(counted: dict[Name, list[int]], name: Name, calls: int, picos: int) -> None:
    row = counted.setdefault(name, [0, 0])
    row[0] += calls
    row[1] += picos


def _ended_us(event: Event) -> int:
    """Return when a call ended; of what others report, and of corrections, when it occurred."""
    return event.recorded_at_us if isinstance(event.of, OfCall) else event.occurred_at_us


def _sums(archive: UseView, dimension: str, day: tuple[int, int], zone: str) -> dict[CurrencyValue, list[int]]:
    found: dict[CurrencyValue, list[int]] = {}
    for one in groups(archive, *day, (dimension,), zone):
        found[one.values[0], one.currency] = [one.sums[CALLS], one.sums[COST]]
    return found


def _spendings(
    window: Mapping[CurrencyValue, list[int]], today: Mapping[CurrencyValue, list[int]]
) -> list[LiveSpending]:
    nothing = [0, 0]
    return [
        LiveSpending(*owner, *window.get(owner, nothing), *today.get(owner, nothing))
        for owner in dict.fromkeys([*window, *today])
    ]


def _largest(every: Iterable[LiveSpending], rows_max: int) -> list[LiveSpending]:
    """Return the rows that spend most: in the last minute, then today, then by calls and name."""
    return nsmallest(
        rows_max,
        every,
        lambda one: (-one.window_picos, -one.today_picos, -one.window_calls, -one.today_calls, one.value, one.currency),
    )


def _total(every: Iterable[LiveSpending]) -> list[LiveSpending]:
    """Return the sum of each currency, the one with most calls first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one in every:
        for at, number in enumerate(one[2:]):
            assert isinstance(number, int), one
            sums[one.currency][at] += number
    found = [LiveSpending("", currency, *numbers) for currency, numbers in sums.items()]
    return sorted(found, key=lambda one: (-one.today_calls, one.currency))


def _open_holds(archive: HoldsView) -> LiveHolds:
    holds = archive.open_holds()
    picos: dict[str, int] = defaultdict(int)
    for hold in holds:
        if hold.amount_picos:
            picos[hold.currency] += hold.amount_picos
    return LiveHolds(len(holds), dict(sorted(picos.items())), min((hold.opened_at_us for hold in holds), default=None))


def _refused(archive: RefusedView, now_us: int, day: tuple[int, int]) -> tuple[list[LiveRefusals], bool]:
    """Return refusals by reason, and whether the last minute had more than are kept; today's hours begin today."""
    today: Counter[str] = Counter()
    for kind, calls in archive.refused_counts(*day).items():
        today[kind.code] += calls
    since_us = now_us - WINDOW_S * US_PER_SECOND
    last = archive.refused_calls(RefusedSearch({}, since_us, FOREVER_US, WHOLE_MAX))
    window = Counter(call.code for call in last)
    codes = sorted(today.keys() | window.keys(), key=lambda code: (-today[code], -window[code], code))
    return [LiveRefusals(code, window[code], today[code]) for code in codes], len(last) >= WHOLE_MAX
