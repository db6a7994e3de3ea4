"""Answers that are kept for requests with a name."""

import pytest

from pertoken.ports.store import Given
from pertoken.store.answers import KEPT_US, Answers
from pertoken.store.database import Database

NOW_US = 10 * KEPT_US
FIRST = Given(b"\x00\xff", 201, b'{"id":"key_1"}')
SECOND = Given(b"other", 409, b"")


def test_an_answer_is_of_its_owner_and_name(database: Database) -> None:
    """What one was given is found by its owner and its name alone."""
    with database.write() as connection:
        answers = Answers(connection)
        answers.add("ad_1", "n1", FIRST, NOW_US)
        answers.add("ad_2", "n1", SECOND, NOW_US)

        assert answers.find("ad_1", "n1") == FIRST
        assert answers.find("ad_2", "n1") == SECOND
        assert answers.find("ad_1", "n2") is None
        assert answers.find("ad_3", "n1") is None


def test_the_first_answer_stays(database: Database) -> None:
    """A second answer of the same name is not kept, so that a repeated request gets what the first one got."""
    with database.write() as connection:
        answers = Answers(connection)
        answers.add("ad_1", "n1", FIRST, NOW_US)
        answers.add("ad_1", "n1", SECOND, NOW_US + 1)

        assert answers.find("ad_1", "n1") == FIRST


@pytest.mark.parametrize(("later_us", "kept"), [(KEPT_US, FIRST), (KEPT_US + 1, None)])
def test_answers_are_kept_for_a_day(database: Database, later_us: int, kept: Given | None) -> None:
    """An answer of a day ago is there, an older one goes with the next that is kept, and its name is free again."""
    with database.write() as connection:
        answers = Answers(connection)
        answers.add("ad_1", "n1", FIRST, NOW_US)
        answers.add("ad_2", "n2", SECOND, NOW_US + later_us)
        assert answers.find("ad_1", "n1") == kept
        answers.add("ad_1", "n1", SECOND, NOW_US + later_us)

        assert answers.find("ad_1", "n1") == (kept or SECOND)
