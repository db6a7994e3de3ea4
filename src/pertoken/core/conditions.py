"""Conditions: properties of a call, besides its model, that decide which price applies.

A condition is a key and a value, both texts; all of a row's conditions must hold. Keys are `service_tier`, `batch`,
`speed`, `region`, `time`, and whatever else a provider's list names (an image's `quality`, a search's `context_size`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from pertoken.core.periods import US_PER_SECOND, load_zone, to_us

TIME = "time"  # "16:30-00:30", "mon-fri 09:00-18:00 Asia/Shanghai": on weekdays, in a zone (UTC unless said)
STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "unspecified"})
STANDARD_REGIONS = frozenset({"", "global", "default", "not_available"})
STANDARD_SPEEDS = frozenset({"", "standard", "normal"})

# A call that asks for one of these is never rated without it. Any other key matters only where a price names it.
ALWAYS_PRICED = frozenset({"service_tier", "batch", "speed"})

Conditions = tuple[tuple[str, str], ...]  # sorted by key

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


class NotACondition(ValueError):
    """A text is not a valid value of a condition."""


class Context(NamedTuple):
    """What a call says of itself; None is the standard."""

    service_tier: str | None = None
    batch: bool = False
    speed: str | None = None
    region: str | None = None
    attributes: Conditions = ()  # of what is priced by size, quality or the like

    def asked(self) -> Mapping[str, str]:
        """Return what deviates from the standard, by key."""
        return _asked(self)


STANDARD = Context()


@lru_cache(maxsize=4096)
def context(
    service_tier: str | None = None,
    *,
    batch: bool = False,
    speed: str | None = None,
    region: str | None = None,
    attributes: Conditions = (),
) -> Context:
    """Return the context of a call; every provider's word for its standard becomes None, "batch" as a tier is batch."""
    tier = service_tier.lower() if service_tier else ""
    speed = speed.lower() if speed else ""
    region = region.lower() if region else ""
    batch = batch or tier == "batch"
    return Context(
        None if tier in STANDARD_TIERS or tier == "batch" else tier,
        batch,
        None if speed in STANDARD_SPEEDS else speed,
        None if region in STANDARD_REGIONS else region,
        attributes,
    )


@lru_cache(maxsize=4096)
def _asked(of: Context) -> Mapping[str, str]:
    named = {"service_tier": of.service_tier, "speed": of.speed, "region": of.region}
    asked = {key: value for key, value in named.items() if value is not None}
    return {**dict(of.attributes), **asked, **({"batch": "true"} if of.batch else {})}


def to_conditions(of: Context) -> Conditions:
    """Return a context as an event keeps it."""
    return tuple(sorted(of.asked().items()))


def to_context(kept: Conditions) -> Context:
    """Return the context that an event keeps."""
    asked = dict(kept)
    return context(
        asked.pop("service_tier", None),
        batch=asked.pop("batch", None) == "true",
        speed=asked.pop("speed", None),
        region=asked.pop("region", None),
        attributes=tuple(sorted(asked.items())),
    )


class TimeWindow(NamedTuple):
    """Hours of some weekdays in a zone. One that ends before it starts ends on the next day."""

    days: frozenset[int]  # 0: Monday; the day on which the window starts
    start: time
    end: time
    zone: str

    def contains(self, at_us: int) -> bool:
        """Tell whether the instant lies in the window."""
        return any(start_us <= at_us < end_us for start_us, end_us in self._around(at_us, 1))

    def edges(self, at_us: int) -> list[int]:
        """Return the instants around `at_us` at which the window opens or closes: at least one on either side."""
        return [edge for pair in self._around(at_us, 8) for edge in pair]

    def _around(self, at_us: int, days: int) -> list[tuple[int, int]]:
        zone = load_zone(self.zone)
        today = datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(zone).date()
        pairs = []
        for offset in range(-days, days + 1):
            day = today + offset * _DAY
            if day.weekday() in self.days:
                last = day if self.start < self.end else day + _DAY
                pairs.append((self._instant(day, self.start), self._instant(last, self.end)))
        return pairs

    def _instant(self, day: date, at: time) -> int:
        return to_us(datetime.combine(day, at, load_zone(self.zone)))


@lru_cache(maxsize=1024)
def time_window(text: str) -> TimeWindow:
    """Read "16:30-00:30", "mon-fri 09:00-18:00", "sat,sun 00:00-24:00 Asia/Shanghai". Raises NotACondition."""
    words = text.split()
    days = frozenset(range(7))
    if words and words[0][:3].lower() in _DAYS:
        days = _read_days(words.pop(0).lower())
    start, separator, end = words.pop(0).partition("-") if words else ("", "", "")
    zone = words.pop(0) if words else "UTC"
    try:
        load_zone(zone)
        window = TimeWindow(days, _read_time(start), _read_time(end), zone)
    except (ValueError, KeyError) as error:
        raise NotACondition(f"not a time of day: {text!r}; write it as 'mon-fri 09:00-18:00 Asia/Shanghai'") from error
    if words or not separator:
        raise NotACondition(f"not a time of day: {text!r}; write it as 'mon-fri 09:00-18:00 Asia/Shanghai'")
    return window


def _read_days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.partition("-")
        try:
            start = _DAYS.index(first)
            end = _DAYS.index(last) if separator else start
        except ValueError as error:
            raise NotACondition(f"not weekdays: {text!r}; write them as 'mon-fri' or 'sat,sun'") from error
        days.update(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    return frozenset(days)


def _read_time(text: str) -> time:
    return time.min if text == "24:00" else time.fromisoformat(text)


def holds(conditions: Conditions, asked: Mapping[str, str], at_us: int) -> bool:
    """Tell whether all of a row's conditions are met by what a call asked for, at an instant."""
    for key, value in conditions:
        if key == TIME:
            if not time_window(value).contains(at_us):
                return False
        elif asked.get(key) != value:
            return False
    return True
