"""Rating events again, several times at once or broken off: each event is corrected as one plan says, or not at all."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import STORES, MakeDatabase, with_prices
from tests.factories import WHO, event, hold

from pertoken import settings
from pertoken.core.commands import posted
from pertoken.core.events import EventStatus, OfReport
from pertoken.core.price_book import Sellers
from pertoken.services.price_stating import StatedPrice, stated_rows
from pertoken.services.reports import usage
from pertoken.services.rerate import Correcting, NotCorrected, Selection, rerate
from pertoken.services.verify import verify
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation

DAY_US = 86_400_000_000
NOW_US = 20_600 * DAY_US  # in 2026
EVENTS = 5


class Books:
    """An installation with events of one model, and what is known of their prices."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.books = Bookkeeper(installation.database, lambda: NOW_US, Sellers())
        self.books.refresh()

    def use(self) -> None:
        """Record events of a model."""
        of = WHO._replace(key=None, team=None, model="m")
        made = [
            event(
                hold(f"e{number}", 0, attribution=of, opened_at_us=NOW_US - DAY_US), 0,
                status=EventStatus.UNPRICED, quantities={"input_tokens": 1_000_000}, lines=(), of=OfReport(),
            )
            for number in range(EVENTS)
        ]  # fmt: skip
        assert posted(self.books.record_all(made)).new == EVENTS

    def state(self, input_: str, currency: str, at_us: int) -> None:
        """State the price of the model."""
        price = StatedPrice("openai", "m", {"input": input_}, 1, None, currency)
        with self.installation.changes() as opened:
            opened.administration.change_prices(stated_rows(price, at_us), (), at_us)
        self.books.refresh()

    def plan(self) -> Correcting:
        """Return the corrections that would be made now."""
        with self.installation.archive() as archive:
            return Correcting(list(rerate(archive, self.books.prices, Selection(0, NOW_US), NOW_US)))

    def record(self, correcting: Correcting, most: int = 2, rounds: int = 1_000) -> None:
        """Record corrections; break off after some rounds."""
        for _ in range(rounds):
            events = correcting.next(most)
            if not events:
                return
            correcting.take(self.books.record_all(events))

    def totals(self) -> dict[str, Any]:
        """Return what everything costs, by currency, and how many calls are unpriced."""
        with self.installation.archive() as archive:
            totals = usage(archive, 0, NOW_US, (), "UTC")["totals"]
            assert verify(archive, NOW_US).differences == []
        costs = {one["currency"]: Decimal(one["cost"]) for one in totals if Decimal(one["cost"])}
        return {**costs, "unpriced": sum(one["unpriced_calls"] for one in totals)}


@pytest.fixture(params=STORES)
def books(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Any) -> Iterator[Books]:
    """Return books with a few events."""
    url = make_database(request.param, tmp_path, with_prices)
    with open_database(settings.load({"PERTOKEN_DATABASE_URL": url})) as installation:
        made = Books(installation)
        made.use()
        yield made
        made.books.close()


@pytest.mark.parametrize("first", ["USD", None])
def test_two_plans_at_once_are_not_mixed(books: Books, first: str | None) -> None:
    """Of two plans that were made of the same books, each event follows one; rated again, it is as the newest price."""
    if first is not None:
        books.state("1", first, NOW_US - 3)
        books.record(books.plan())
    books.state("2", "USD", NOW_US - 2)
    dollars = books.plan()
    books.state("5", "EUR", NOW_US - 1)
    euros = books.plan()
    books.record(dollars)
    dollars.check()
    books.record(euros)

    with pytest.raises(NotCorrected, match="try again"):
        euros.check()
    assert books.totals() == {"USD": Decimal(2 * EVENTS), "unpriced": 0}
    again = books.plan()
    books.record(again)
    again.check()
    assert books.totals() == {"EUR": Decimal(5 * EVENTS), "unpriced": 0}
    assert books.plan().next(1) == []


@pytest.mark.parametrize("rounds", range(1, 7))
def test_what_broke_off_is_finished_by_the_next(books: Books, rounds: int) -> None:
    """Wherever a plan breaks off, the next one makes costs and the number of unpriced calls right."""
    books.state("2", "USD", NOW_US - 2)
    books.record(books.plan(), rounds=2)
    books.state("5", "EUR", NOW_US - 1)
    books.record(books.plan(), rounds=rounds)
    books.record(books.plan())

    assert books.totals() == {"EUR": Decimal(5 * EVENTS), "unpriced": 0}
