"""Days are summed coarsely beside the calls, and no reader ever sees a sum that its day has outgrown."""

import random
import subprocess
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import STORES, MakeDatabase, with_schema
from tests.store import history
from tests.store.history import DAY_US, UNTIL_US

from pertoken.core.coarse import MODEL
from pertoken.core.events import Event
from pertoken.core.latency import LatencyCounts
from pertoken.core.reporting import (
    HOUR_US,
    QUARTER_US,
    Group,
    attributes,
    latency_report,
    report,
    slices,
    sum_events,
    time_events,
)
from pertoken.services.verify import verify
from pertoken.store import summing
from pertoken.store.archive import Archive
from pertoken.store.coarse import ALL
from pertoken.store.database import Database
from pertoken.store.schema import MarkState, coarse_sums, day_rollups, rollups, summed_days
from pertoken.store.summing import Summing, sum_newest

MADE = history.made(11, 500)
NEWEST_US = max(event.occurred_at_us for event in MADE) // DAY_US * DAY_US
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
]
END_US = UNTIL_US // DAY_US * DAY_US + DAY_US
Asked = tuple[tuple[str, ...], dict[str, str]]
ASKED: list[Asked] = [
    ((), {}),
    (("day",), {}),
    (("hour", "provider"), {}),
    (("model",), {"team": "red"}),
    (("day", "key"), {}),
    (("customer", "team"), {}),
    (("tag:env",), {}),
    (("week", "tag:f"), {"team": "blue"}),
    (("month",), {"tag:env": ""}),
    (("model", "key"), {"customer": "acme"}),
    (("day",), {"key": "key_1", "tag:env": "prod"}),
    (("user",), {"team": "nobody"}),
]


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write few rows at a time, and sum what spares nothing: these days have few roll-ups."""
    monkeypatch.setattr(summing, "ROWS_MAX", 50)
    monkeypatch.setattr(summing, "SPARED", 0)
    monkeypatch.setattr(summing, "APART_US", (HOUR_US,))


def sum_all(database: Database) -> int:
    """Sum every day; return how many those were."""
    for days in range(1_000):
        if not sum_newest(database, UNTIL_US):
            return days
    raise AssertionError("there is no end")


def marks(database: Database) -> dict[tuple[int, str], str]:
    """Return the marks of all days up to their ends, and the state of each."""
    return {
        (day_us, name): state
        for (day_us, until_us, name), state in cuts(database).items()
        if until_us == day_us + DAY_US
    }


def cuts(database: Database) -> dict[tuple[int, int, str], str]:
    """Return all marks of all days, and the state of each."""
    mark = summed_days.c
    with database.read() as connection:
        rows = connection.execute(sa.select(mark.start_us, mark.until_us, mark.name, mark.state))
        return {(row[0], row[1], row[2]): row[3] for row in rows}


def fits(events: Iterable[Event], where: dict[str, str]) -> list[Event]:
    """Return the events that have all of `where`."""
    return [one for one in events if all(one.attribution.value(name) == value for name, value in where.items())]


def said(
    archive: Archive, by: tuple[str, ...], where: dict[str, str], zone: str, since_us: int
) -> tuple[list[Group], object]:
    """Return what the store says of all since an instant: sums, and latency counts."""
    dimensions, pieces = attributes(by), list(slices(since_us, END_US, by, zone))
    sums = report(((piece, archive.sums(piece, dimensions, where)) for piece in pieces), by, zone)
    times = latency_report(((piece, archive.latencies(piece, dimensions, where)) for piece in pieces), by, zone)
    return list(sums), times


def true(
    events: Sequence[Event], by: tuple[str, ...], where: dict[str, str], zone: str, since_us: int
) -> tuple[list[Group], dict[tuple[str, ...], LatencyCounts]]:
    """Return the same from the events alone."""
    dimensions, pieces = attributes(by), list(slices(since_us, END_US, by, zone))
    ends = [piece.end_us for piece in pieces]
    some: list[list[Event]] = [[] for _ in pieces]
    for one in fits((one for one in events if one.occurred_at_us >= since_us), where):
        some[bisect_right(ends, one.occurred_at_us)].append(one)
    sums = report(((p, sum_events(of, p, dimensions)) for p, of in zip(pieces, some, strict=True)), by, zone)
    times = ((p, time_events(of, p, dimensions)) for p, of in zip(pieces, some, strict=True))
    return list(sums), latency_report(times, by, zone)


def assert_right(database: Database, events: Sequence[Event], zone: str, asked: Sequence[Asked] = ASKED) -> None:
    """Make sure that reports since the first of the events say what these say."""
    since_us = min(event.occurred_at_us for event in events) // DAY_US * DAY_US - DAY_US
    with database.read() as connection:
        archive = Archive(connection)
        for by, where in asked:
            expected = true(events, by, where, zone, since_us)
            assert said(archive, by, where, zone, since_us) == expected, (by, where, zone)


def differences(database: Database) -> list[dict[str, object]]:
    """Return what does not agree in the books."""
    with database.read() as connection:
        return verify(Archive(connection), UNTIL_US).differences


@pytest.fixture(scope="module", params=STORES)
def make_new(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Database]:
    """Return a function that makes an empty database, of each kind in turn."""

    def make() -> Database:
        return Database(make_database(request.param, tmp_path_factory.mktemp("summing"), with_schema))

    return make


@pytest.mark.parametrize("zone", ZONES)
def test_summed_days_say_what_their_events_say(summed: Database, zone: str) -> None:
    """Reports are the same to the last pico where every day is read from coarse sums, in odd time zones too."""
    assert_right(summed, MADE, zone)


def test_summed_days_agree_with_the_books(summed: Database) -> None:
    """Verification derives every coarse sum again, and finds each right."""
    with summed.read() as connection:
        verdict = verify(Archive(connection), UNTIL_US)

    assert verdict.differences == []
    assert verdict.checked["coarse_sums"] > 500


@pytest.fixture(scope="module")
def summed(make_new: Callable[[], Database]) -> Iterator[Database]:
    """Return a database whose days are all summed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summing, "SPARED", 0)
        patch.setattr(summing, "APART_US", (HOUR_US,))
        database = make_new()
        history.record(database, MADE)
        assert sum_all(database) > 20
    assert MarkState.READY in {
        state for (day_us, until_us, _), state in cuts(database).items() if until_us < day_us + DAY_US
    }
    yield database
    database.close()


