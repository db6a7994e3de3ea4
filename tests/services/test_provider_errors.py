"""Errors of providers by kind, from roll-ups, are what events and voided holds say."""

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.conftest import STORES, MakeDatabase
from tests.factories import hold
from tests.store import history
from tests.store.history import SINCE_US, UNTIL_US

from pertoken.core.commands import OpenHold, Void
from pertoken.core.events import OfCall
from pertoken.core.price_book import Sellers
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.reporting import QUARTER_US
from pertoken.services.provider_errors import provider_errors
from pertoken.services.reports import usage
from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database

EVENTS = history.made(5, 400)
AWAY = EVENTS[0].attribution._replace(provider="away", model="m", conversation=None)


@pytest.fixture(scope="module", params=STORES)
def archive(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """Return what a database of each kind has of the history, and of a provider that failed every call."""
    database = Database(make_database(request.param, tmp_path_factory.mktemp("errors")))
    database.migrate()
    history.record(database, EVENTS)
    books = Bookkeeper(database, lambda: UNTIL_US, Sellers())
    books.refresh()
    holds = [hold(f"call_{number}", attribution=AWAY, opened_at_us=SINCE_US + number) for number in range(3)]
    books.transact([OpenHold(one, books.directory.revision) for one in holds])
    books.transact([Void(one.hold_id, AWAY, one.opened_at_us, ErrorKind.UNREACHABLE) for one in holds])
    books.close()
    with database.read() as connection:
        yield Archive(connection)
    database.close()


def test_errors_are_those_of_events_and_holds(archive: Archive) -> None:
    """Each provider and model has the errors that its events and its voided holds have, and no other."""
    found = provider_errors(archive, SINCE_US, UNTIL_US, ("provider", "model"), "UTC", {})
    expected: dict[tuple[str, ...], Counter[ErrorKind]] = {("away", "m"): Counter({ErrorKind.UNREACHABLE: 3})}
    for one in EVENTS:
        if isinstance(one.of, OfCall) and one.of.error is not None:
            key = (one.attribution.provider or "", one.attribution.model or "")
            expected.setdefault(key, Counter())[one.of.error] += 1

    assert found == expected
    assert sum(of[ErrorKind.BROKE_OFF] for of in expected.values()) > 20


def test_a_quarter_is_counted_whole(archive: Archive) -> None:
    """A range that ends in the quarter of an hour of a voided hold has its error."""
    [errors] = provider_errors(archive, SINCE_US, SINCE_US + 1, (), "UTC", {"provider": "away"}).values()
    later = provider_errors(archive, SINCE_US + QUARTER_US, UNTIL_US, (), "UTC", {"provider": "away"})

    assert errors == {ErrorKind.UNREACHABLE: 3}
    assert later == {}


def test_what_was_not_used_is_in_no_report_of_usage(archive: Archive) -> None:
    """A provider that failed every call has no row of usage, and the books agree."""
    rows = usage(archive, SINCE_US, UNTIL_US, ["provider"], "UTC")["rows"]

    assert {row["provider"] for row in rows} == {"openai"}
    assert verify(archive, UNTIL_US).differences == []
