"""Claims between the database and the books: who has a name, and what its call was answered."""

import pytest
from tests.factories import hold

from pertoken.core.budgets import BudgetIndex
from pertoken.core.claims import Claim, Claimed, Outcome
from pertoken.core.commands import OpenHold
from pertoken.core.ledger import Books
from pertoken.core.price_book import Sellers
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.claims import Claims
from pertoken.store.database import Database

NOW_US = 1_790_000_000_000_000
KEY = ("key_1", "n1")
FIRST = Claimed(b"\x00\xff", "call_1", is_open=False, outcome=None)
ANSWER = Outcome(200, ((b"content-type", b"text/plain"), (b"x-odd", b"\xff\x00")), b"\x00 body", stream=True)


def empty() -> Books:
    """Return books with nothing in them."""
    return Books(BudgetIndex(()), 1)


def save(database: Database, new: dict[tuple[str, str], Claimed], answered: dict[tuple[str, str], Claimed]) -> None:
    """Write new claims and outcomes, as one transaction decided them."""
    books = empty()
    books.new_claims.update(new)
    books.outcomes.extend(answered.items())
    writer = database.hot_writer()
    writer.begin(wait=True)
    Claims(database.sql).save(writer.cursor, books, NOW_US)
    writer.commit()
    writer.close()


def load(database: Database, *keys: tuple[str, str]) -> dict[tuple[str, str], Claimed]:
    """Return what the books are given for commands that ask with these names."""
    books = empty()
    asked = [OpenHold(hold(f"call_{at}"), 1, Claim(*key, b"asked")) for at, key in enumerate(keys)]
    writer = database.hot_writer()
    writer.begin(wait=True)
    Claims(database.sql).load(writer.cursor, books, [OpenHold(hold("call_without"), 1), *asked, *asked])
    writer.close()
    return books.claims


def test_only_what_is_asked_for_is_loaded(database: Database) -> None:
    """The books are given the claims that commands name, by owner and name, and no others."""
    other = FIRST._replace(request_hash=b"other", call_id="call_2")
    save(database, {KEY: FIRST, ("key_2", "n1"): other, ("key_1", "n2"): other}, {})

    assert load(database) == {}
    assert load(database, KEY, ("key_2", "n1"), ("key_2", "n2")) == {KEY: FIRST, ("key_2", "n1"): other}


@pytest.mark.parametrize(
    "outcome", [ANSWER, ANSWER._replace(body=None), Outcome(500, (), b"", stream=False)], ids=["whole", "large", "bare"]
)
def test_an_outcome_comes_back_whole(database: Database, outcome: Outcome) -> None:
    """A call's answer is loaded as it was saved: any bytes, an empty body, and one too large to be kept."""
    save(database, {KEY: FIRST}, {KEY: FIRST._replace(outcome=outcome)})

    assert load(database, KEY) == {KEY: FIRST._replace(outcome=outcome)}


def test_another_call_takes_a_name_over(database: Database) -> None:
    """A later claim of the name replaces call, request and answer; the first call's late answer is not written."""
    second = FIRST._replace(request_hash=b"again", call_id="call_2")
    save(database, {KEY: FIRST}, {KEY: FIRST._replace(outcome=ANSWER)})
    save(database, {KEY: second}, {})
    assert load(database, KEY) == {KEY: second}
    save(database, {}, {KEY: FIRST._replace(outcome=ANSWER)})

    assert load(database, KEY) == {KEY: second}


def test_an_answer_is_of_its_owner_and_name(database: Database) -> None:
    """An answer goes to the name it is for, and not to others that its call has claimed."""
    others = {("key_1", "n2"): FIRST, ("key_2", "n1"): FIRST}
    save(database, {KEY: FIRST, **others}, {KEY: FIRST._replace(outcome=ANSWER)})

    assert load(database, KEY, *others) == {KEY: FIRST._replace(outcome=ANSWER), **others}


def test_a_call_is_open_while_its_hold_is(database: Database) -> None:
    """A claim without an answer is open if the database has its call's hold, and only then."""
    books = Bookkeeper(database, lambda: NOW_US, Sellers())
    books.refresh()
    books.transact([OpenHold(hold("call_1"), books.directory.revision)])
    books.close()
    gone = FIRST._replace(call_id="call_2")
    save(database, {KEY: FIRST, ("key_1", "n2"): gone}, {})

    assert load(database, KEY, ("key_1", "n2")) == {KEY: FIRST._replace(is_open=True), ("key_1", "n2"): gone}
