"""Reports of how long calls took, from roll-ups, are what their events say."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.conftest import STORES, MakeDatabase
from tests.store import history
from tests.store.history import SINCE_US, UNTIL_US

from pertoken.core.access import View
from pertoken.core.events import Event
from pertoken.core.latency import LatencyCounts, Timing, calls_of, count, places, quantile_us
from pertoken.core.periods import load_zone
from pertoken.services.latency import latency
from pertoken.services.narrow import NarrowArchive
from pertoken.store.archive import Archive

EVENTS = history.made(1, 1_000)


@pytest.fixture(scope="module", params=STORES)
def archive(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """Return what a database of each kind has of the history."""
    with history.kept_in(make_database(request.param, tmp_path_factory.mktemp("latency")), EVENTS) as made:
        yield made


def told(events: list[Event], kind: Timing) -> dict[str, int | None]:
    """Return what is to be said of some events, from each of them."""
    counts: LatencyCounts = {}
    for one in events:
        count(counts, one)
    times = {"p50_ms": 500, "p95_ms": 950, "p99_ms": 990}
    found = {name: quantile_us(counts, kind, permille) for name, permille in times.items()}
    return {"calls": calls_of(counts, kind), **{name: us and (us + 500) // 1_000 for name, us in found.items()}}


def timed(events: list[Event]) -> list[Event]:
    """Return those that the gateway sent."""
    return [one for one in events if places(one)]


@pytest.mark.parametrize("cut_us", [0, 123_456_789])
def test_by_day_and_model(archive: Archive, cut_us: int) -> None:
    """Days of a zone, models and one team alone: each row is what its own events say, also where quarters are cut."""
    zone, since_us = "Asia/Kathmandu", SINCE_US + cut_us
    found = latency(archive, since_us, UNTIL_US - cut_us, ["day", "model"], zone, {"team": "red"})
    expected: dict[tuple[str, str], list[Event]] = {}
    for one in timed(EVENTS):
        if one.attribution.team == "red" and since_us <= one.occurred_at_us < UNTIL_US - cut_us:
            day = datetime.fromtimestamp(one.occurred_at_us // 10**6, UTC).astimezone(load_zone(zone)).date()
            expected.setdefault((day.isoformat(), one.attribution.model or ""), []).append(one)

    assert {(row["day"], row["model"]): (row["first_byte"], row["total"]) for row in found["rows"]} == {
        key: (told(some, Timing.FIRST_BYTE), told(some, Timing.TOTAL)) for key, some in expected.items()
    }
    assert found["total"]["total"] == told([one for some in expected.values() for one in some], Timing.TOTAL)
    assert [row["day"] for row in found["rows"]] == sorted(row["day"] for row in found["rows"])


def test_a_team_sees_its_own(archive: Archive) -> None:
    """A view of one team has the times of its calls, and of no other's."""
    found = latency(NarrowArchive(archive, View(team="red")), SINCE_US, UNTIL_US, ["tag:env"], "UTC", {})
    own = [one for one in timed(EVENTS) if one.attribution.team == "red"]

    assert found["total"]["total"] == told(own, Timing.TOTAL)
    assert sum(row["total"]["calls"] for row in found["rows"]) == len(own) > 0
