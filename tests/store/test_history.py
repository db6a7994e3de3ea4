"""However much is read from roll-ups: the answer is what the events say."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import STORES, MakeDatabase
from tests.store import history
from tests.store.history import DAY_US, SINCE_US, UNTIL_US

from pertoken.core.access import View
from pertoken.core.calls import ESTIMATED, FAILED, HUNG_UP
from pertoken.core.events import Event, OfCorrection
from pertoken.core.money import format_amount
from pertoken.core.periods import Window, bounds, load_zone
from pertoken.ports.events import Search
from pertoken.services import reports
from pertoken.services.budgets import Wish, set_budget, status
from pertoken.services.narrow import NarrowArchive
from pertoken.services.verify import verify
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.summing import sum_newest
from pertoken.wiring.clock import SystemClock

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Chatham", "America/Sao_Paulo",
]  # fmt: skip
DIMENSIONS = [
    "model", "key", "team", "customer", "user", "provider", "tag:env", "tag:f", "hour", "day", "week", "month",
]  # fmt: skip
EVENTS = history.made(1, 3_000)


@pytest.fixture(scope="module", params=STORES)
def database(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Return a database of each kind with the events of the history in it; the newest half of its days is summed."""
    database = Database(make_database(request.param, tmp_path_factory.mktemp("history")))
    database.migrate()
    history.record(database, EVENTS)
    for _ in range(15):
        assert sum_newest(database, UNTIL_US)
    yield database
    database.close()


