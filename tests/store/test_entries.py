"""Entries are written with their postings and balances, whoever posts them."""

from pertoken.core.bookkeeping import Entry, EntryKind, Posting
from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.entries import EntryWriter

LARGE = 10**30


def test_entries_of_no_event_are_proven(database: Database) -> None:
    """Postings of accounts that are not those of costs add up, to any size, and the books agree."""
    first = Entry(EntryKind.USAGE, "USD", (Posting("a:one", LARGE), Posting("b:one", -LARGE)))
    second = Entry(EntryKind.CORRECTION, "EUR", (Posting("a:one", -3), Posting("a:two", 3)))
    with database.write() as connection:
        cursor = connection.connection.cursor()
        ids = EntryWriter(database.sql).post(cursor, [first, second, first], 77)

    with database.read() as connection:
        archive = Archive(connection)
        assert archive.balances() == {
            ("a:one", "USD"): 2 * LARGE, ("b:one", "USD"): -2 * LARGE, ("a:one", "EUR"): -3, ("a:two", "EUR"): 3,
        }  # fmt: skip
        assert [row[0] for row in archive.postings()] == [one for one in ids for _ in range(2)]
        assert verify(archive, 77).differences == []


def test_an_entry_that_does_not_balance_is_told(database: Database) -> None:
    """What comes to something else than zero is a difference."""
    entry = Entry(EntryKind.USAGE, "USD", (Posting("a:one", 5), Posting("b:one", -4)))
    with database.write() as connection:
        [entry_id] = EntryWriter(database.sql).post(connection.connection.cursor(), [entry], 77)

    with database.read() as connection:
        [found] = verify(Archive(connection), 77).differences
    assert (found["kind"], found["id"]) == ("entry", str(entry_id))
