"""Calls one by one: what the database finds is what the rule for an event says, and reports of a part add up."""

import random
from collections.abc import Iterator
from decimal import Decimal

import pytest
from tests.conftest import STORES, MakeDatabase
from tests.store import history
from tests.store.history import SINCE_US, UNTIL_US

from pertoken.core import calls
from pertoken.core.calls import STATUSES, THE_CLIENT_HUNG_UP, THE_PROVIDER_FAILED, marks
from pertoken.core.events import Event, OfCall, OfCorrection, is_correction
from pertoken.core.usage import Completeness
from pertoken.services import reports
from pertoken.services.calls import Wanted, newest
from pertoken.services.reports import Part
from pertoken.store.archive import Archive
from pertoken.store.database import Database

REASONS = [
    None, None, "no price", "the answer carried no usage", THE_CLIENT_HUNG_UP, f"{THE_CLIENT_HUNG_UP}; no price",
    f"{THE_CLIENT_HUNG_UP} and the answer was cut", f"{THE_PROVIDER_FAILED}: it took too long",
    f"{THE_CLIENT_HUNG_UP}; {THE_PROVIDER_FAILED}: it broke off", "somebody said the provider failed",
]  # fmt: skip


def made() -> list[Event]:
    """Return events that ended in every way."""
    chance = random.Random(5)
    ends = [Completeness.FINAL, Completeness.FINAL, Completeness.ESTIMATED, Completeness.PARTIAL]
    return [
        one._replace(reason=chance.choice(REASONS), completeness=chance.choice(ends)) for one in history.made(9, 1_500)
    ]


EVENTS = made()


@pytest.fixture(scope="module", params=STORES)
def database(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Return a database of each kind with the events in it."""
    database = Database(make_database(request.param, tmp_path_factory.mktemp("calls")))
    database.migrate()
    history.record(database, EVENTS)
    yield database
    database.close()


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_finds_the_events_it_fits(database: Database, status: str) -> None:
    """The database finds by status exactly the events whose marks have it; a refused call has no event."""
    with database.read() as connection:
        found = list(newest(Archive(connection), Wanted({}, SINCE_US, UNTIL_US, status), None))

    assert {one.event.event_id for one in found} == {one.event_id for one in EVENTS if status in marks(one)}
    assert bool(found) == (status != calls.REFUSED)


def test_the_marks_of_an_event() -> None:
    """Every status that fits is told, the most telling first; a call without any went well."""
    plain = EVENTS[0]._replace(of=OfCall(), reason=None, completeness=Completeness.FINAL)
    plain = plain._replace(status=calls.EventStatus.PRICED)
    unpriced = plain._replace(status=calls.EventStatus.UNPRICED)

    assert marks(plain) == ("ok",)
    assert marks(unpriced) == ("unpriced",)
    assert marks(plain._replace(completeness=Completeness.ESTIMATED)) == ("estimated",)
    assert marks(unpriced._replace(reason=f"{THE_CLIENT_HUNG_UP}; no price")) == ("hung_up", "unpriced")
    cut = f"{THE_CLIENT_HUNG_UP}; {THE_PROVIDER_FAILED}: x"
    assert marks(plain._replace(reason=cut, completeness=Completeness.ESTIMATED)) == ("hung_up", "failed", "estimated")
    assert marks(plain._replace(of=OfCorrection("x"))) == ("correction",)


@pytest.mark.parametrize(
    ("part", "by"),
    [
        (Part(status="unpriced"), ("model",)),
        (Part({"team": "red"}, "ok"), ("day", "tag:env")),
        (Part(cost_min=Decimal("0.5")), ("month",)),
        (Part({"conversation": "talk-1"}), ("hour", "user")),
        (Part(), ("conversation",)),
        (Part({"team": "red", "customer": "acme"}), ("week", "key")),
        (Part({"user": "ann"}), ()),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Australia/Lord_Howe"])
def test_a_report_of_a_part_is_what_its_events_say(
    database: Database, part: Part, by: tuple[str, ...], zone: str
) -> None:
    """The totals of a part are the sums of its events, and its rows add up to them, from roll-ups or from events."""
    with database.read() as connection:
        report = reports.usage(Archive(connection), SINCE_US + 1, UNTIL_US, by, zone, part)
    wanted = [one for one in EVENTS if all(one.attribution.value(name) == value for name, value in part.where.items())]
    wanted = [one for one in wanted if part.status is None or part.status in marks(one)]
    wanted = [one for one in wanted if part.cost_min is None or one.cost_picos >= part.cost_min * 10**12]

    for total in report["totals"]:
        events = [one for one in wanted if one.currency == total["currency"]]
        assert total["calls"] == sum(not is_correction(one) for one in events)
        assert Decimal(total["cost"]) == Decimal(sum(one.cost_picos for one in events)).scaleb(-12)
        rows = [row for row in report["rows"] if row["currency"] == total["currency"]]
        assert sum(Decimal(row["cost"]) for row in rows) == Decimal(total["cost"])
        assert sum(row["input_tokens"] for row in rows) == total["input_tokens"]
    assert {total["currency"] for total in report["totals"]} == {one.currency for one in wanted}
    assert wanted
