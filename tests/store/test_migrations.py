"""A database of an earlier version is brought here with all that is in it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import MakeDatabase
from tests.store import history

from pertoken.core.budgets import Attribution
from pertoken.core.calls import THE_PROVIDER_FAILED
from pertoken.core.commands import OpenHold, Void
from pertoken.core.events import OfCall
from pertoken.core.holds import Hold
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import Sellers
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.secrets import Hasher
from pertoken.services import archiving
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.keys import create_key
from pertoken.services.verify import verify
from pertoken.store import amounts, catalog, schema, tables, teams
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.month_files import MonthFolder
from pertoken.store.months import DatabaseMonths
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
DATA = Path(__file__).parent / "data"
HOURLY = (
    "DROP TABLE rollups",
    "DROP TABLE day_rollups",
    "DROP TABLE series_tags",
    "DROP TABLE horizons",
    "DROP INDEX ix_ended_holds_ended_at_us",
    "DROP INDEX ix_events_source",
    "DROP TABLE archives",
    "DROP TABLE archived_sums",
    "DROP TABLE archived_entries",
    "CREATE TABLE rollups (hour_us BIGINT, currency TEXT, CONSTRAINT pk_rollups PRIMARY KEY (hour_us))",
    "UPDATE alembic_version SET version_num = '0001'",
)
WITHOUT_ERRORS = (
    "ALTER TABLE events DROP COLUMN error",
    "ALTER TABLE ended_holds DROP COLUMN error",
    "UPDATE alembic_version SET version_num = '0014'",
)
KILLED = """
import os, signal, sys
import sqlalchemy as sa
from pertoken.store.database import Database

