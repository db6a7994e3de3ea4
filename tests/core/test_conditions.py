"""Conditions: words for the standard, hours of the day by weekday and zone."""

import pytest

from pertoken.core.conditions import (
    STANDARD,
    Context,
    NotACondition,
    context,
    holds,
    time_window,
    to_conditions,
    to_context,
)
from pertoken.core.periods import parse_time


@pytest.mark.parametrize("tier", [None, "", "auto", "default", "standard", "standard_only", "ON_DEMAND"])
def test_every_providers_standard_is_the_standard(tier: str | None) -> None:
    """A served tier that only means "as listed" asks for nothing."""
    assert context(tier, speed="standard", region="global") == STANDARD
    assert context(tier).asked() == {}


def test_what_deviates_is_asked_for() -> None:
    """Tier, batch, speed, region and whatever else a price may depend on are asked for by key."""
    made = context("Flex", batch=True, speed="fast", region="US", attributes=(("quality", "hd"),))

    assert made.asked() == {"service_tier": "flex", "batch": "true", "speed": "fast", "region": "us", "quality": "hd"}
    assert context("batch") == Context(batch=True)


@pytest.mark.parametrize(
    ("window", "at", "inside"),
    [
        ("16:30-00:30", "2026-11-23T16:29:59Z", False),
        ("16:30-00:30", "2026-11-23T16:30:00Z", True),
        ("16:30-00:30", "2026-11-24T00:29:59Z", True),
        ("16:30-00:30", "2026-11-24T00:30:00Z", False),
        ("mon-fri 09:00-18:00", "2026-11-23T09:00:00Z", True),  # a Monday
        ("mon-fri 09:00-18:00", "2026-11-22T09:00:00Z", False),
        ("sat,sun 00:00-24:00", "2026-11-22T23:59:59Z", True),
        ("sat,sun 00:00-24:00", "2026-11-23T00:00:00Z", False),
        ("fri 22:00-06:00", "2026-11-28T05:59:59Z", True),  # Saturday morning belongs to Friday's window
        ("fri 22:00-06:00", "2026-11-27T05:59:59Z", False),
        ("fri-mon 10:00-11:00", "2026-11-22T10:30:00Z", True),
        ("fri-mon 10:00-11:00", "2026-11-24T10:30:00Z", False),
        ("00:30-08:30 Asia/Shanghai", "2026-11-22T16:30:00Z", True),
        ("00:30-08:30 Asia/Shanghai", "2026-11-22T16:29:59Z", False),
        ("09:00-18:00 Europe/Berlin", "2026-07-01T07:00:00Z", True),  # summer: two hours ahead
        ("09:00-18:00 Europe/Berlin", "2026-12-01T07:00:00Z", False),  # winter: one
    ],
)
def test_hours_of_the_day(window: str, at: str, inside: bool) -> None:
    """A window opens at its minute in its zone, on its weekdays, and closes before its end."""
    at_us = parse_time(at)
    found = time_window(window)

    assert found.contains(at_us) == inside
    assert holds((("time", window),), {}, at_us) == inside
    edges = sorted(found.edges(at_us))
    assert edges[0] <= at_us < edges[-1]
    before, after = max(edge for edge in edges if edge <= at_us), min(edge for edge in edges if edge > at_us)
    assert found.contains(before) == found.contains(after - 1) == inside


@pytest.mark.parametrize("text", ["", "9-18", "mon", "xyz 09:00-18:00", "09:00-18:00 Mars/Base", "09:00", "a b c d"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    """A misspelt window is an error, not a window that is never open."""
    with pytest.raises(NotACondition):
        time_window(text)


@pytest.mark.parametrize("made", [context(), context("flex", batch=True, speed="fast", region="us")])
def test_a_context_survives_being_kept(made: Context) -> None:
    """What an event keeps of its context is the context it is rated again in."""
    assert to_context(to_conditions(made)) == made
