"""What a customer is charged is on events, in roll-ups and in reports, and stays right when costs are corrected."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest
from tests.factories import event_line
from tests.services.call.parts import NOW_US, Client, Ledger, body_of, held_call, relayed_of, served, world_of
from tests.services.call.test_reuse import Memory

from pertoken.core.commands import OpenHold, RecordResult
from pertoken.core.corrections import Rerating
from pertoken.core.events import Event
from pertoken.core.money import format_amount
from pertoken.core.periods import DAY_US, parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.ports.pricing import Pricing
from pertoken.services.call.settle import settle
from pertoken.services.ingest import ingest, read_event
from pertoken.services.reports import usage
from pertoken.services.rerate import Selection, rerate
from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database

AT_US = parse_time("2026-11-20T12:00:00Z")
SPAN = (AT_US - DAY_US, AT_US + DAY_US)
ALL = Selection(0, 2 * NOW_US)


class CostPlus:
    """Charges customers a fifth more than a call costs, and nobody where the price of the call is not known."""

    def price(self, event: Event) -> int | None:
        """Return the price of one event."""
        return None if event.status != "priced" else event.cost_picos * 120 // 100


class Nobody:
    """Charges nobody."""

    def price(self, event: Event) -> int | None:  # noqa: ARG002 - a port
        """Return that there is no price."""
        return None


def book(micros: int, currency: str = "USD") -> PriceBook:
    """Return a book in which a token of input costs so many millionths of a dollar."""
    row = PriceRow(
        "pr_1", "openai", "gpt-4o-mini", Match.EQUALS, "input_tokens", micros * 10**6, 1, currency, 0, 2 * NOW_US, 0,
        Source.OPERATOR, "a test",
    )  # fmt: skip
    return PriceBook([row] if micros else [])


class Books:
    """A database's books, with prices that a test gives."""

    def __init__(self, database: Database, prices: PriceBook) -> None:
        self.prices = prices
        self._database = database

    def record_all(self, events: Sequence[Event]) -> list[RecordResult]:
        """Record events durably."""
        books = Bookkeeper(self._database, lambda: NOW_US, Sellers())
        books.refresh()
        try:
            return books.record_all(events)
        finally:
            books.close()


def report(database: Database, prices: PriceBook, pricing: Pricing | None) -> None:
    """Take in two reported events of a million tokens."""
    records = [read_event(line, event_line(f"e{line}"), {}) for line in (1, 2)]
    assert ingest(records, Books(database, prices), NOW_US, pricing=pricing).accepted == 2


def rated_again(database: Database, prices: PriceBook, pricing: Pricing | None) -> list[Rerating]:
    """Rate all events again, and record the corrections."""
    with database.read() as connection:
        found = list(rerate(Archive(connection), prices, ALL, NOW_US, pricing))
    Books(database, prices).record_all([event for one in found for event in one.corrections])
    return found


def sold(database: Database, since_us: int = SPAN[0], until_us: int = SPAN[1]) -> list[tuple[str, str | None]]:
    """Return what the report says of cost and price, by currency; the books are proven, and events say the same."""
    with database.read() as connection:
        archive = Archive(connection)
        assert verify(archive, NOW_US).differences == []
        rows = usage(archive, since_us, until_us, ["provider"], "UTC")["rows"]
        events = list(archive.events())
    for row in rows:
        charged = [one.price_picos for one in events if one.currency == row["currency"] and one.price_picos is not None]
        said = None if row["price"] is None else Decimal(row["price"])
        assert said == (Decimal(format_amount(sum(charged), row["currency"])) if charged else None)
    return [(row["cost"], row["price"]) for row in sorted(rows, key=lambda row: str(row["currency"]))]


def test_reported_usage_has_a_price(database: Database) -> None:
    """Two dollars a report are 2.40 each for the customer, in events, roll-ups and the report."""
    report(database, book(2), CostPlus())

    assert sold(database) == [("4", "4.8")]


@pytest.mark.parametrize(("micros", "cost", "price"), [(3, "6", "7.2"), (1, "2", "2.4"), (2, "4", "4.8")])
def test_a_correction_changes_the_price_by_the_difference(
    database: Database, micros: int, cost: str, price: str
) -> None:
    """Customers are charged a fifth more than the new cost; rated again, nothing changes."""
    report(database, book(2), CostPlus())
    rated_again(database, book(micros), CostPlus())
    once = sold(database)
    again = rated_again(database, book(micros), CostPlus())

    assert once == sold(database) == [(cost, price)]
    assert [one.corrections for one in again] == [(), ()]


