"""Windows partition time, in every zone."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pertoken.core.periods import (
    FOREVER_US,
    NotATime,
    Window,
    bounds,
    days,
    format_time,
    load_zone,
    parse_time,
    parse_when,
)

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham"]
INSTANTS = st.integers(1_577_836_800_000_000, 1_893_456_000_000_000)  # 2020 to 2030
CALENDAR = [window for window in Window if window is not Window.TOTAL]


@given(st.sampled_from(CALENDAR), INSTANTS, st.sampled_from(ZONES))
def test_windows_partition_time(window: Window, at_us: int, zone: str) -> None:
    """Every instant is in exactly one window; the next begins where it ends."""
    assume((window, zone) != (Window.HOUR, "Australia/Lord_Howe"))  # tests/properties/test_window_laws.py says why
    start, end = bounds(window, at_us, zone)

    assert start <= at_us < end
    assert bounds(window, start, zone) == (start, end)
    assert bounds(window, end - 1, zone) == (start, end)
    assert bounds(window, end, zone)[0] == end


@pytest.mark.parametrize(
    ("window", "at", "zone", "start", "end"),
    [
        ("day", "2026-11-23T22:30:00Z", "Europe/Berlin", "2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z"),
        ("day", "2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("day", "2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("month", "2026-12-31T23:30:00Z", "UTC", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "2026-12-31T23:30:00Z", "Europe/Berlin", "2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z"),
        ("week", "2026-11-23T00:00:00Z", "UTC", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("hour", "2026-11-23T10:40:00Z", "Asia/Kolkata", "2026-11-23T10:30:00Z", "2026-11-23T11:30:00Z"),
        ("minute", "2026-11-23T10:40:59.9Z", "UTC", "2026-11-23T10:40:00Z", "2026-11-23T10:41:00Z"),
    ],
)
def test_calendar(window: str, at: str, zone: str, start: str, end: str) -> None:
    """Days of 23 and 25 hours, months over the year's end, half-hour zones."""
    assert tuple(map(format_time, bounds(Window(window), parse_time(at), zone))) == (start, end)


@given(INSTANTS, st.integers(1, 40 * 86_400_000_000), st.sampled_from(ZONES))
def test_days_cover_a_range_without_gap_or_overlap(start_us: int, length_us: int, zone: str) -> None:
    """The days of a range are contiguous and reach over both its ends."""
    found = list(days(start_us, start_us + length_us, zone))

    assert found[0][0] <= start_us < found[0][1]
    assert found[-1][1] >= start_us + length_us
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))


@given(INSTANTS)
def test_times_survive_being_written_and_read(at_us: int) -> None:
    """Microseconds are kept exactly."""
    assert parse_time(format_time(at_us)) == at_us


def test_what_is_no_time() -> None:
    """Wrong texts say what to write instead."""
    with pytest.raises(NotATime, match="use 2026"):
        parse_time("yesterday")
    with pytest.raises(NotATime, match="Europe/Berlin"):
        load_zone("Mars/Olympus")


@pytest.mark.parametrize(
    ("text", "zone", "written"),
    [
        ("2026-11-23", "UTC", "2026-11-23T00:00:00Z"),
        ("2026-11-23", "Europe/Berlin", "2026-11-22T23:00:00Z"),
        ("2026-07-23", "Europe/Berlin", "2026-07-22T22:00:00Z"),
        ("2026-11-23T10:00:00", "Asia/Kolkata", "2026-11-23T04:30:00Z"),
        ("2026-11-23T10:00:00+05:30", "Europe/Berlin", "2026-11-23T04:30:00Z"),
        ("2026-11-23T10:00:00.000001Z", "UTC", "2026-11-23T10:00:00.000001Z"),
        ("2026-11-23T10:00:00.5Z", "UTC", "2026-11-23T10:00:00.5Z"),
        ("1970-01-01T00:00:00Z", "UTC", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_without_an_offset_is_read_in_the_zone(text: str, zone: str, written: str) -> None:
    """An offset in the text wins over the zone; decimals are written only as far as they go."""
    assert format_time(parse_time(text, zone)) == written


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "2026-02-30", "10:00", "1764547200", "2026-11-23T25:00:00Z"])
def test_texts_that_are_no_time(text: str) -> None:
    """A day that does not exist is refused, and a bare number is not taken for seconds."""
    with pytest.raises(NotATime):
        parse_time(text)


@pytest.mark.parametrize("name", ["", "../etc/passwd", "/etc/passwd", "Europe", "\0", "a" * 5_000, "Zürich"])
def test_names_that_are_no_zone(name: str) -> None:
    """Whatever text a client gives for a zone, the answer is a typed error and no file outside the zones is read."""
    with pytest.raises(NotATime):
        load_zone(name)


@pytest.mark.parametrize("zone", ZONES)
def test_the_total_window_never_ends(zone: str) -> None:
    """A budget in total counts from the epoch until the last instant that can be said."""
    assert [bounds(Window.TOTAL, at, zone) for at in (0, FOREVER_US - 1)] == [(0, FOREVER_US)] * 2


def test_an_empty_range_has_no_days() -> None:
    """From an instant to itself there is nothing to count."""
    assert list(days(5, 5, "UTC")) == []


NOW = "2026-11-28T10:30:00Z"  # 16:00 in India
WORDS = [
    ("now", NOW, NOW),
    ("today", "2026-11-27T18:30:00Z", "2026-11-28T18:30:00Z"),
    (" Yesterday", "2026-11-26T18:30:00Z", "2026-11-27T18:30:00Z"),
    ("2026-11", "2026-10-31T18:30:00Z", "2026-11-30T18:30:00Z"),
    ("2026-11-23", "2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z"),
    ("20261123", "2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z"),
    ("2026-W48-1", "2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z"),
    ("7d", "2026-11-20T18:30:00Z", "2026-11-20T18:30:00Z"),
    ("0d", "2026-11-27T18:30:00Z", "2026-11-27T18:30:00Z"),
    ("24h", "2026-11-27T10:30:00Z", "2026-11-27T10:30:00Z"),
    ("2026-11-23T10:00:00", "2026-11-23T04:30:00Z", "2026-11-23T04:30:00Z"),
    ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z"),
]


@pytest.mark.parametrize(("text", "start", "end"), WORDS)
def test_what_a_person_types_is_a_stretch(text: str, start: str, end: str) -> None:
    """Days and months are whole ones of the zone; days ago begin with their day; times and hours ago are instants."""
    found = parse_when(text, "Asia/Kolkata", parse_time(NOW))

    assert tuple(map(format_time, found)) == (start, end)


@pytest.mark.parametrize("text", ["", "tomorrow", "7", "d", "-7d", "7w", "2026-13", "99999d", "9999-01"])
def test_what_says_no_stretch_is_refused(text: str) -> None:
    """What is neither a word, nor a span, nor a time between 1970 and 9998, is no stretch."""
    with pytest.raises(NotATime):
        parse_when(text, "UTC", parse_time(NOW))
