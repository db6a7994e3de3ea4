"""Customers in the database."""

import pytest
import sqlalchemy as sa
from tests.factories import WHO, event, hold

from pertoken.core.customers import Customer, CustomerState, Unknown
from pertoken.core.directory import KnownCustomers
from pertoken.core.price_book import Sellers
from pertoken.ports.customers import CustomerSearch
from pertoken.store import customers, directory
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.customers import Customers, make_from_series
from pertoken.store.database import Database

ACME = Customer("acme", "Acme", "EUR", "Europe/Berlin", 5, team="t", metadata=(("crm", "17"),), begins_at_us=4)
BABY = Customer("baby", "Baby", "USD", "UTC", 6, parent="acme", team="t")
ZETA = Customer("Zeta", "Zeta", "JPY", "Asia/Tokyo", 7, closed_at_us=9)


def keep(connection: sa.Connection) -> Customers:
    """Store three customers."""
    kept = Customers(connection)
    for one in (ACME, BABY, ZETA):
        kept.add(one)
    return kept


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (CustomerSearch(9), [ZETA, ACME, BABY]),
        (CustomerSearch(2), [ZETA, ACME]),
        (CustomerSearch(9, after="acme"), [BABY]),
        (CustomerSearch(9, team="t"), [ACME, BABY]),
        (CustomerSearch(9, parent="acme"), [BABY]),
        (CustomerSearch(9, state=CustomerState.OPEN), [ACME, BABY]),
        (CustomerSearch(9, state=CustomerState.CLOSED), [ZETA]),
        (CustomerSearch(9, team="t", state=CustomerState.CLOSED), []),
    ],
)
def test_customers_are_found(database: Database, asked: CustomerSearch, found: list[Customer]) -> None:
    """A search returns the customers that fit, by the bytes of their ids on both databases, each as it was stored."""
    with database.write() as connection:
        assert keep(connection).search(asked) == found


def test_customers_are_changed_and_found_by_name(database: Database) -> None:
    """Changed values replace those before; children are found by their parents; a missing id is left out."""
    with database.write() as connection:
        kept = keep(connection)
        kept.change(ACME._replace(name="Acme Ltd", parent="Zeta"))

        assert kept.find(["acme", "nobody"]) == {"acme": ACME._replace(name="Acme Ltd", parent="Zeta")}
        assert sorted(kept.children(["acme", "Zeta"])) == ["acme", "baby"]
        assert kept.children([]) == []


def test_a_change_is_a_new_revision_of_the_directory(database: Database) -> None:
    """What calls must know is in the next directory: closed customers, and all where others are refused."""
    with database.write() as connection:
        before = directory.read_revision(connection)
        keep(connection)
        Customers(connection).change(BABY._replace(closed_at_us=10))

    with database.read() as connection:
        assert directory.read_revision(connection) == before + 4
        closed = {"Zeta": 9, "baby": 10}
        assert directory.read(connection).customers == KnownCustomers(closed)
        known = KnownCustomers(closed, frozenset({"acme", "baby", "Zeta"}))
        assert directory.read(connection, Unknown.REFUSE).customers == known


def test_customers_are_made_from_what_was_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name in the books becomes a customer of the team that named it first; those there are stay as they are."""
    monkeypatch.setattr(customers, "SERIES_MAX", 2)
    books = Bookkeeper(database, lambda: 1, Sellers())
    books.refresh()
    named = [("acme", "u"), ("new", "first"), ("new", "second"), (None, "t"), ("free", None)]
    books.record_all(
        [
            event(hold(f"e{number}", attribution=WHO._replace(customer=customer, team=team)))
            for number, (customer, team) in enumerate(named)
        ]
    )
    books.close()
    with database.write() as connection:
        keep(connection)
        last, after = -1, 0
        while last != after:
            last, after = after, make_from_series(connection, after, "CHF", "Europe/Zurich", 77)
        found = Customers(connection).find(["acme", "new", "free"])

    assert found == {
        "acme": ACME,
        "new": Customer("new", "new", "CHF", "Europe/Zurich", 77, team="first"),
        "free": Customer("free", "free", "CHF", "Europe/Zurich", 77),
    }
