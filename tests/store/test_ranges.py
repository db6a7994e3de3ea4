"""Every integer column over its whole range: what is written at the limits is read back, adds up, and is reported."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pertoken.core.budgets import Attribution
from pertoken.core.commands import OpenHold, Record, Settle
from pertoken.core.events import Event, EventStatus, OfCall, OfReport
from pertoken.core.holds import Hold
from pertoken.core.money import HALF, MAJOR_MAX, amount_max, format_amount, join, split
from pertoken.core.periods import TIMES_END_US
from pertoken.core.price_book import Sellers
from pertoken.core.prices import Match, PriceRow, Source, price_id
from pertoken.core.reporting import COST, SUMS, event_sums
from pertoken.core.usage import QUANTITY_MAX, Completeness
from pertoken.ports.failures import StoreFailed
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.reports import usage
from pertoken.services.verify import verify
from pertoken.store import amounts, catalog, schema, tables
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()
CURRENCIES = ("USD", "JPY", "CLF", "IDR")  # 12, 10, 14 and 12 digits
COUNTS = [name for name in SUMS if not name.endswith("_picos")]
TOKENS = [name for name in SUMS if name.endswith("_tokens")]
QUIET = settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture
def books(database: Database) -> Iterator[Bookkeeper]:
    """Return its books."""
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    yield books
    books.close()


# -- column by column ---


def extreme(column: sa.Column[Any], *, high: bool) -> Any:
    """Return the greatest or the least value of a column; of a text, bytes and truth, any."""
    kind, name = column.type, column.name
    if isinstance(kind, sa.Boolean):
        return high
    if isinstance(kind, sa.LargeBinary):
        return b"x"
    if not isinstance(kind, sa.Integer):
        return "x"
    if name.endswith("_low"):
        return HALF - 1 if high else 0
    if name.endswith("_high"):
        least = 0 if name == "held_high" else -amounts.HIGH_MAX
        return amounts.HIGH_MAX if high else least
    bits = 63 if isinstance(kind, sa.BigInteger) else 31
    return 2**bits - 1 if high else -(2**bits)


@pytest.mark.parametrize("table", tables.metadata.tables.values(), ids=str)
def test_a_column_holds_its_whole_range(database: Database, table: sa.Table) -> None:
    """The greatest and the least value of every column come back as they were written."""
    rows = [{column.name: extreme(column, high=high) for column in table.columns} for high in (True, False)]
    for row in rows:
        with database.write() as connection:
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table).values(row))
        with database.read() as connection:
            assert [dict(one._mapping) for one in connection.execute(sa.select(table))] == [row]


WITH_AMOUNTS = [
    (table, name)
    for table in tables.metadata.tables.values()
    for name in (one.name.removesuffix("_high") for one in table.columns if one.name.endswith("_high"))
]


def test_amounts_are_where_they_are_thought_to_be() -> None:
    """All sums of money and of tokens, all limits and all prices are in two columns."""
    found = {f"{table.name}.{name}" for table, name in WITH_AMOUNTS}
    of_rollups = {
        f"{table}.{one}"
        for table in ("rollups", "day_rollups", "archived_sums", "coarse_sums")
        for one in SUMS
        if one.endswith(("_tokens", "_picos"))
    }

    assert found == of_rollups | {
        "budgets.limit_amount", "counters.held", "counters.spent", "holds.amount_picos", "ended_holds.amount_picos",
        "events.cost_picos", "events.price_picos", "events.held_picos", "events.overrun_picos",
        "postings.amount_picos", "accounts.balance_picos", "archived_entries.amount_picos", "prices.amount_picos",
        "team_allowances.money_picos", "team_reports.money_picos",
    }  # fmt: skip


ADDED = [
    (schema.accounts, "balance_picos"),
    (schema.archived_entries, "amount_picos"),
    (schema.rollups, "input_tokens"),
]


@pytest.mark.parametrize(("table", "name"), ADDED, ids=str)
def test_what_is_added_in_sql_is_what_adds_up(database: Database, table: sa.Table, name: str) -> None:
    """Amounts of either sign, as large as they may be, add up in the database to the last digit."""
    sums = [name] if table is not schema.rollups else list(SUMS)
    add = database.sql.add(table, sums)
    key = [extreme(column, high=True) for column in table.primary_key]
    columns = [table.c[one] for one in amounts.pair(name)]
    amount = st.one_of(st.integers(-(10**29), 10**29), st.sampled_from([0, 1, -1, HALF - 1, HALF, -HALF, -HALF - 1]))

    @QUIET
    @given(st.lists(amount, min_size=1, max_size=20))
    def adds_up(values: list[int]) -> None:
        with database.write() as connection:
            connection.execute(sa.delete(table))
            counts = [0] * len(schema.COUNTED) if table is schema.rollups else []
            rest = [0] * (2 * len(schema.ADDED) - 2) + [""] if table is schema.rollups else []
            cursor = connection.connection.cursor()
            add.run(cursor, [(*key, *counts, *split(one), *rest) for one in values])
            high, low = connection.execute(sa.select(*columns)).one()
        assert join(high, low) == sum(values)
        assert 0 <= low < HALF

    adds_up()


@pytest.mark.parametrize("sign", [1, -1])
def test_what_would_not_fit_is_refused(database: Database, sign: int) -> None:
    """A balance that a column cannot hold is refused, and is what it was; nothing becomes a float."""
    add = database.sql.add(schema.accounts, ["balance_picos"])
    largest = sign * amounts.HIGH_MAX * HALF
    with database.write() as connection:
        add.run(connection.connection.cursor(), [("a", "USD", *split(largest))])
    with pytest.raises((StoreFailed, database.hot_writer().error)), database.write() as connection:
        add.run(connection.connection.cursor(), [("a", "USD", *split(largest))])

    with database.read() as connection:
        assert Archive(connection).balances() == {("a", "USD"): largest}


# -- through the ledger ---


@st.composite
def uses(draw: st.DrawFn) -> tuple[str, int, int, int, dict[str, int]]:
    """Draw what one use may be at most: currency, cost, what was held, when, and quantities."""
    currency = draw(st.sampled_from(CURRENCIES))
    amount = st.one_of(st.sampled_from([0, 1, amount_max(currency)]), st.integers(0, amount_max(currency)))
    quantity = st.one_of(st.sampled_from([0, 1, QUANTITY_MAX]), st.integers(0, QUANTITY_MAX))
    at_us = draw(st.one_of(st.sampled_from([0, TIMES_END_US - 1]), st.integers(0, TIMES_END_US - 1)))
    cost = draw(amount) * draw(st.sampled_from([1, 1, -1]))
    return currency, cost, draw(amount), at_us, {unit: draw(quantity) for unit in TOKENS}


def test_the_books_hold_whatever_may_come(database: Database, books: Bookkeeper) -> None:
    """Holds, settlements and reports of any size there may be are posted, read back, counted, proven and reported."""
    numbers = itertools.count()
    totals: dict[str, list[int]] = defaultdict(lambda: [0] * len(SUMS))
    with database.write() as connection:
        for currency in CURRENCIES:
            wish = Wish(f"all-{currency}", str(MAJOR_MAX), window="total", currency=currency, mode="soft")
            set_budget(Administration(connection), CLOCK, wish)

    @QUIET
    @given(st.lists(uses(), min_size=1, max_size=6))
    def goes_on(some: list[Any]) -> None:
        posted = []
        for currency, cost, held, at_us, quantities in some:
            name, who = f"call_{next(numbers)}", Attribution(key="key_1", provider=f"p{next(numbers) % 3}", model="m")
            hold = Hold(name, who, held, 2 * QUANTITY_MAX, at_us, TIMES_END_US, "test", currency)
            event = Event(
                "gateway", name, who, at_us, at_us, at_us, EventStatus.PRICED, Completeness.FINAL, quantities, currency,
                cost, None, (("input_tokens", quantities["input_tokens"], "pr_1", cost),) if cost else (),
                OfCall(held, max(0, cost - held)),
            )  # fmt: skip
            if next(numbers) % 2:
                books.transact([OpenHold(hold, books.directory.revision)])
                with database.read() as connection:
                    assert Archive(connection).open_hold(name) == hold
                books.transact([Settle(name, event)])
            else:
                event = event._replace(source="files", of=OfReport(b"1"))
                books.transact([Record(event)])
            posted.append(event)
            totals[currency] = [one + other for one, other in zip(totals[currency], event_sums(event), strict=True)]
        with database.read() as connection:
            archive = Archive(connection)
            for event in posted:
                [read] = archive.call_events(event.event_id)
                assert read == (event if event.source == "gateway" else event._replace(of=OfReport()))
            assert verify(archive, 0).differences == []
            reported = usage(archive, 0, TIMES_END_US, [], "UTC")
            for by in (["day"], ["provider", "hour"], ["month"]):
                again = usage(archive, TIMES_END_US - 10**12, TIMES_END_US, by, "Asia/Kathmandu")
                for one in COUNTS:
                    assert sum(row[one] for row in again["rows"]) == sum(row[one] for row in again["totals"])
            spent = {sums[1] for sums in archive.counters().values()}
        for total in reported["totals"]:
            sums = dict(zip(SUMS, totals[total["currency"]], strict=True))
            assert {name: total[name] for name in COUNTS} == {name: sums[name] for name in COUNTS}
        assert {sums[COST] for sums in totals.values()} <= spent

    goes_on()


def test_limits_and_prices_are_as_they_were_set(database: Database) -> None:
    """A budget's limit and a price come back as they were, to the largest amount of their currency."""

    @QUIET
    @given(st.sampled_from(CURRENCIES), st.data())
    def comes_back(currency: str, data: st.DataObject) -> None:
        largest = amount_max(currency)
        amount = data.draw(st.one_of(st.sampled_from([1, largest]), st.integers(1, largest)))
        row = PriceRow("", "p", "m", Match.EQUALS, "input_tokens", amount, 1, currency, 0, 1, 0, Source.OPERATOR, "")
        row = row._replace(price_id=price_id(row))
        with database.write() as connection:
            catalog.add_rows(connection, [row])
            set_budget(Administration(connection), CLOCK, Wish("b", format_amount(amount, currency), currency=currency))
        with database.read() as connection:
            assert row in catalog.read_rows(connection)
            assert [one.limit for one in Archive(connection).budgets()] == [amount]

    comes_back()
