"""A database of an earlier version is brought here with all that is in it."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from tests.store import history

from pertoken.core.budgets import Attribution
from pertoken.core.ledger import EndedHold, Hold, HoldEnd, OpenHold, Void
from pertoken.core.price_book import Sellers
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.verify import verify
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.schema import series_tags
from pertoken.wiring import SystemClock

HOURLY = (
    "DROP TABLE rollups",
    "DROP TABLE day_rollups",
    "DROP TABLE series_tags",
    "DROP TABLE horizons",
    "DROP INDEX ix_ended_holds_ended_at_us",
    "DROP INDEX ix_events_source",
    "CREATE TABLE rollups (hour_us BIGINT, currency TEXT, CONSTRAINT pk_rollups PRIMARY KEY (hour_us))",
    "UPDATE alembic_version SET version_num = '0001'",
)

WITHOUT_CURRENCY = (
    "ALTER TABLE holds DROP COLUMN currency",
    "ALTER TABLE ended_holds DROP COLUMN currency",
    "UPDATE alembic_version SET version_num = '0003'",
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return a fresh database, of each kind in turn."""
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()


def test_rollups_by_the_hour_become_those_of_quarters_and_days(database: Database) -> None:
    """What is derived is derived anew from the events; counters and tags are as they were; what comes goes on."""
    history.record(database, history.made(1, 200))
    with database.write() as connection:
        set_budget(Administration(connection), SystemClock(), Wish("all", "9", window="total", each="tag:env"))
    with database.read() as connection:
        counters = Archive(connection).counters()
        tags = connection.execute(sa.select(series_tags)).all()
    with database.write() as connection:
        for statement in HOURLY:
            connection.exec_driver_sql(statement)
    database.migrate()
    history.record(database, history.made(2, 50))

    with database.read() as connection:
        archive = Archive(connection)
        assert verify(archive, SystemClock().now_us()).differences == []
        assert archive.counters().keys() == counters.keys()
        assert set(tags) <= set(connection.execute(sa.select(series_tags)).all())
    assert tags


def test_holds_of_before_are_in_dollars(database: Database) -> None:
    """Holds that are open, or ended, when the currency becomes part of them are in US dollars."""
    opened = Hold("call_1", Attribution(key="key_1"), 5, 1, 1, 2, "test", "CNY")
    ended = opened._replace(hold_id="call_2")
    books = Bookkeeper(database, SystemClock().now_us, Sellers())
    books.refresh()
    books.transact([OpenHold(one, books.directory.revision) for one in (opened, ended)])
    books.transact([Void("call_2", ended.attribution, ended.opened_at_us)])
    books.close()
    with database.write() as connection:
        for statement in WITHOUT_CURRENCY:
            connection.exec_driver_sql(statement)
    database.migrate()

    with database.read() as connection:
        archive = Archive(connection)
        assert archive.open_holds() == [opened._replace(currency="USD")]
        assert archive.ended_hold("call_2") == EndedHold(ended._replace(currency="USD"), HoldEnd.VOIDED)
