"""The made-up days before a demo: the same each time, taken in whole, and with the stories that pages are to show."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines

from pertoken.cli.demo_history import (
    APPS,
    CALLS,
    DAYS,
    FAILING,
    OUTAGE_HOURS,
    UNPRICED,
    history,
    pilot_limit,
    price_change,
    story,
)

NOW = datetime(2026, 11, 25, 10, 20, 30, tzinfo=UTC)
KEYS = {app.key: f"key_{app.key}" for app in APPS}
FEW = 3_000


def made(now: datetime = NOW, seed: int = 7, calls: int = FEW) -> list[dict[str, Any]]:
    """Return a history."""
    return list(history(now, seed, calls, KEYS))


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """Return a history as long as the demo's."""
    return made(calls=CALLS)


def share(events: list[dict[str, Any]]) -> float:
    """Return which part of the input was read from a cache."""
    read, all_input = (sum(e["usage"].get(name, 0) for e in events) for name in ("cache_read_tokens", "input_tokens"))
    return float(read / all_input)


def at(day: datetime) -> str:
    """Return a day as the times of events begin."""
    return f"{day:%Y-%m-%d}"


def test_the_same_seed_and_time_give_the_same_events() -> None:
    """They are the same to the last byte; another seed or another time gives others."""
    assert json.dumps(made()) == json.dumps(made())
    assert made() != made(seed=8)
    assert made() != made(now=NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    "now", [NOW, NOW.replace(hour=0, minute=0, second=0), datetime(2028, 3, 1, 23, 59, tzinfo=UTC)]
)
def test_all_is_of_the_days_before(now: datetime) -> None:
    """So many events lie within the days before, none is of the future, each has an id of its own, the oldest first."""
    times = [datetime.fromisoformat(event["at"]) for event in made(now)]

    assert len(times) == FEW
    assert times == sorted(times)
    assert now - timedelta(days=DAYS, hours=1) <= times[0]
    assert times[0] < now - timedelta(days=DAYS - 2)
    assert now - timedelta(days=1) < times[-1] < now
    assert len({event["id"] for event in made(now)}) == FEW


def test_every_event_is_taken_in_and_priced(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Ingest rejects none; a price is missing for the one model that has none; the books hold."""
    events = made()
    pertoken(*price_change(NOW))
    found = pertoken.json("ingest", write_lines(*events))
    rows = pertoken.json("usage", "--by", "provider,model", "--since", "2026-09-20", "--until", "2026-11-25")["rows"]

    assert (found["accepted"], found["duplicate"], found["conflicting"], found["rejected"]) == (FEW, 0, 0, [])
    assert sum(row["calls"] for row in rows) == FEW
    assert [(row["provider"], row["model"]) for row in rows if row["unpriced_calls"]] == [UNPRICED]
    assert len({row["provider"] for row in rows} - {UNPRICED[0]}) == 3
    assert pertoken.json("verify")["ok"]


def test_a_price_changes_on_its_day(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What is used before costs the list price, what is used from then on the agreed one, a fifth less."""
    pertoken(*price_change(NOW))
    words = price_change(NOW)
    begins = datetime.fromisoformat(words[words.index("--from") + 1])
    usage = {"input_tokens": 1_000_000}
    for day in (begins - timedelta(seconds=1), begins):
        one = {"id": f"{day}", "at": f"{day:%Y-%m-%dT%H:%M:%SZ}", "provider": "openai", "model": "gpt-4.1"}
        pertoken("ingest", write_lines({**one, "usage": usage}))
    rows = pertoken.json("usage", "--by", "day", "--since", "2026-10-20", "--until", "2026-11-25")["rows"]

    assert [row["cost"] for row in rows] == ["2", "1.6"]


@pytest.mark.parametrize(("used", "limit"), [("17.6623", "17.67"), ("17.66", "17.66"), ("0.0001", "0.01")])
def test_the_pilot_never_spent_more_than_its_limit(used: str, limit: str) -> None:
    """A hard budget never lets more be spent than its limit: the demo sets none below what was spent already."""
    assert pilot_limit(used) == limit


def test_one_day_spikes(events: list[dict[str, Any]]) -> None:
    """One key calls on one day more than three times as much as on any other."""
    days = Counter(event["at"][:10] for event in events if event["key"] == KEYS["notebook"])
    (first, most), (_, second) = days.most_common(2)

    assert first == at(story(NOW).spike)
    assert most > 3 * second


def test_a_provider_fails_for_some_hours(events: list[dict[str, Any]]) -> None:
    """It has no call in these hours, and calls around them; a part of what it had goes to another, and says so."""
    hours = Counter(event["at"][:13] for event in events if event["provider"] == FAILING)
    day = at(story(NOW).outage)
    fell_back = [event for event in events if event["tags"].get("fallback") == FAILING]

    assert [hours[f"{day}T{hour:02}"] for hour in OUTAGE_HOURS] == [0] * len(OUTAGE_HOURS)
    assert all(hours[f"{day}T{hour:02}"] for hour in (OUTAGE_HOURS[0] - 1, OUTAGE_HOURS[-1] + 1))
    assert len(fell_back) > 10
    assert {(event["at"][:10], int(event["at"][11:13]) in OUTAGE_HOURS) for event in fell_back} == {(day, True)}


def test_the_cached_share_rises(events: list[dict[str, Any]]) -> None:
    """Support reads nothing from a cache at first, then more in each ten days than in the ten before."""
    desk = [event for event in events if event["key"] == KEYS["support-desk"] and event["provider"] == FAILING]
    start = story(NOW).starts
    tens = [
        share([e for e in desk if at(start + timedelta(days=ten)) <= e["at"] < at(start + timedelta(days=ten + 10))])
        for ten in range(0, DAYS, 10)
    ]

    assert tens[:2] == [0, 0]
    assert tens[1:] == sorted(tens[1:])
    assert tens[-1] > 0.5


def test_it_looks_like_the_usage_of_a_house(events: list[dict[str, Any]]) -> None:
    """Offices rest at the weekend, usage grows, conversations have several calls, and a name is not in Latin script."""
    office = Counter(datetime.fromisoformat(e["at"]).weekday() for e in events if e["team"] == "support")
    halves = Counter(datetime.fromisoformat(e["at"]) > NOW - timedelta(days=DAYS / 2) for e in events)
    talks = Counter(event["conversation"] for event in events if "conversation" in event)

    assert max(office[5], office[6]) < min(office[day] for day in range(5))
    assert halves[True] > 1.2 * halves[False]
    assert len([talk for talk, calls in talks.items() if calls > 2]) > 100
    assert any(not event.get("customer", "a").isascii() for event in events)
    assert {event["team"] for event in events} == {"growth", "support", "research"}
