"""Which stretch of time a page is about: named in its address, in one time zone, and the stretch to compare with."""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core.periods import NotATime, Window, bounds, format_time, load_zone
from pertoken.services.reports import BadRange, to_range

DEFAULT = "30d"
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
    """The stretch [since, until) in a zone, and the one before it that is as long."""

    since_us: int
    until_us: int
    zone: str
    name: str  # a key of NAMED, or `custom`
    label: str

    @property
    def before(self) -> tuple[int, int]:
        """The stretch before, as long as this one."""
        return self.since_us - (self.until_us - self.since_us), self.since_us


def read_range(query: Mapping[str, str], zone: str, now_us: int) -> Range:
    """Return the range that an address names. Raises BadRange."""
    zone = query.get("tz") or zone
    try:
        load_zone(zone)
    except NotATime as error:
        raise BadRange("tz", str(error)) from error
    since, until = query.get("since") or None, query.get("until") or None
    if since or until:
        since_us, until_us = to_range(since, until, zone, now_us)
        label = f"{since or format_time(since_us)[:10]} to {until or 'today'}"
        return Range(since_us, until_us, zone, "custom", label)
    name = query.get("range") or DEFAULT
    if name not in NAMED:
        raise BadRange("range", f"there is no range {name!r}; there are: {', '.join(NAMED)}")
    return Range(*_named(name, zone, now_us), zone, name, NAMED[name])


def _named(name: str, zone: str, now_us: int) -> tuple[int, int]:
    if name in DAYS:
        return to_range(None, None, zone, now_us, DAYS[name])
    if name == "today":
        return bounds(Window.DAY, now_us, zone)
    start_us, end_us = bounds(Window.MONTH, now_us, zone)
    return (start_us, end_us) if name == "month" else bounds(Window.MONTH, start_us - 1, zone)
