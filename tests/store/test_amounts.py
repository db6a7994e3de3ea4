"""Amounts in two columns: what is written is read again, and the database adds exactly."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.money import HALF
from pertoken.store.amounts import HIGH_MAX, added, columns, fits, gather, pair, pairs, spread
from pertoken.store.backend import HotWriter
from pertoken.store.database import Database

AMOUNTS = [0, 1, -1, HALF - 1, HALF, -HALF, 1 - HALF, 2**63, -(2**63), 7 * 10**29 + 123, -(7 * 10**29) - 123]
purses = sa.Table(
    "purses", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True), *columns("money"), fits("money")
)


@pytest.fixture
def writer(database: Database) -> Iterator[HotWriter]:
    """Return a writer to a database with a table of purses."""
    with database.write() as connection:
        purses.create(connection)
    writer = database.hot_writer()
    yield writer
    writer.close()


def put(database: Database, writer: HotWriter, rows: list[tuple[str, int]]) -> None:
    """Add amounts to purses, in one transaction."""
    new = database.sql.insert(purses)
    clause = new.on_conflict_do_update(index_elements=["name"], set_=added(purses, new.excluded, "money"))
    statement = database.sql.write(clause, ["name", *pair("money")])
    writer.begin(wait=True)
    try:
        statement.run(writer.cursor, [(name, *spread([amount])) for name, amount in rows])
    except writer.error as error:
        raise writer.failed(error) from error
    writer.commit()


def read(database: Database) -> dict[str, tuple[int, ...]]:
    """Return the columns of each purse."""
    with database.read() as connection:
        return {name: tuple(rest) for name, *rest in connection.execute(sa.select(purses))}


@given(st.lists(st.integers(-(10**30), 10**30)))
def test_what_is_spread_is_gathered(amounts: list[int]) -> None:
    """Each amount is two columns, the low one from 0 to below HALF, and comes back as it was."""
    row = spread(amounts)

    assert len(row) == 2 * len(amounts)
    assert all(0 <= low < HALF for low in row[1::2])
    assert gather(row) == amounts


@given(st.lists(st.integers(-(10**30), 10**30), min_size=1))
def test_sums_of_columns_are_sums_of_amounts(amounts: list[int]) -> None:
    """The amount of the summed columns is the sum of the amounts, however far the low one runs over."""
    rows = [spread([amount]) for amount in amounts]

    assert gather([sum(column) for column in zip(*rows, strict=True)]) == [sum(amounts)]


def test_names_follow_the_order_of_the_values() -> None:
    """The names of several amounts' columns stand in the order in which their values are spread."""
    names = pairs(["held", "spent"])

    assert dict(zip(names, spread([HALF + 1, -1]), strict=True)) == {
        "held_high": 1, "held_low": 1, "spent_high": -1, "spent_low": HALF - 1,
    }  # fmt: skip
    assert [(one.name, one.nullable) for one in columns("held", nullable=True)] == [
        ("held_high", True), ("held_low", True),
    ]  # fmt: skip


def test_the_database_adds_exactly(database: Database, writer: HotWriter) -> None:
    """An amount added to any other in SQL makes the columns of their sum, with its carry and its sign."""
    cases = [(f"{one} {other}", one, other) for one in AMOUNTS for other in AMOUNTS]
    put(database, writer, [(name, one) for name, one, _ in cases])
    put(database, writer, [(name, other) for name, _, other in cases])

    assert read(database) == {name: tuple(spread([one + other])) for name, one, other in cases}


@pytest.mark.parametrize("sign", [1, -1])
def test_what_does_not_fit_is_refused(database: Database, writer: HotWriter, sign: int) -> None:
    """A sum beyond the columns is refused as a fault of its row, and the amount stays exact as it was."""
    most = sign * HIGH_MAX * HALF
    put(database, writer, [("full", most)])
    with pytest.raises(Exception, match="the database failed") as failed:
        put(database, writer, [("full", sign * 10**18 * HALF)])

    assert failed.value.is_one_row  # type: ignore[attr-defined]
    assert read(database) == {"full": (sign * HIGH_MAX, 0)}
