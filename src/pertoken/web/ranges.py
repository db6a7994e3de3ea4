"""The range of time of a page, from its address, in one time zone; and the range to compare it with."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pertoken.core.periods import (
    DAY_US,
    US_PER_SECOND,
    NotATime,
    Window,
    bounds,
    format_time,
    load_zone,
    to_us,
)
from pertoken.core.reporting import QUARTER_US
from pertoken.services.reports import BadRange, to_range

DEFAULT = "30d"
AHEAD_US = 366 * DAY_US  # how far beyond now, or its own start, a range may end: what comes later is not looked at
STEPS_MAX = 2_000  # that one chart has
STEPS_US = {"hour": DAY_US // 24, "day": DAY_US, "week": 7 * DAY_US, "month": 28 * DAY_US}  # at least so long
DAYS = {"7d": 6, "30d": 29, "90d": 89}
NAMED = {
    "today": "Today",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    "month": "This month",
    "last-month": "Last month",
}


class Range(NamedTuple):
    """The range [since, until) in a time zone, and the equally long range before it."""

    since_us: int
    until_us: int
    zone: str
    name: str  # a key of NAMED, or `custom`
    label: str

    @property
    def before(self) -> tuple[int, int]:
        """The preceding range: as many days in the zone, or equally long if the range is not whole days."""
        first, last = (_local(at_us, self.zone).date() for at_us in (self.since_us, self.until_us - 1))
        days = (last - first).days + 1
        if days_before(self.until_us, days, self.zone) == self.since_us:
            return days_before(self.since_us, days, self.zone), self.since_us
        return self.since_us - (self.until_us - self.since_us), self.since_us

    def step(self, wished: str) -> str:
        """Return the step that is wished, or the next longer one of which the range has no more than STEPS_MAX."""
        steps = list(STEPS_US)[list(STEPS_US).index(wished) :]
        length_us = self.until_us - self.since_us
        return next((one for one in steps if length_us <= STEPS_MAX * STEPS_US[one]), steps[-1])

    def compared(self, now_us: int) -> tuple[int, int]:
        """Return the range to compare with. If this range is not over, the other one is shortened by the same time."""
        if self.name in ("month", "last-month"):
            since_us = bounds(Window.MONTH, self.since_us - 1, self.zone)[0]
            return since_us, self.since_us if now_us >= self.until_us else month_before(now_us, self.zone)
        since_us, until_us = self.before
        left_us = max(0, self.until_us - now_us)
        return since_us, max(since_us + QUARTER_US, quarter(until_us - left_us))


def quarter(at_us: int) -> int:
    """Return the start of the current quarter of an hour, because roll-ups cover the time before it."""
    return at_us - at_us % QUARTER_US


def days_before(at_us: int, days: int, zone: str) -> int:
    """Return the same local time in the zone, `days` earlier."""
    local = _local(at_us, zone)
    return to_us((local - timedelta(days=days)).replace(fold=0))


def month_before(at_us: int, zone: str) -> int:
    """Return the same local time a month earlier, to the quarter of an hour; at most the end of that month."""
    local = _local(at_us, zone)
    end = local.replace(day=1) - timedelta(days=1)
    if local.day > end.day:
        return bounds(Window.MONTH, at_us, zone)[0]
    return quarter(to_us(end.replace(day=local.day, fold=0)))


def read_range(query: Mapping[str, str], zone: str, now_us: int) -> Range:
    """Return the range that an address describes. Raises BadRange."""
    zone = query.get("tz") or zone
    try:
        load_zone(zone)
    except NotATime as error:
        raise BadRange("tz", str(error)) from error
    since, until = query.get("since") or None, query.get("until") or None
    if since or until:
        since_us, until_us = to_range(since, until, zone, now_us)
        latest_us = max(bounds(Window.DAY, now_us + AHEAD_US, zone)[1], since_us + AHEAD_US)
        if until_us > latest_us:
            until_us, until = latest_us, str(_local(latest_us - 1, zone).date())
        label = f"{since or format_time(since_us)[:10]} to {until or 'today'}"
        return Range(since_us, until_us, zone, "custom", label)
    name = query.get("range") or DEFAULT
    if name not in NAMED:
        raise BadRange("range", f"unknown range: {name!r}; use one of: {', '.join(NAMED)}")
    return Range(*_named(name, zone, now_us), zone, name, NAMED[name])


def _local(at_us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone))


def _named(name: str, zone: str, now_us: int) -> tuple[int, int]:
    if name in DAYS:
        return to_range(None, None, zone, now_us, DAYS[name])
    if name == "today":
        return bounds(Window.DAY, now_us, zone)
    start_us, end_us = bounds(Window.MONTH, now_us, zone)
    return (start_us, end_us) if name == "month" else bounds(Window.MONTH, start_us - 1, zone)
