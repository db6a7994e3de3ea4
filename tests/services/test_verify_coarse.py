"""A coarse sum that is not what its day comes to is found, and named by its day and what it is summed by."""

import pytest
import sqlalchemy as sa
from tests.conftest import MakeDatabase
from tests.store import history

from pertoken.core.coarse import MODEL, TEAM
from pertoken.core.periods import format_time
from pertoken.core.reporting import QUARTER_US
from pertoken.services.verdict import Difference
from pertoken.services.verify import verify
from pertoken.store import summing
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.schema import MarkState, coarse_sums, summed_days

DAY_US = history.CENTRES_US[1] // history.DAY_US * history.DAY_US
MADE = [
    one._replace(occurred_at_us=DAY_US + one.occurred_at_us % history.DAY_US) for one in history.made(3, 600)
]  # in one day
CHANGES = {
    "a sum": sa.update(coarse_sums).values(calls=coarse_sums.c.calls + 1),
    "an amount": sa.update(coarse_sums).values(cost_picos_low=coarse_sums.c.cost_picos_low + 1),
    "a value": sa.update(coarse_sums).values(provider="another", team="another"),
    "latency": sa.update(coarse_sums).values(latency='{"140":1}'),
    "gone": sa.delete(coarse_sums),
}


@pytest.fixture
def database(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Return a database whose one day is summed."""
    database = Database(make_database("sqlite", tmp_path_factory.mktemp("coarse")))
    database.migrate()
    history.record(database, MADE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summing, "SPARED", 0)
        assert summing.sum_newest(database, history.UNTIL_US)
    return database


def found(database: Database) -> list[Difference]:
    """Return what verification finds."""
    with database.read() as connection:
        return verify(Archive(connection), history.UNTIL_US).differences


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("name", "until"), [(MODEL, 96), (TEAM, 60), ("key", 96), ("key", 48), ("tag:env", 96)])
def test_a_changed_sum_is_found(database: Database, name: str, until: int, change: str) -> None:
    """Whatever is changed in the sums of one day, up to whatever cut: the day and the name are said."""
    mark = summed_days.c
    until_us = DAY_US + until * QUARTER_US
    ready = sa.select(mark.sum_id).where(mark.name == name, mark.until_us == until_us, mark.state == MarkState.READY)
    with database.write() as connection:
        sum_id = connection.execute(ready).scalar_one()
        first = sa.and_(coarse_sums.c.sum_id == sum_id, coarse_sums.c.number == 0)
        assert connection.execute(CHANGES[change].where(first)).rowcount == 1

    differences = found(database)

    assert differences
    assert {one["kind"] for one in differences} == {"coarse sum"}
    assert all(one["id"].startswith(f"{format_time(DAY_US)[:10]} by {name} ") for one in differences)


def test_a_sum_without_its_mark_is_not_looked_at(database: Database) -> None:
    """Nobody reads what has no mark that is ready, so it cannot be wrong."""
    with database.write() as connection:
        connection.execute(sa.update(coarse_sums).values(calls=7))
        connection.execute(sa.update(summed_days).values(state=MarkState.BEGUN))

    assert found(database) == []