def label(event: Event, dimension: str, zone: str) -> str:
    """Return what an event is under in a report, from the calendar alone."""
    if dimension not in ("hour", "day", "week", "month"):
        return event.attribution.value(dimension) or ""
    start_us, _ = bounds(Window(dimension), event.occurred_at_us, zone)
    local = datetime.fromtimestamp(start_us // 1_000_000, UTC).astimezone(load_zone(zone))
    return (
        local.isoformat()
        if dimension == "hour"
        else local.strftime({"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}[dimension])
    )


def sums(events: list[Event], by: list[str], zone: str) -> dict[tuple[str, ...], tuple[int, int, int, str]]:
    """Return calls, unpriced calls, input tokens and cost by the labels of `by` and currency."""
    found: dict[tuple[str, ...], list[int]] = {}
    for event in events:
        row = found.setdefault((*(label(event, one, zone) for one in by), event.currency), [0] * 4)
        of = event.of
        row[0] += not isinstance(of, OfCorrection)
        row[1] += -of.was_unpriced if isinstance(of, OfCorrection) else event.status != "priced"
        row[2] += event.quantities.get("input_tokens", 0)
        row[3] += event.cost_picos
    return {key: (row[0], row[1], row[2], format_amount(row[3], key[-1])) for key, row in found.items()}


INSTANTS = st.one_of(
    st.integers(SINCE_US, UNTIL_US),
    st.integers(SINCE_US // 900_000_000, UNTIL_US // 900_000_000).map(lambda quarter: quarter * 900_000_000),
    st.integers(SINCE_US // DAY_US, UNTIL_US // DAY_US).map(lambda day: day * DAY_US),
)


@given(
    ends=st.tuples(INSTANTS, INSTANTS).filter(lambda ends: ends[0] != ends[1]).map(sorted),
    by=st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True),
    zone=st.sampled_from(ZONES),
    team=st.sampled_from([None, "red"]),
)
@settings(max_examples=60)
def test_a_report_is_what_its_events_come_to(
    database: Database, ends: list[int], by: list[str], zone: str, team: str | None
) -> None:
    """Any range, dimensions and zone, also when a team asks: rows and totals equal those derived from the events."""
    since_us, until_us = ends
    with database.read() as connection:
        archive = NarrowArchive(Archive(connection), View(team=team))
        report = reports.usage(archive, since_us, until_us, by, zone)
    seen = [one for one in EVENTS if team in (None, one.attribution.team)]
    seen = [one for one in seen if since_us <= one.occurred_at_us < until_us]

    def read(rows: list[dict[str, Any]], by: list[str]) -> dict[tuple[str, ...], tuple[int, int, int, str]]:
        fields = ("calls", "unpriced_calls", "input_tokens", "cost")
        found = {(*(row[one] for one in by), row["currency"]): tuple(row[name] for name in fields) for row in rows}
        assert len(found) == len(rows)  # no row comes twice
        return found

    assert read(report["rows"], by) == sums(seen, by, zone)
    assert read(report["totals"], []) == sums(seen, [], zone)


@pytest.mark.parametrize("status", [FAILED, HUNG_UP, ESTIMATED])
def test_how_calls_ended_is_what_their_events_say(database: Database, status: str) -> None:
    """Roll-ups count as many failed, hung up and estimated calls as are found one by one with that status."""
    with database.read() as connection:
        archive = Archive(connection)
        counted = reports.usage(archive, SINCE_US, UNTIL_US, ["model"], "UTC")["rows"]
        found = reports.usage(archive, SINCE_US, UNTIL_US, ["model"], "UTC", reports.Part(status=status))["rows"]

    assert _calls(counted, f"{status}_calls") == _calls(found, "calls")
    assert min(_calls(found, "calls").values()) > 0


def test_a_price_is_shown_where_one_is_set(database: Database) -> None:
    """What customers are charged is the sum of their events' prices; null, never 0, where none has a price."""
    sold = [one for one in EVENTS if one.price_picos is not None]
    with database.read() as connection:
        by_source = reports.usage(Archive(connection), SINCE_US, UNTIL_US, [], "UTC")["totals"]
        nothing = reports.usage(Archive(connection), SINCE_US - DAY_US, SINCE_US, [], "UTC")["total"]
    prices = {total["currency"]: (total["price"], total["sold_calls"]) for total in by_source}

    assert nothing["price"] is None
    assert prices == {
        currency: (format_amount(sum(one.price_picos or 0 for one in some), currency), len(some))
        for currency in ("USD", "EUR")
        for some in [[one for one in sold if one.currency == currency]]
    }


def _calls(rows: list[dict[str, Any]], name: str) -> dict[tuple[str, str], int]:
    return {(row["model"], row["currency"]): row[name] for row in rows}


def test_times_come_in_order_also_when_an_hour_comes_twice(database: Database) -> None:
    """When clocks are put back, the first of the two hours between two and three is first, and a page is a part."""
    since_us = history.CENTRES_US[0] - 2 * DAY_US
    with database.read() as connection:
        asked = (Archive(connection), since_us, since_us + 4 * DAY_US, ["hour", "model"], "Europe/Berlin")
        whole = reports.usage(*asked)
        page, more = reports.usage_page(*asked, 10, 10)
        last, no_more = reports.usage_page(*asked, len(whole["rows"]) - 5, 5)
    hours = [datetime.fromisoformat(row["hour"]) for row in whole["rows"]]

    assert hours == sorted(hours)
    assert {"2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"} <= {row["hour"] for row in whole["rows"]}
    assert (page, more) == ({**whole, "rows": whole["rows"][10:20]}, True)
    assert (last["rows"], no_more) == (whole["rows"][-5:], False)


@given(
    where=st.fixed_dictionaries(
        {},
        optional={
            "team": st.sampled_from(["red", "blue", "nobody"]),
            "key": st.sampled_from(["key_1", "key_2"]),
            "model": st.just("gpt-4o"),
            "conversation": st.sampled_from(["talk-1", "talk-9"]),
            "source": st.sampled_from(["gateway", "files", "team:red"]),
        },
    ),
    ends=st.tuples(INSTANTS, INSTANTS).map(sorted),
    limit=st.integers(1, 400),
)
@settings(max_examples=40)
def test_pages_of_events_are_all_that_fit_once(
    database: Database, where: dict[str, str], ends: list[int], limit: int
) -> None:
    """Page by page come exactly the events that fit, the newest first."""
    found: list[Event] = []
    before = None
    with database.read() as connection:
        while True:
            page = Archive(connection).search_events(Search(where, ends[0], ends[1], before, limit))
            assert len(page) <= limit
            found += [posted.event for posted in page]
            if len(page) < limit:
                break
            before = page[-1].place
    wanted = [
        event
        for event in EVENTS
        if ends[0] <= event.occurred_at_us < ends[1]
        and all((event.source if name == "source" else event.attribution.value(name)) == value
                for name, value in where.items())
    ]  # fmt: skip

    assert [one.occurred_at_us for one in found] == sorted((one.occurred_at_us for one in wanted), reverse=True)
    assert {one.event_id for one in found} == {one.event_id for one in wanted}


BUDGETS = [
    Wish("month", "10", window="month"),
    Wish("Berlin's day", "10", window="day", zone="Europe/Berlin", each="key"),
    Wish("Kolkata's hour", "100", axis="requests", window="hour", zone="Asia/Kolkata"),
    Wish("minute", "100", axis="requests", window="minute", each="team"),
    Wish("total", "100000", axis="tokens", window="total", scope={"team": "red"}),
    Wish("tagged", "10", window="total", scope={"tag:env": "prod", "team": "red"}),
    Wish("empty", "10", window="total", scope={"tag:env": ""}),
    Wish("by tag", "10", window="total", each="tag:env"),
    Wish("by user", "10", axis="concurrent", window="total", each="user"),
    Wish("talks", "10", window="total", each="conversation"),
    Wish("talk", "10", window="week", scope={"conversation": "talk-1"}),
]


def test_a_new_budget_knows_what_was_spent(database: Database) -> None:
    """Whatever it counts, a budget set in the middle of its window has the counters that its events make."""

    class Clock(SystemClock):
        def now_us(self) -> int:
            return max(event.occurred_at_us for event in EVENTS) + 1

    with database.write() as connection:
        for wish in BUDGETS:
            set_budget(Administration(connection), Clock(), wish)
    with database.read() as connection:
        archive = Archive(connection)
        verdict = verify(archive, Clock().now_us())
        shown = {row["name"]: row for row in status(archive, Clock().now_us())["budgets"]}
    red = [event for event in EVENTS if event.attribution.team == "red"]

    assert verdict.differences == []
    assert verdict.checked["events"] == len(EVENTS)
    assert verdict.checked["counters"] > len(BUDGETS)
    assert shown["total"]["spent"] == sum(sum(event.quantities.values()) for event in red)
    dollars = [event for event in red if event.currency == "USD"]
    prod = sum(event.cost_picos for event in dollars if event.attribution.value("tag:env") == "prod")
    assert shown["tagged"]["spent"] == format_amount(prod)
