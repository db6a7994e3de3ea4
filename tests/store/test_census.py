"""Whom keys have named is read from the books, on both kinds of database, and what other processes add is seen."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.factories import event, hold

from pertoken.core.budgets import Attribution
from pertoken.core.census import OTHER, Bounds, Census
from pertoken.core.commands import OpenHold, Record
from pertoken.core.periods import DAY_US
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database

FEW = Bounds(customers=2, users=2, conversations=16, tag_values=3, series=100)
MakeBooks = Callable[[], tuple[Bookkeeper, Census]]


def now_us() -> int:
    """Return the time."""
    return time.time_ns() // 1_000


TODAY = now_us() // DAY_US


@pytest.fixture
def make_books(migrated_url: str) -> Iterator[MakeBooks]:
    """Return a function that makes the books of a process, with its census."""
    database = Database(migrated_url)
    made: list[Bookkeeper] = []

    def make() -> tuple[Bookkeeper, Census]:
        census = Census(FEW)
        made.append(Bookkeeper(database, lambda: TODAY * DAY_US, Sellers(), census))
        made[-1].refresh()
        return made[-1], census

    yield make
    for one in made:
        one.close()
    database.close()


def record(books: Bookkeeper, name: str, at_us: int = TODAY * DAY_US, **of: Any) -> None:
    """Record an event."""
    attribution = Attribution(of.pop("key", "k"), provider="p", model="m", **of)
    made = event(hold(name, attribution=attribution, opened_at_us=at_us))
    books.transact([Record(made)])


def test_a_new_process_knows_what_was_named(make_books: MakeBooks) -> None:
    """Users, tags, customers and today's conversations are in the books; what is of yesterday counts no more."""
    books, _ = make_books()
    record(books, "1", user="a", customer="acme", team="red", tags=(("x", "1"), ("y", "2")), conversation="t1")
    record(books, "2", user="b", customer="acme", team="blue", conversation="t2")
    record(books, "3", at_us=TODAY * DAY_US - 1, tags=(("x", "2"),), conversation="t0")
    record(books, "4", key="j", user="z", customer="zeta", conversation="t3")
    _, census = make_books()

    assert census.first_team("acme") == "red"
    assert census.first_team("zeta") == ""
    assert {(one.key_id, one.kind) for one in census.full()} == {("k", "users"), ("k", "tag_values")}
    said = Attribution("k", user="c", tags=(("x", "9"),))
    assert census.fold(said, (), TODAY).attribution == Attribution("k", user=OTHER, tags=(("x", OTHER),))
    full = Census(FEW._replace(conversations=2))
    books = Bookkeeper(books._database, lambda: TODAY * DAY_US, Sellers(), full)
    books.refresh()
    books.close()
    asked = {name: full.fold(Attribution("k", conversation=name), (), TODAY).folded for name in ("t0", "t1", "t2")}
    assert asked == {"t0": ("conversation",), "t1": (), "t2": ()}


def test_processes_see_what_the_others_named(make_books: MakeBooks) -> None:
    """At its next look a process knows what another has recorded, and the first team by the order of the books."""
    (mine, census), (other, others) = make_books(), make_books()
    record(other, "1", user="a", customer="acme", team="red")
    record(mine, "2", user="b", customer="acme", team="blue")
    assert (census.first_team("acme"), others.first_team("acme")) == ("blue", "red")
    assert census.full() == []
    mine.refresh()
    other.refresh()

    assert (census.first_team("acme"), others.first_team("acme")) == ("red", "red")
    assert [one.kind for one in census.full()] == [one.kind for one in others.full()] == ["users"]


def test_conversations_of_others_are_read_where_a_bound_is_near(make_books: MakeBooks) -> None:
    """A process that has seen a sixteenth of a bound looks at what the others recorded; before, it need not."""
    (mine, census), (other, _) = make_books(), make_books()
    for number in range(16):
        record(other, str(number), conversation=f"t{number}")
    mine.refresh()
    assert census.full() == []
    census.learn_conversation("k", "t0", TODAY)
    mine.refresh()

    assert [(one.kind, one.named) for one in census.full()] == [("conversations", 16)]


def test_only_what_is_in_the_books_is_learnt(make_books: MakeBooks) -> None:
    """What a held call names is known at once; what a failed transaction named is not, and may come again."""
    books, census = make_books()

    def opened(name: str, user: str, picos: int = 1) -> OpenHold:
        return OpenHold(hold(name, picos, attribution=Attribution("k", user=user)), books.directory.revision)

    books.transact([opened("1", "b")])
    with pytest.raises(StoreFailed):
        books.transact([opened("2", "a"), opened("3", "b", 10**31)])  # more than a column holds
    assert census._of("k").users == {hash("b")}
    books.transact([opened("2", "c")])

    assert census._of("k").users == {hash("b"), hash("c")}
