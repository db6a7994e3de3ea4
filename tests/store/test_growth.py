"""Nothing on the call path reads more as history grows: every statement finds its rows by a key or an index."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests import factories
from tests.conftest import MakeDatabase, with_schema
from tests.factories import WHO, event
from tests.store import history

from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import OpenHold, Record, Resize, Settle, Void
from pertoken.core.holds import Hold
from pertoken.core.price_book import Sellers
from pertoken.ports.events import Search
from pertoken.services import reports
from pertoken.services.budgets import Wish, set_budget, status
from pertoken.services.explain import explain
from pertoken.services.latency import latency
from pertoken.store import summing
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.retention import Kept, forget_old
from pertoken.store.tables import metadata
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
BOUNDED = {
    "holds",
    "leases",
    "revision",
    "horizons",
    "keys",
    "admin_keys",
    "budgets",
    "plan_versions",
    "subscriptions",
    "prices",
    "archives",
    "count_trust",
    "customer_teams",
}  # by calls under way, by people and keys, by the months there were, by the models that are called
GROWING = {table.name for table in metadata.sorted_tables} - BOUNDED


@pytest.fixture
def database(make_database: MakeDatabase, tmp_path: Path) -> Iterator[Database]:
    """Return an empty SQLite database at the newest schema."""
    database = Database(make_database("sqlite", tmp_path, with_schema))
    yield database
    database.close()


def traced(engine: sa.Engine) -> list[str]:
    """Return a list of the statements, with their values, that an engine's transactions run from now on."""
    seen: list[str] = []

    def trace(connection: Any, _record: object) -> None:
        connection.set_trace_callback(seen.append)

    sa.event.listen(engine, "connect", trace)
    engine.dispose()
    return seen


@pytest.fixture
def statements(database: Database) -> list[str]:
    """Return the statements of writing transactions."""
    return traced(database._backend.writer)


@pytest.fixture
def reads(database: Database) -> list[str]:
    """Return the statements of reading transactions."""
    return traced(database._backend.reader)


def scans(path: Path, statements: list[str]) -> list[tuple[str, str]]:
    """Return the growing tables that statements read from end to end, each with the statement."""
    with sqlite3.connect(path) as connection:
        found = []
        for text in statements:
            if text.split(None, 1)[0].upper() not in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"):
                continue
            for step in connection.execute(f"EXPLAIN QUERY PLAN {text}"):
                scanned = re.match(r"SCAN (\w+)", step[3])
                if scanned and scanned[1] in GROWING:
                    found.append((scanned[1], text))
    connection.close()
    return found


def hold(number: int) -> Hold:
    """Return a hold of one of several customers."""
    return factories.hold(f"call_{number}", attribution=WHO._replace(customer=f"customer-{number}"))


def test_no_transaction_of_calls_reads_a_table_to_its_end(
    database: Database, statements: list[str], tmp_path: Path
) -> None:
    """Holds, claims, settlements, late ones, reports and what is let go, several at a time, all use their indexes."""
    for name, each in (("all", None), ("customers", "customer")):
        with database.write() as connection:
            set_budget(Administration(connection), CLOCK, Wish(name, "1000", window="day", each=each))
    statements.clear()
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    holds = [hold(number) for number in range(8)]
    claims = [Claim("key_1", f"name-{number}", b"request") for number in range(8)]
    outcome = Outcome(200, (), b"answer", stream=False)
    revision = books.directory.revision
    ends = [*(Settle(one.hold_id, event(one)) for one in holds[:4]), Settle("call_late", event(hold(90)))]
    for commands in (
        [OpenHold(one, revision, claim) for one, claim in zip(holds, claims, strict=True)],
        [Resize(one.hold_id, one.attribution, one.opened_at_us, 2, 2, one.expires_at_us) for one in holds],
        [*ends, Settle("call_5", event(holds[5]), claims[5], outcome), Settle("call_lost", event(hold(91)))],
        [Void(one.hold_id, one.attribution, one.opened_at_us) for one in holds[6:]],
        [Record(event(hold(number))._replace(source="files")) for number in range(20)],
    ):
        books._tables.forget()  # as when another process has written
        books.transact(commands)
    books.close()
    with database.write() as connection:
        forget_old(connection, CLOCK.now_us(), Kept())

    assert len(statements) > 30
    assert scans(tmp_path / "pertoken.db", statements) == []


def test_no_reading_of_a_part_reads_a_table_to_its_end(
    database: Database, reads: list[str], statements: list[str], tmp_path: Path
) -> None:
    """Reports, searches, one call, budgets and their setting, corrections: each reads what it is about."""
    history.record(database, history.made(1, 200))
    statements.clear()
    since_us, until_us = history.SINCE_US, history.SINCE_US + 31 * 86_400_000_000
    for name, window, scope in (("a", "month", {"team": "red"}), ("b", "total", {"tag:env": "prod"})):
        with database.write() as connection:
            wish = Wish(name, "1", window=window, scope=scope, each="customer")
            set_budget(Administration(connection), CLOCK, wish)
    with database.read() as connection:
        archive = Archive(connection)
        for by in ((), ("model", "key"), ("day", "user"), ("hour", "tag:env"), ("month",)):
            for zone in ("UTC", "Asia/Kolkata"):
                reports.usage(archive, since_us + 1, until_us, by, zone)
        reports.conversations(archive, since_us, until_us, "UTC")
        for where in ({}, {"team": "red"}, {"conversation": "talk-1"}, {"source": "files"}, {"key": "nobody"}):
            archive.search_events(Search(where, 0, until_us, None, 10))
            archive.search_events(Search(where, 0, until_us, (until_us, 3), 10))
            archive.search_events(Search(where, 0, until_us, None, 10, "unpriced"))
        archive.posted_after(archive.last_number() - 5, 10)
        assert explain(archive, "e1-1")
        assert status(archive, CLOCK.now_us())["budgets"]
        archive.corrections(since_us, until_us)
        archive.newest_us()
        assert list(archive.events_by_time(since_us, until_us))
        assert not list(archive.events_by_time(until_us, until_us + 1))

    assert len(reads) > 40
    assert scans(tmp_path / "pertoken.db", [*reads, *statements]) == []


def test_no_summing_of_days_reads_a_table_to_its_end(
    database: Database,
    reads: list[str],
    statements: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is due, what is summed, what is lost, and what reports then read: all of it is found by a key or index."""
    monkeypatch.setattr(summing, "SPARED", 1)
    history.record(database, history.made(1, 200))
    statements.clear()
    for _ in range(9):
        assert summing.sum_newest(database, history.UNTIL_US)
    history.record(database, history.made(2, 50))
    while summing.sum_newest(database, history.UNTIL_US):
        pass
    since_us, until_us = history.CENTRES_US[-1] - 3 * 86_400_000_000, history.CENTRES_US[-1] + 3 * 86_400_000_000
    with database.read() as connection:
        archive = Archive(connection)
        for by in ((), ("day", "model"), ("user",), ("tag:env",), ("key", "model")):
            for where in ({}, {"team": "red"}, {"customer": "acme"}, {"tag:env": "prod"}, {"user": "ann"}):
                for zone in ("UTC", "Europe/Berlin"):
                    reports.usage(archive, since_us, until_us, by, zone, reports.Part(where))
                latency(archive, since_us, until_us, by, "UTC", where)

    assert len(reads) > 40
    assert scans(tmp_path / "pertoken.db", [*reads, *statements]) == []
