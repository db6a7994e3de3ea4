"""Which stretch of time a page is about, and which it is compared with."""

import pytest

from pertoken.core import periods
from pertoken.core.periods import DAY_US, format_time, parse_time
from pertoken.web import ranges
from pertoken.web.ranges import STEPS_MAX, STEPS_US, Range, month_before, read_range

ALL_TIMES = {"since": "1971-01-01", "until": "9998-12-31"}
NOW_US = parse_time("2026-11-27T10:07:00Z")

COMPARED = {
    # (query, now): the stretch to compare with, in UTC
    "last days, in the middle of the last": (
        {"range": "7d"}, "2026-11-27T10:07:00Z", ("2026-11-14T00:00:00Z", "2026-11-20T10:00:00Z"),
    ),
    "today against yesterday": (
        {"range": "today"}, "2026-11-27T10:15:00Z", ("2026-11-26T00:00:00Z", "2026-11-26T10:15:00Z"),
    ),
    "this month against the same days of the last": (
        {"range": "month"}, "2026-11-27T10:15:00Z", ("2026-10-01T00:00:00Z", "2026-10-27T10:15:00Z"),
    ),
    "the last day of a month that is longer": (
        {"range": "month"}, "2026-03-30T10:15:00Z", ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    ),
    "the last month against the one before": (
        {"range": "last-month"}, "2026-11-27T10:15:00Z", ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
    ),
    "days that are over": (
        {"since": "2026-11-01", "until": "2026-11-07"}, "2026-11-27T00:00:00Z",
        ("2026-10-25T00:00:00Z", "2026-11-01T00:00:00Z"),
    ),
    "hours": (
        {"since": "2026-11-01T10:00:00Z", "until": "2026-11-01T12:00:00Z"}, "2026-11-27T00:00:00Z",
        ("2026-11-01T08:00:00Z", "2026-11-01T10:00:00Z"),
    ),
    "days before which the clocks were moved": (
        {"since": "2026-10-25", "until": "2026-10-31", "tz": "Europe/Berlin"}, "2026-11-27T00:00:00Z",
        ("2026-10-17T22:00:00Z", "2026-10-24T22:00:00Z"),
    ),
    "a zone whose clocks moved by half an hour": (
        {"since": "2026-10-04", "until": "2026-10-04", "tz": "Australia/Lord_Howe"}, "2026-11-27T00:00:00Z",
        ("2026-10-02T13:30:00Z", "2026-10-03T13:30:00Z"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMPARED)
def test_what_a_range_is_compared_with(case: str) -> None:
    """The time before has as many days on the clocks of the zone, and ends as long before its end as now does."""
    query, now, expected = COMPARED[case]
    now_us = parse_time(now)
    since_us, until_us = read_range(query, "UTC", now_us).compared(now_us)

    assert (format_time(since_us), format_time(until_us)) == expected


def test_the_same_in_the_month_before() -> None:
    """A day that the month before does not have is the end of that month."""
    assert format_time(month_before(parse_time("2026-03-28T23:59:00Z"), "UTC")) == "2026-02-28T23:45:00Z"
    assert format_time(month_before(parse_time("2026-03-29T00:00:00Z"), "UTC")) == "2026-03-01T00:00:00Z"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Apia"])
def test_a_range_ends_a_year_from_now(zone: str) -> None:
    """A range to the year 9998 is cut to a year from now, and says so; one that begins later is a year long."""
    found = read_range({**ALL_TIMES, "tz": zone}, "UTC", NOW_US)

    assert NOW_US + 366 * DAY_US <= found.until_us <= NOW_US + 368 * DAY_US
    assert found.label.startswith("1971-01-01 to 2027-11-28")
    later = read_range({"since": "9000-01-01", "until": "9998-12-31"}, zone, NOW_US)
    assert later.until_us - later.since_us == 366 * DAY_US
    assert read_range({"since": "9998-12-31", "until": "9998-12-31"}, zone, NOW_US).label == "9998-12-31 to 9998-12-31"


def test_the_days_of_a_long_range_are_not_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a range is compared with is found by arithmetic: no more than a few windows are looked at."""
    found, asked = read_range(ALL_TIMES, "Europe/Berlin", NOW_US), []
    bounds = periods.bounds

    def counted(window: periods.Window, at_us: int, zone: str) -> tuple[int, int]:
        asked.append(at_us)
        return bounds(window, at_us, zone)

    monkeypatch.setattr(periods, "bounds", counted)
    monkeypatch.setattr(ranges, "bounds", counted)

    assert found.compared(NOW_US)[0] < 0 < found.since_us
    assert len(asked) < 10


@pytest.mark.parametrize(
    ("days", "wished", "step"),
    [
        (83, "hour", "hour"), (84, "hour", "day"), (2_000, "day", "day"), (2_001, "day", "week"),
        (2_001, "month", "month"), (14_001, "day", "month"), (500_000, "day", "month"),
    ],
)  # fmt: skip
def test_a_chart_has_no_more_steps_than_it_can_show(days: int, wished: str, step: str) -> None:
    """The step that is wished is taken as long as the range has no more than STEPS_MAX of them, else a longer one."""
    found = Range(0, days * DAY_US, "UTC", "custom", "").step(wished)

    assert found == step
    assert found == "month" or days * DAY_US <= STEPS_MAX * STEPS_US[found]