@pytest.mark.parametrize("seed", range(5))
def test_no_reader_sees_a_sum_that_its_day_has_outgrown(make_new: Callable[[], Database], seed: int) -> None:
    """Whatever comes late or is corrected, and wherever summing stops: reports say what the events say by then."""
    chance = random.Random(seed)
    database = make_new()
    posted: list[Event] = []
    left = [one for one in history.made(seed, 250) if one.occurred_at_us > NEWEST_US - 5 * DAY_US]
    while left:
        many = chance.randrange(1, 30)
        history.record(database, left[:many])
        posted += left[:many]
        del left[:many]
        for _ in range(chance.randrange(12)):
            steps = chance.choice([0, 1, 2, 5, 1_000])
            waits = iter([False] * steps)
            sum_newest(database, UNTIL_US, lambda _, waits=waits: next(waits, True))  # type: ignore[misc]
        assert_right(database, posted, chance.choice(ZONES), chance.sample(ASKED, 4))
    assert differences(database) == []
    sum_all(database)
    assert_right(database, posted, chance.choice(ZONES))
    database.close()


def test_a_commit_while_a_day_is_summed_makes_it_be_summed_again(database: Database) -> None:
    """What is added after the roll-ups were read, and before the mark is ready, is not lost."""
    history.record(database, MADE)
    late = MADE[0]._replace(event_id="late", occurred_at_us=NEWEST_US + 5)
    added = []

    def pause(_seconds: float) -> bool:
        if not added:
            history.record(database, [late])
            added.append(late)
        return False

    assert sum_newest(database, UNTIL_US, pause)
    there = {name: state for (day_us, name), state in marks(database).items() if day_us == NEWEST_US}
    assert ALL not in there
    assert_right(database, [*MADE, late], "UTC")

    assert sum_all(database) > 20
    assert marks(database)[NEWEST_US, ALL] == MarkState.READY
    assert_right(database, [*MADE, late], "UTC")


def test_a_late_event_unmarks_what_is_summed_beyond_it_alone(database: Database) -> None:
    """Other days stay summed, and its own day up to the cuts before it."""
    history.record(database, MADE[-100:])
    sum_all(database)
    before = cuts(database)

    late_us = NEWEST_US + 9 * HOUR_US + 5
    history.record(database, [MADE[0]._replace(event_id="late", occurred_at_us=late_us)])

    kept = {mark: state for mark, state in before.items() if mark[0] != NEWEST_US or mark[1] <= late_us}
    assert cuts(database) == kept
    assert NEWEST_US + 8 * HOUR_US in {mark[1] for mark in kept}


def test_sums_without_a_mark_go(database: Database) -> None:
    """What was summed before a late event is removed by the next summing, and ids of marks are never used again."""
    history.record(database, MADE)
    sum_all(database)
    history.record(database, [MADE[0]._replace(event_id="late", occurred_at_us=NEWEST_US + 5)])
    with database.read() as connection:
        last = connection.execute(sa.select(sa.func.max(coarse_sums.c.sum_id))).scalar_one()

    assert sum_all(database) == 1

    with database.read() as connection:
        kept = set(connection.execute(sa.select(coarse_sums.c.sum_id)).scalars())
        known = set(connection.execute(sa.select(summed_days.c.sum_id)).scalars())
        newest = sa.select(sa.func.min(summed_days.c.sum_id)).where(summed_days.c.start_us == NEWEST_US)
        assert kept <= known
        assert connection.execute(newest).scalar_one() > last


