"""Calendar windows in a time zone, in microseconds since the epoch."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from pertoken.core.texts import meant

US_PER_SECOND = 1_000_000
DAY_US = 24 * 3600 * US_PER_SECOND
FOREVER_US = 253_402_300_799_000_000  # 9999-12-31T23:59:59Z, the last instant a datetime can say in whole seconds

TIMES_END_US = 253_370_764_800_000_000  # 9999-01-01: later times are refused, for the windows around them have no end


class Window(StrEnum):
    """How long a budget counts before it starts again."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class NotATime(ValueError):
    """A text that should be an RFC 3339 time, or a time zone's name, is not one."""


def bounds(window: Window, at_us: int, zone: str) -> tuple[int, int]:
    """Return start (inclusive) and end (exclusive), in microseconds, of the `window` that holds `at_us` in `zone`.

    Weeks start on Monday (ISO 8601). Minutes and hours are real ones, also when clocks are put back.
    """
    if window is Window.TOTAL:
        return 0, FOREVER_US
    if window is Window.MINUTE:
        start = at_us - at_us % (60 * US_PER_SECOND)
        return start, start + 60 * US_PER_SECOND
    return _cached_bounds(window, at_us // (900 * US_PER_SECOND), zone)


@lru_cache(maxsize=4096)
def _cached_bounds(window: Window, quarter: int, zone: str) -> tuple[int, int]:
    # Every zone in use changes day, and offset, on a quarter of an hour: one answer serves the whole quarter.
    local = datetime.fromtimestamp(quarter * 900, UTC).astimezone(load_zone(zone))
    if window is Window.HOUR:
        past_the_hour_s = local.minute * 60
        start_s = quarter * 900 - past_the_hour_s
        return start_s * US_PER_SECOND, (start_s + 3600) * US_PER_SECOND
    start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window is Window.WEEK:
        start -= timedelta(days=start.weekday())
        end = start + timedelta(days=7)
    elif window is Window.MONTH:
        start = start.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    else:
        end = start + timedelta(days=1)
    return to_us(start), to_us(end)


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """Return the named zone. Raises NotATime if there is no zone of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        zones = available_timezones()
        of_city = sorted(zone for zone in zones if zone.rpartition("/")[2].lower() == name.lower())
        near = meant(of_city[0] if of_city else name, zones)
        raise NotATime(f"unknown time zone: {name!r}{near or '; use a name such as Europe/Berlin or UTC'}") from error


def to_us(moment: datetime) -> int:
    """Return microseconds since the epoch of an aware `moment`, exactly."""
    since = moment - _EPOCH
    return since.days * DAY_US + since.seconds * US_PER_SECOND + since.microseconds


def parse_time(text: str, zone: str = "UTC") -> int:
    """Return microseconds of an RFC 3339 time; a plain date, or a time without offset, is read in `zone`.

    Raises NotATime when the text is neither, or not from 1970 to 9998.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotATime(f"not a time: {text!r}; {TIMES}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=load_zone(zone))
    at_us = to_us(moment)
    if not -DAY_US <= at_us < TIMES_END_US:  # 1970-01-01 begins sooner in some zones
        raise NotATime(f"not a time between 1970 and 9998: {text!r}")
    return at_us


def parse_when(text: str, zone: str, now_us: int) -> tuple[int, int]:
    """Return the stretch that a person's words say: today, yesterday, a month such as 2026-11, a date; as in `zone`.

    A time, or a span before now such as 24h, is an instant: it is both ends. So many days before now, such as 7d, is
    the start of that day. Raises NotATime.
    """
    today_us = bounds(Window.DAY, now_us, zone)[0]
    word = text.strip().lower()
    if word in {"now", "today", "yesterday"}:
        day_us = today_us if word != "yesterday" else bounds(Window.DAY, today_us - 1, zone)[0]
        return (now_us, now_us) if word == "now" else bounds(Window.DAY, day_us, zone)
    if _MONTH.fullmatch(word):
        return bounds(Window.MONTH, parse_time(f"{word}-01", zone), zone)
    if _SPAN.fullmatch(word):
        at_us = now_us - parse_span(word)
        at_us = bounds(Window.DAY, at_us, zone)[0] if word.endswith("d") else at_us
        if at_us < 0:
            raise NotATime(f"not a time between 1970 and 9998: {text!r}")
        return at_us, at_us
    at_us = parse_time(text, zone)
    return bounds(Window.DAY, at_us, zone) if _DATE.fullmatch(word) else (at_us, at_us)


def format_time(at_us: int) -> str:
    """Return the RFC 3339 text in UTC, with as many decimals as it needs."""
    seconds, micros = divmod(at_us, US_PER_SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{micros:06d}".rstrip("0") + "Z" if micros else f"{text}Z"


def parse_span(text: str) -> int:
    """Return the microseconds of a span such as 90d, 24h, 30m, 45s or 0. Raises NotATime."""
    units = {"s": US_PER_SECOND, "m": 60 * US_PER_SECOND, "h": 3600 * US_PER_SECOND, "d": DAY_US}
    number, unit = (text, "s") if text == "0" else (text[:-1], text[-1:])
    if unit not in units or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise NotATime(f"not a span of time: {text!r}; use 90d, 24h or 30m")
    return int(number) * units[unit]


def days(start_us: int, end_us: int, zone: str) -> Iterator[tuple[int, int]]:
    """Yield the calendar days of `zone` that touch [start, end), each as (start, end) in microseconds."""
    return windows(Window.DAY, start_us, end_us, zone)


def windows(window: Window, start_us: int, end_us: int, zone: str) -> Iterator[tuple[int, int]]:
    """Yield the windows of `zone` that touch [start, end), each as (start, end) in microseconds."""
    at = start_us
    while at < end_us:
        start, end = bounds(window, at, zone)
        yield start, end
        at = end


def offset_us(at_us: int, zone: str) -> int:
    """Return how far the clocks of `zone` are ahead of UTC at an instant."""
    offset = datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone)).utcoffset()
    assert offset is not None, zone
    return offset // timedelta(microseconds=1)


def offsets(start_us: int, end_us: int, zone: str) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches of [start, end) within which the clocks of `zone` are not moved: (start, end, offset)."""
    at, offset = start_us, offset_us(start_us, zone)
    for _, day_end in days(start_us, end_us, zone):
        if (after := offset_us(day_end, zone)) != offset:
            moved = _moved_at(at, day_end, zone)
            if moved < end_us:
                yield at, moved, offset
                at, offset = moved, after
    if at < end_us:
        yield at, end_us, offset


def _moved_at(before_us: int, after_us: int, zone: str) -> int:
    """Return the first second of another offset than that of `before_us`."""
    offset, low, high = offset_us(before_us, zone), before_us // US_PER_SECOND, after_us // US_PER_SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if offset_us(middle * US_PER_SECOND, zone) == offset:
            low = middle
        else:
            high = middle
    return high * US_PER_SECOND


TIMES = "use 2026-11-23 or 2026-11-23T10:00:00Z"
_MONTH, _DATE = re.compile(r"\d{4}-\d{2}", re.ASCII), re.compile(r"\d{4}-?(\d\d-?\d\d|w\d\d(-?\d)?)", re.ASCII)
_SPAN = re.compile(r"\d{1,6}[smhd]", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
