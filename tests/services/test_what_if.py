"""What the past would cost at other prices: exact from calls, close from roll-ups."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import STORES, MakeDatabase, with_schema
from tests.factories import event, hold, price_row

from pertoken.core.budgets import Attribution
from pertoken.core.commands import Record
from pertoken.core.events import Event
from pertoken.core.periods import DAY_US, parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.services import what_if as module
from pertoken.services.what_if import WhatIf, what_if
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database

SINCE_US = parse_time("2026-03-01")
SPAN = (SINCE_US, SINCE_US + 31 * DAY_US)
NOW_US = SPAN[1] + 5 * DAY_US
OF = Attribution(provider="p", model="m")
ROWS = [
    price_row("input_tokens", 10),
    price_row("output_tokens", 100),
    price_row("input_tokens", 1_000, price_id="pr_above", input_above=50),
]


def made(number: int, input_tokens: int, of: Attribution = OF, at_us: int = SINCE_US + DAY_US) -> Event:
    """Return one call that cost 7 picos whatever it used."""
    one = hold(f"call_{number}_{of.model}", 7, attribution=of, opened_at_us=at_us)
    used = {"input_tokens": input_tokens, "output_tokens": 2}
    return event(one, 7, occurred_at_us=at_us, quantities=used, lines=(("input_tokens", input_tokens, "pr_1", 7),))


@pytest.fixture(params=STORES)
def archive(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Archive]:
    """Return what a database of each kind has of four calls of the model, and some of others or of other times."""
    database = Database(make_database(request.param, tmp_path, with_schema))
    books = Bookkeeper(database, lambda: NOW_US, Sellers())
    books.refresh()
    events = [made(number, tokens) for number, tokens in enumerate((10, 20, 30, 100))]
    events += [made(9, 10, OF._replace(model="other")), made(10, 10, at_us=SPAN[1])]
    books.transact([Record(one) for one in events])
    books.close()
    with database.read() as connection:
        yield Archive(connection)
    database.close()


def test_from_calls_it_is_exact(archive: Archive) -> None:
    """Each call is charged by itself, so that one above a tier's threshold has the dearer price."""
    found = what_if(archive, PriceBook(ROWS), "p", "m", SPAN, NOW_US)

    assert found == WhatIf(4, "USD", 28, 60 * 10 + 100 * 1_000 + 8 * 100, 0, is_exact=True)


def test_from_roll_ups_it_is_close_and_says_so(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many calls, all are taken as equal: 40 input tokens each here, below the threshold."""
    monkeypatch.setattr(module, "EVENTS_MAX", 3)

    found = what_if(archive, PriceBook(ROWS), "p", "m", SPAN, NOW_US)

    assert found == WhatIf(4, "USD", 28, 4 * (40 * 10 + 2 * 100), 0, is_exact=False)


@pytest.mark.parametrize("events_max", [3, 5_000])
def test_without_a_price_it_is_not_known(archive: Archive, monkeypatch: pytest.MonkeyPatch, events_max: int) -> None:
    """What no price says is unknown, never zero."""
    monkeypatch.setattr(module, "EVENTS_MAX", events_max)

    found = what_if(archive, PriceBook([]), "p", "m", SPAN, NOW_US)

    assert found is not None
    assert (found.calls, found.would_picos, found.unpriced) == (4, None, 4)


def test_without_calls_there_is_nothing(archive: Archive) -> None:
    """A model that was not used has no such figures."""
    assert what_if(archive, PriceBook(ROWS), "p", "unused", SPAN, NOW_US) is None
