"""What `pertoken top` sees: each look adds only what was posted since, and equals what a new watch would see."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from tests.factories import CENT, WHO, event, hold

from pertoken import settings
from pertoken.core.commands import OpenHold, Record
from pertoken.core.events import Event, OfCorrection, OfReport
from pertoken.core.refusals import RefusedCall, RefusedCalls
from pertoken.services import watch
from pertoken.services.watch import LiveFrame, Watcher, frame_fields
from pertoken.store import refusals
from pertoken.wiring.bookkeeper import make_bookkeeper
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation

SECOND = 10**6
NOON = int(dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC).timestamp()) * SECOND
MIDNIGHT = NOON + 12 * 3600 * SECOND


@pytest.fixture
def opened(priced_url: str) -> Iterator[Installation]:
    """Return an empty installation of each kind of store."""
    with open_database(settings.load({"PERTOKEN_DATABASE_URL": priced_url})) as installation:
        yield installation


def call(name: str, ended_us: int, picos: int = CENT, **fields: Any) -> Event:
    """Return the event of a call that began a second before it ended."""
    made = event(hold(name, opened_at_us=ended_us - SECOND), picos)
    return made._replace(occurred_at_us=ended_us - SECOND, recorded_at_us=ended_us, **fields)


def post(opened: Installation, *events: Event) -> None:
    """Post events."""
    books = make_bookkeeper(opened)
    books.transact([Record(one) for one in events])
    books.close()


def look(opened: Installation, watcher: Watcher, at_us: int = NOON, rows_max: int = 10) -> LiveFrame:
    """Return what a watcher sees at an instant."""
    with opened.archive() as archive:
        return watcher.look(archive, at_us, rows_max)


def test_the_last_minute_and_today(opened: Installation) -> None:
    """A call counts in the minute after it ended, and in the day on which it began; the rate is of whole seconds."""
    post(
        opened,
        call("yesterday", NOON - 24 * 3600 * SECOND),
        call("morning", NOON - 3600 * SECOND, 2 * CENT),
        call("a minute ago", NOON - 60 * SECOND, 4 * CENT),
        call("in the minute", NOON - 59 * SECOND, 8 * CENT),
        call("now", NOON - SECOND, 16 * CENT),
    )
    frame = look(opened, Watcher("UTC"))

    [total] = frame.totals
    assert (total.window_calls, total.window_picos, total.today_calls, total.today_picos) == (
        2,
        24 * CENT,
        4,
        30 * CENT,
    )
    assert (frame.window_s, frame.calls_a_second) == (60, 0.1)


def test_a_later_look_sees_what_a_first_one_would(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls, reports and corrections that are posted between two looks are added, also over midnight."""
    watcher = Watcher("UTC")
    look(opened, watcher)
    who = {"attribution": WHO._replace(key="key_2", model="gpt-4o")}
    report = {"source": "acme", "of": OfReport(b"x")}
    steps = [
        (NOON + SECOND, [call("a", NOON + SECOND), call("b", NOON, **who)]),
        (NOON + 2 * SECOND, [call("a.c1", NOON, -CENT // 2, of=OfCorrection("a"), quantities={})]),
        (NOON + 3 * SECOND, [call("r", NOON, **report), call("old", NOON - 86_400 * SECOND, **report)]),
        (NOON + 90 * SECOND, [call("euro", NOON + 89 * SECOND, currency="EUR")]),
        (MIDNIGHT + SECOND, [call("before", MIDNIGHT), call("after", MIDNIGHT + SECOND + 1)]),
        (MIDNIGHT + 2 * SECOND, [call(f"many {number}", MIDNIGHT + SECOND) for number in range(8)]),
    ]
    for at_us, events in steps:
        post(opened, *events)
        if len(events) == 8:
            monkeypatch.setattr(watch, "BEHIND_MAX", 5)

        assert look(opened, watcher, at_us) == look(opened, Watcher("UTC"), at_us)
    assert [(one.currency, one.today_calls) for one in look(opened, watcher, at_us).totals] == [("USD", 9)]


def test_where_more_happened_than_is_read_the_window_is_shorter(
    opened: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first look that does not reach a minute back says how far it reaches, and counts no further."""
    monkeypatch.setattr(watch, "BACK_MAX", 3)
    post(opened, *(call(f"c{number}", NOON - number * SECOND) for number in range(20, 0, -1)))
    watcher = Watcher("UTC")
    frame = look(opened, watcher)

    assert (frame.window_s, frame.totals[0].window_calls, frame.totals[0].today_calls) == (3, 3, 20)
    assert frame.calls_a_second == 1.0
    assert look(opened, watcher, NOON + 30 * SECOND).window_s == 33


def test_a_watch_that_falls_behind_begins_anew(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more was posted between two looks than is read, the window begins again; today stays complete."""
    monkeypatch.setattr(watch, "BACK_MAX", 3)
    monkeypatch.setattr(watch, "BEHIND_MAX", 5)
    watcher = Watcher("UTC")
    post(opened, *(call(f"a{number}", NOON - (9 - number) * SECOND) for number in range(9)))
    assert look(opened, watcher).window_s == 3
    later = NOON + 30 * SECOND
    post(opened, *(call(f"b{number}", later - (9 - number) * SECOND) for number in range(9)))
    frame = look(opened, watcher, later)

    assert (frame.window_s, frame.totals[0].window_calls, frame.totals[0].today_calls) == (3, 3, 18)


def test_what_is_reported_late_is_not_of_the_last_minute(opened: Installation) -> None:
    """Usage that others report, and a correction, count when they occurred, not when they were posted."""
    reported = call("r", NOON - SECOND, source="acme", of=OfReport(b"x"))
    late = call("late", NOON - SECOND, source="acme", of=OfReport(b"y"))._replace(occurred_at_us=NOON - 600 * SECOND)
    mended = call("c", NOON - SECOND, of=OfCorrection("x"))._replace(occurred_at_us=NOON - 600 * SECOND)
    post(opened, reported, late, mended)
    [total] = look(opened, Watcher("UTC")).totals

    assert (total.window_calls, total.window_picos, total.today_calls, total.today_picos) == (1, CENT, 2, 3 * CENT)


def test_the_largest_come_first(opened: Installation) -> None:
    """Who spends most in the last minute is first, then who spent most today; the rest is counted."""
    spent = {
        "key_now": (NOON - SECOND, CENT),
        "key_big": (NOON - 900 * SECOND, 9 * CENT),
        "key_small": (NOON - 900 * SECOND, 1),
    }
    post(
        opened,
        *(call(key, ended_us, picos, attribution=WHO._replace(key=key)) for key, (ended_us, picos) in spent.items()),
    )
    frame = look(opened, Watcher("UTC"), rows_max=2)

    assert [one.value for one in frame.by["key"]] == ["key_now", "key_big"]
    assert frame.others == {"key": 1, "model": 0}
    assert [one.value for one in frame.by["model"]] == ["gpt-4o-mini"]


def test_today_is_a_day_of_the_zone(opened: Installation) -> None:
    """A call of yesterday's evening in UTC is one of today further east."""
    post(opened, call("evening", NOON - 13 * 3600 * SECOND))

    assert look(opened, Watcher("UTC")).totals == []
    assert [one.today_calls for one in look(opened, Watcher("Asia/Tokyo")).totals] == [1]


def test_holds_and_refusals(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open holds have number, amounts and the oldest; refusals are by reason, today and in the last minute."""
    books = make_bookkeeper(opened)
    first, second, free = (hold(name, opened_at_us=NOON - at * SECOND) for name, at in (("a", 9), ("b", 4), ("c", 2)))
    books.transact(
        [
            OpenHold(one, books.directory.revision)
            for one in (first, second._replace(currency="EUR"), free._replace(amount_picos=0))
        ]
    )
    books.close()
    waiting = RefusedCalls()
    for number, code in enumerate(["budget_exceeded", "budget_exceeded", "rate_limited"]):
        waiting.add(RefusedCall(f"r{number}", NOON - (1 + 70 * number) * SECOND, code, "no room", "day", WHO))
    batch = waiting.take()
    assert batch is not None
    with opened.database.write() as connection:
        refusals.save(connection, opened.database.sql, batch)
    frame = look(opened, Watcher("UTC"))
    fields = frame_fields(frame, {})

    assert fields["holds"] == {
        "count": 3,
        "amounts": [{"currency": "EUR", "amount": "0.01"}, {"currency": "USD", "amount": "0.01"}],
        "oldest": "2026-11-27T11:59:51Z",
    }
    assert fields["refused"] == [
        {"code": "budget_exceeded", "window_calls": 1, "today_calls": 2},
        {"code": "rate_limited", "window_calls": 0, "today_calls": 1},
    ]
    assert fields["refused_window_is_more"] is False
    monkeypatch.setattr(watch, "WHOLE_MAX", 1)
    assert look(opened, Watcher("UTC")).refused_more


def test_the_fields_of_a_frame(opened: Installation) -> None:
    """A frame in JSON has exact amounts as texts, keys by id and name, and models; what a call did not have is null."""
    post(opened, call("a", NOON - SECOND, 1234567), call("b", NOON, 1, attribution=WHO._replace(key=None)))
    fields = frame_fields(look(opened, Watcher("UTC")), {"key_1": "my-app"})

    spent = {"window_calls": 1, "today_calls": 1, "currency": "USD"}
    assert (fields["at"], fields["timezone"], fields["window_seconds"]) == ("2026-11-27T12:00:00Z", "UTC", 60)
    assert fields["keys"] == [
        {
            "key": "key_1",
            "key_name": "my-app",
            **spent,
            "window_cost": "0.000001234567",
            "today_cost": "0.000001234567",
        },
        {"key": None, "key_name": None, **spent, "window_cost": "0.000000000001", "today_cost": "0.000000000001"},
    ]
    assert [(one["model"], one["window_calls"]) for one in fields["models"]] == [("gpt-4o-mini", 2)]
    assert fields["totals"][0]["today_cost"] == "0.000001234568"
    assert fields["holds"] == {"count": 0, "amounts": [], "oldest": None}