left = int(sys.argv[2])

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def kill(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Database(sys.argv[1]).migrate()
"""
NUMBERED = (("events", "id"), ("entries", "entry_id"), ("series", "series_id"))
LARGEST = 2**62  # that a column held before


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    """Return each kind of database in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def filled(store: str, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Database]:
    """Return a database of now, with rows in every table that has amounts: events, holds, prices, archived months."""
    (tmp_path / "filled").mkdir()
    database = Database(make_database(store, tmp_path / "filled"))
    database.migrate()
    history.record(database, history.made(1, 200, ended=False, timed=False))
    with database.write() as connection:
        administration = Administration(connection)
        set_budget(administration, CLOCK, Wish("all", "9", window="total", each="tag:env"))
        set_budget(administration, CLOCK, Wish("most", str(LARGEST), axis="tokens", window="total"))
        row = PriceRow("pr_1", "p", "m", Match.EQUALS, "input_tokens", LARGEST, 1, "USD", 0, 2, 1, Source.OPERATOR, "")
        catalog.add_rows(connection, [row])
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    who = Attribution(key="key_1")
    holds = [Hold(name, who, LARGEST - 1, 1, 1, FOREVER_US, "test") for name in ("call_1", "call_2")]
    books.transact([OpenHold(one, books.directory.revision) for one in holds])
    books.transact([Void("call_2", who, 1)])
    books.close()
    yield database
    database.close()


def old_copy(filled: Database, url: str) -> Database:
    """Return a database as version 0003 had it, with the rows of one of now."""
    old = Database(url)
    kind = old.url.get_backend_name()
    with old.write() as connection:
        for statement in (DATA / f"schema_0003_{kind}.sql").read_text().split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    found = everything(filled)
    writer = old.hot_writer()
    writer.begin(wait=True)
    writer.cover(row["occurred_at_us"] for row in found["events"])
    writer.commit()
    writer.close()
    with old.write() as connection:
        tables = sa.inspect(connection).get_table_names()
        for table, rows in ((name, rows) for name, rows in found.items() if name in tables):
            names = {column["name"] for column in sa.inspect(connection).get_columns(table)}
            into = sa.table(table, *map(sa.column, names))
            if rows:
                connection.execute(sa.insert(into), [{name: _old(name, row[name]) for name in names} for row in rows])
        for table, key in NUMBERED if kind == "postgresql" else ():
            sequence = f"pg_get_serial_sequence('{table}', '{key}')"
            connection.exec_driver_sql(f"SELECT setval({sequence}, (SELECT max({key}) + 1 FROM {table}))")  # noqa: S608
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0003')")
    return old


def _old(name: str, value: Any) -> Any:
    """Return what version 0003 had in a column: 0 for want of a price."""
    return 0 if name == "price_picos" and value is None else value


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables in the order of their keys, an amount as one number."""
    found = {}
    with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            names = [column.name for column in table.columns]
            halved = [name.removesuffix("_high") for name in names if name.endswith("_high")]
            rows = [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for row in rows:
                for name in halved:
                    high, low = amounts.pair(name)
                    parts = (row.pop(high), row.pop(low))
                    row[name] = None if None in parts else parts[0] * amounts.HALF + parts[1]
            found[table.name] = rows
    return found


@pytest.fixture
def old(filled: Database, store: str, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Database]:
    """Return the same as version 0003 had it."""
    database = old_copy(filled, make_database(store, tmp_path))
    yield database
    database.close()


def test_amounts_are_as_they_were(filled: Database, store: str, make_database: MakeDatabase, tmp_path: Path) -> None:
    """Every amount of one column, positive or negative, to the largest there could be, is the same in two.

    Of archived months, too.
    """
    months = DatabaseMonths(filled, lambda: Bookkeeper(filled, CLOCK.now_us, Sellers()))
    folder = MonthFolder(tmp_path / "archive", "test")
    with folder.locked(make=True):
        list(archiving.archive(months, folder, history.CENTRES_US[2], CLOCK.now_us(), lambda: None))
    expected = everything(filled)
    old = old_copy(filled, make_database(store, tmp_path))
    old.migrate()
    found = everything(old)

    shared = {(row["customer"], row["team"]) for row in found.pop("customer_teams")}
    assert expected.pop("customer_teams") == []  # all of these were named by calls of several teams
    assert shared == {(one["customer"], one["team"]) for one in expected["series"] if one["customer"]}
    assert found == expected
    assert expected["archived_sums"]
    assert expected["archived_entries"]
    assert min(row["balance_picos"] for row in expected["accounts"]) < 0
    with old.read() as connection:
        assert verify(Archive(connection), CLOCK.now_us()).differences == []
    old.close()


@pytest.mark.parametrize("statements", [5, 25, 60])
def test_a_migration_that_was_killed_is_made_again(filled: Database, old: Database, statements: int) -> None:
    """A process that dies on the way leaves the database of before; the next one brings it here whole."""
    url = old.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", KILLED, url, str(statements)]
    done = subprocess.run(command, check=False, timeout=120)
    with old.read() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    old.migrate()

    assert done.returncode == -signal.SIGKILL
    assert version == "0003"
    assert everything(old) | {"customer_teams": []} == everything(filled)


def test_a_database_that_came_here_has_the_rules_of_one_made_here(filled: Database, old: Database) -> None:
    """Columns, keys, indexes and CHECKs are those of a new database, but for the order of columns."""
    old.migrate()

    assert shape(old) == shape(filled)


def shape(database: Database) -> dict[str, Any]:
    """Return what each table is like."""
    with database.read() as connection:
        inspector = sa.inspect(connection)
        return {
            table: (
                sorted((one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(table)),
                inspector.get_pk_constraint(table)["constrained_columns"],
                sorted((str(one["name"]), one["column_names"]) for one in inspector.get_indexes(table)),
                sorted(str(one["name"]) for one in inspector.get_check_constraints(table)),
            )
            for table in tables.metadata.tables
        }


def test_rollups_by_the_hour_become_those_of_quarters_and_days(filled: Database, old: Database) -> None:
    """What is derived is derived anew from the events; counters and tags are as they were; what comes goes on."""
    expected = everything(filled)
    with old.write() as connection:
        for statement in HOURLY:
            connection.exec_driver_sql(statement)
    old.migrate()
    history.record(old, history.made(2, 50))

    with old.read() as connection:
        archive = Archive(connection)
        assert verify(archive, CLOCK.now_us()).differences == []
        assert len(archive.counters()) == len(expected["counters"])
        tags = [dict(row._mapping) for row in connection.execute(sa.select(schema.series_tags))]
    assert [one for one in expected["series_tags"] if one not in tags] == []
    assert expected["series_tags"]


def test_how_calls_ended_is_counted_for_those_of_before(
    store: str, filled: Database, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Roll-ups say of the calls that are in the database which of them failed, were hung up or estimated."""
    history.record(filled, history.made(2, 300, timed=False))
    expected = everything(filled)
    (tmp_path / "ended").mkdir()
    old = old_copy(filled, make_database(store, tmp_path / "ended"))
    old.migrate()
    found = everything(old)

    assert {name: found[name] for name in ("rollups", "day_rollups")} == {
        name: expected[name] for name in ("rollups", "day_rollups")
    }
    for name in ("failed_calls", "hung_up_calls", "estimated_calls"):
        assert sum(row[name] for row in found["rollups"]) > 10
    with old.read() as connection:
        assert verify(Archive(connection), CLOCK.now_us()).differences == []
    old.close()


def test_holds_of_before_are_in_dollars(old: Database) -> None:
    """Holds that are open, or ended, when the currency becomes part of them are in US dollars."""
    old.migrate()

    with old.read() as connection:
        archive = Archive(connection)
        [hold] = archive.open_holds()
        ended = archive.ended_hold("call_2")
    assert ended is not None
    assert {hold.currency, ended.hold.currency} == {"USD"}


def test_who_named_a_customer_may_go_on(old: Database) -> None:
    """Whoever shares a customer, or has a key for it, keeps it; one that a single team named is that team's anyway."""
    names = "key_id, name, secret_hash, secret_hint, team, customer, tags, created_at_us"
    made = [
        ("k1", "a", "red", "made"),
        ("k2", "b", "blue", "made"),
        ("k3", "c", None, "free"),
        ("k4", "d", "red", None),
    ]
    with old.write() as connection:
        for key_id, name, team, customer in made:
            row = {"id": key_id, "name": name, "team": team, "customer": customer, "hash": name.encode()}
            statement = f"INSERT INTO keys ({names}) VALUES (:id, :name, :hash, 'x', :team, :customer, :tags, 1)"  # noqa: S608
            connection.execute(sa.text(statement), {**row, "tags": "{}"})
        connection.exec_driver_sql("DELETE FROM series WHERE customer = 'globex' AND team <> 'red'")
    old.migrate()

    with old.write() as connection:
        administration = Administration(connection)
        known = {name: administration.owners(name) for name in ("made", "free", "globex", "acme", "nobody")}
        said = {row.customer for row in connection.execute(sa.select(teams.customer_teams))}
        assert [key.name for key in administration.list_keys()] == ["a", "b", "c", "d"]
        create_key(administration, CLOCK, Hasher(b"x" * 32), "a", team="blue")  # the name of a key of red
    assert known["made"] == {"red", "blue"}
    assert known["free"] == frozenset()
    assert known["globex"] == {"red"}
    assert known["acme"] == {"", "red", "blue"}
    assert known["nobody"] == frozenset()
    assert said == {"made", "acme"}


def test_a_month_half_archived_before_errors_had_kinds(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file says no kind of an error, so its events are not counted, and the books agree when it is finished."""
    monkeypatch.setattr(archiving, "CHUNK", 20)
    history.record(filled, [one._replace(of=OfCall()) for one in history.made(3, 200) if isinstance(one.of, OfCall)])
    folder = MonthFolder(tmp_path / "archive", "test")
    months = DatabaseMonths(filled, lambda: Bookkeeper(filled, CLOCK.now_us, Sellers()))

    def put_away(rest: Callable[[], None]) -> None:
        before_us = archiving.newest_before_us(history.UNTIL_US)
        list(archiving.archive(months, folder, before_us, history.UNTIL_US, rest))

    with folder.locked(make=True), pytest.raises(InterruptedError):
        put_away(_interrupt)
    with filled.write() as connection:
        for statement in WITHOUT_ERRORS:
            connection.exec_driver_sql(statement)
    filled.migrate()
    with folder.locked():
        put_away(lambda: None)

    with filled.read() as connection:
        archive = Archive(connection)
        assert sum(one.removed for one in archive.archived()) > 100
        assert verify(archive, CLOCK.now_us()).differences == []
        assert verify(archive, CLOCK.now_us(), folder).differences == []


def _interrupt() -> None:
    raise InterruptedError


# What the events of each version before say of a provider that did not answer in time.
TIMED_OUT = (
    "the transfer took longer than 400 ms",
    "the transfer took longer than the limit in ms: 400",
    "no answer began within 300 ms",
    "no head of an answer came within the limit in ms: 300",
    "the body stalled for longer than 200 ms",
    "the body stalled for longer than the limit in ms: 200",
)


def test_errors_of_before_have_the_kind_that_they_have_now(
    store: str, filled: Database, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Each text that a version wrote for a time limit is a time limit; another failure is an answer that broke off."""
    said = [*(f"{THE_PROVIDER_FAILED}: {text}" for text in TIMED_OUT), f"{THE_PROVIDER_FAILED}: reset"]
    [event, *_] = (one for one in history.made(3, 50, ended=False) if isinstance(one.of, OfCall))
    history.record(filled, [event._replace(event_id=text, reason=text, of=OfCall()) for text in said])
    (tmp_path / "errors").mkdir()
    old = old_copy(filled, make_database(store, tmp_path / "errors"))
    old.migrate()

    with old.read() as connection:
        archive = Archive(connection)
        found = {one.event_id: one.of.error for one in archive.events() if isinstance(one.of, OfCall) and one.of.error}
        assert verify(archive, CLOCK.now_us()).differences == []
    assert found == dict.fromkeys(said[:-1], ErrorKind.TIMED_OUT) | {said[-1]: ErrorKind.BROKE_OFF}
    old.close()
