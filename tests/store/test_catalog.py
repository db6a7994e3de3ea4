"""Price rows are read as they were added; they are closed, never changed."""

from tests.factories import price_row

from pertoken.core.money import MAJOR_MAX
from pertoken.core.periods import Window
from pertoken.core.price_book import Sellers
from pertoken.core.prices import Clause, Match, Quota, Source
from pertoken.store import catalog
from pertoken.store.database import Database
from pertoken.store.directory import read_revision

PLAIN = price_row("input_tokens", 150_000)
FULL = price_row(
    "output_tokens", -(MAJOR_MAX * 10**12) + 1, per=1_000, currency="EUR", valid_from_us=3, valid_to_us=2**62,
    recorded_at_us=7, source=Source.OPERATOR, match=Match.RULE, input_above=200_000,
    conditions=(("region", "eu"), ("speed", "fast")), covers=("a", "b"), marginal=True, minimum=9, is_factor=True,
    rule=Clause("or", "", (Clause("equals", "m"), Clause("and", "", (Clause("contains", "ü"),)))),
    stacks=False, quota=Quota(1_500, Window.DAY, "group"),
)  # fmt: skip
LATER = price_row("input_tokens", 300_000, price_id="pr_later", recorded_at_us=100)


def test_rows_come_back_as_they_were_added(database: Database) -> None:
    """Every field is read as it was written; before the first row the catalog is empty, and not after it."""
    with database.write() as connection:
        assert catalog.is_empty(connection)
        assert catalog.add_rows(connection, [PLAIN, FULL]) == 2
        assert not catalog.is_empty(connection)

        assert {row.price_id: row for row in catalog.read_rows(connection)} == {"pr_input_tokens": PLAIN, FULL[0]: FULL}
        assert catalog.read_rows(connection, source=Source.OPERATOR) == [FULL]


def test_a_row_is_added_once_and_never_changed(database: Database) -> None:
    """Rows that are there by their id are left as they are, and only new ones make a new revision."""
    with database.write() as connection:
        catalog.add_rows(connection, [PLAIN])
        before = read_revision(connection)
        again = PLAIN._replace(amount_picos=1)

        assert catalog.add_rows(connection, [again]) == 0
        assert read_revision(connection) == before
        assert catalog.add_rows(connection, [again, LATER]) == 1
        assert read_revision(connection) == before + 1
        assert sorted(row.amount_picos for row in catalog.read_rows(connection)) == [150_000, 300_000]


def test_a_superseded_row_is_kept_and_not_used(database: Database) -> None:
    """It is out of use from a new revision on, and can still be read with the instant when it was closed."""
    with database.write() as connection:
        catalog.add_rows(connection, [PLAIN, FULL])
        before = read_revision(connection)
        catalog.supersede(connection, [], 50)
        assert read_revision(connection) == before
        catalog.supersede(connection, [PLAIN.price_id], 50)

        assert read_revision(connection) == before + 1
        assert catalog.read_rows(connection) == [FULL]
        assert set(catalog.read_rows(connection, superseded=True)) == {FULL, PLAIN._replace(superseded_at_us=50)}


def test_a_book_has_what_was_believed_at_an_instant(database: Database) -> None:
    """A row is in the book from when it was recorded until it was superseded, that instant not included."""
    with database.write() as connection:
        catalog.add_rows(connection, [PLAIN, LATER])
        catalog.supersede(connection, [PLAIN.price_id], 50)
        at = {at_us: catalog.read_book(connection, Sellers(), at_us) for at_us in (0, 49, 50, 99, 100)}
        now = catalog.read_book(connection, Sellers())
    found = {at_us: [row.price_id for row in book.rows] for at_us, book in at.items()}

    assert found == {0: ["pr_input_tokens"], 49: ["pr_input_tokens"], 50: [], 99: [], 100: ["pr_later"]}
    assert [row.price_id for row in now.rows] == ["pr_later"]