def test_what_spares_little_is_read_from_roll_ups(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thing with nearly as many values as there are series is not summed, and is not tried again."""
    monkeypatch.setattr(summing, "SPARED", 3)
    made = [
        one._replace(attribution=one.attribution._replace(key="key_1", user=f"user {at % 50}"))
        for at, one in enumerate(MADE)
    ]
    history.record(database, made)
    sum_all(database)
    found = marks(database)

    assert {state for (_, name), state in found.items() if name == "user"} == {MarkState.FINE}
    assert MarkState.READY in {state for (_, name), state in found.items() if name == "key"}
    assert not sum_newest(database, UNTIL_US)
    assert_right(database, made, "UTC")


def test_today_is_summed_up_to_its_last_whole_hour(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As hours pass, today is summed up to further cuts, once each; its end is summed once it is over."""
    monkeypatch.setattr(summing, "APART_US", (HOUR_US,))
    today = [one for one in MADE if one.occurred_at_us >= NEWEST_US]
    assert len({one.occurred_at_us // HOUR_US for one in today}) > 5
    history.record(database, [one for one in today if one.occurred_at_us < NEWEST_US + 14 * HOUR_US])

    for now_us, until in ((14 * HOUR_US - 1, 13), (14 * HOUR_US + QUARTER_US, 14), (DAY_US, 24)):
        assert sum_newest(database, NEWEST_US + now_us)
        assert not sum_newest(database, NEWEST_US + now_us)
        found = {until_us for _, until_us, name in cuts(database) if name == MODEL}
        assert found == {NEWEST_US + hour * HOUR_US for hour in range(1, until + 1)}
        assert [mark for mark in cuts(database) if mark[2] == ALL] == [(NEWEST_US, NEWEST_US + until * HOUR_US, ALL)]


@pytest.mark.parametrize("by", [("day", "model"), ("hour", "provider"), ("model",)])
def test_reports_of_whole_hours_read_no_roll_ups(database: Database, by: tuple[str, ...]) -> None:
    """A report of days in Berlin is the same when every roll-up is gone: the cuts of days say all of it."""
    history.record(database, MADE)
    sum_all(database)
    since_us = min(event.occurred_at_us for event in MADE) // DAY_US * DAY_US - 2 * HOUR_US

    def report_now() -> list[Group]:
        with database.read() as connection:
            return said(Archive(connection), by, {}, "Europe/Berlin", since_us)[0]

    before = report_now()
    with database.write() as connection:
        for table in (rollups, day_rollups):
            connection.execute(sa.delete(table))

    assert before == report_now() != []


def record_processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Return a list of the processes that are started for summing from now on."""
    started: list[subprocess.Popen[bytes]] = []
    make = subprocess.Popen

    def start(*command: Any, **rest: Any) -> subprocess.Popen[bytes]:
        started.append(make(*command, **rest))
        return started[-1]

    monkeypatch.setattr(summing.subprocess, "Popen", start)
    return started


def test_the_process_ends_with_its_work_undone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended when the one that started it ends; reports stay right, and what is left is summed later."""
    monkeypatch.setattr(summing, "EVERY_S", 0.5)
    started = record_processes(monkeypatch)
    history.record(database, MADE)
    thread = Summing(database, lambda: UNTIL_US)
    thread.wake()
    deadline = time.monotonic() + 60
    while not cuts(database) and time.monotonic() < deadline:
        thread.wake()
        time.sleep(0.01)
    thread.close()

    assert [one for one in started if one.poll() is None] == [] != started
    assert (NEWEST_US - 20 * DAY_US, ALL) not in marks(database)
    assert_right(database, MADE, "UTC")
    assert sum_all(database) > 5
    assert_right(database, MADE, "Europe/Berlin")


def test_a_process_sums_while_it_is_woken(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are summed in another process, while the one that has the work to do wakes it again and again."""
    monkeypatch.setattr(summing, "EVERY_S", 0.5)
    started = record_processes(monkeypatch)
    history.record(database, MADE[:300])
    before = threading.enumerate()
    thread = Summing(database, lambda: UNTIL_US)
    deadline = time.monotonic() + 60
    while sum(name == ALL for _, name in marks(database)) < 20 and time.monotonic() < deadline:
        thread.wake()
        time.sleep(0.02)
    thread.close()

    assert sum(name == ALL for _, name in marks(database)) >= 20
    assert not [one for one in threading.enumerate() if one.name == "summing" and one not in before]
    assert [one for one in started if one.poll() is None] == [] != started
    assert_right(database, MADE[:300], "UTC")