def test_corrections_follow_each_other(database: Database) -> None:
    """Each correction has the difference to what all before it came to."""
    report(database, book(2), CostPlus())
    for micros in (5, 1, 4):
        rated_again(database, book(micros), CostPlus())

    assert sold(database) == [("8", "9.6")]


def test_what_had_no_price_gets_it_with_its_cost(database: Database) -> None:
    """An event whose cost was not known is sold when it is."""
    report(database, book(0), CostPlus())
    before = sold(database)
    rated_again(database, book(2), CostPlus())

    assert before == [("0", None)]
    assert sold(database) == [("4", "4.8")]


def test_another_currency_takes_the_price_along(database: Database) -> None:
    """What was charged in dollars is taken back there, and charged in euro."""
    report(database, book(2), CostPlus())
    rated_again(database, book(3, "EUR"), CostPlus())

    assert sold(database) == [("6", "7.2"), ("0", "0")]


def test_who_is_charged_no_more_gets_it_back(database: Database) -> None:
    """Where nobody is charged for an event any more, its correction takes back the whole price."""
    report(database, book(2), CostPlus())
    rated_again(database, book(3), Nobody())

    assert sold(database) == [("6", "0")]


def test_a_price_in_a_currency_of_before_is_taken_back(database: Database) -> None:
    """Costs moved to euro while nobody decided on prices: later the customer is charged once, in euro."""
    report(database, book(2), CostPlus())
    rated_again(database, book(3, "EUR"), None)
    between = sold(database)
    rated_again(database, book(4, "EUR"), CostPlus())

    assert between == [("6", None), ("0", "4.8")]
    assert sold(database) == [("8", "9.6"), ("0", "0")]


@pytest.mark.parametrize("pricing", [None, Nobody()], ids=["none", "nobody"])
def test_without_a_price_there_is_none(database: Database, pricing: Pricing | None) -> None:
    """Reports, events and corrections have no price then, and never one of 0."""
    report(database, book(2), pricing)
    rated_again(database, book(3), pricing)
    with database.read() as connection:
        prices = [one.price_picos for one in Archive(connection).events()]

    assert prices == [None] * 4
    assert sold(database) == [("6", None)]


def test_without_pricing_a_correction_leaves_the_price(database: Database) -> None:
    """Where nobody decides on prices any more, what customers were charged stays."""
    report(database, book(2), CostPlus())
    rated_again(database, book(3), None)

    assert sold(database) == [("6", "4.8")]


@pytest.mark.parametrize("pricing", [None, CostPlus()], ids=["none", "cost plus"])
def test_calls_have_a_price(database: Database, pricing: Pricing | None) -> None:
    """A call that was settled and one that was answered from memory are in the books at the price that was decided."""
    ledger = Ledger()
    call = held_call()
    call.headers, call.relayed = [], relayed_of(input_tokens=5, output_tokens=2)

    async def hold_and_settle() -> None:
        await ledger.submit(OpenHold(call.holding.hold, 1, None))
        await settle(call, world_of(ledger=ledger, pricing=pricing))

    asyncio.run(hold_and_settle())
    world = world_of(ledger=ledger, reuse=Memory(), pricing=pricing)
    for _ in range(2):
        served(Client(body_of()), world)
    events = ledger.events
    Books(database, book(2)).record_all(events)
    cost_picos = sum(event.cost_picos for event in events)
    [(cost, price)] = sold(database, NOW_US - NOW_US % DAY_US, NOW_US - NOW_US % DAY_US + DAY_US)

    assert [event.cost_picos > 0 for event in events] == [True, True, False]
    assert cost == format_amount(cost_picos, "USD")
    if pricing is None:
        assert [event.price_picos for event in events] == [None] * 3
        assert price is None
    else:
        assert [event.price_picos for event in events] == [event.cost_picos * 120 // 100 for event in events]
        assert price == format_amount(sum(event.cost_picos * 120 // 100 for event in events), "USD")
