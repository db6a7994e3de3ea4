"""Sessions of the pages and the links that start them."""

import pytest
import sqlalchemy as sa

from pertoken.core.sessions import LINK_US, TOTAL_US, Session, SignInLink
from pertoken.ports.failures import StoreFailed
from pertoken.store.database import Database
from pertoken.store.sessions import Sessions, sign_in_links
from pertoken.store.sessions import sessions as session_table

SIGNED = {session_table: ("started_at_us", "seen_at_us"), sign_in_links: ("made_at_us",)}

NOW_US = 10 * TOTAL_US
ANN = Session(b"\x00\xff", "ad_1", NOW_US, NOW_US + 5)
BEN = Session(b"hash of ben", "ad_2", NOW_US + TOTAL_US, NOW_US + TOTAL_US)
LINK = SignInLink(b"\xff\x00", "ad_1", NOW_US)


def test_a_session_lasts_until_it_is_ended(database: Database) -> None:
    """A session is found as it was started and last seen, and is gone once it is ended; others stay as they are."""
    with database.write() as connection:
        sessions = Sessions(connection)
        sessions.start(ANN)
        sessions.start(BEN)
        sessions.see(ANN.token_hash, NOW_US + 9)
        assert sessions.find(ANN.token_hash) == ANN._replace(seen_at_us=NOW_US + 9)
        assert sessions.find(BEN.token_hash) == BEN
        assert sessions.find(b"") is None
        sessions.end(ANN.token_hash)

        assert sessions.find(ANN.token_hash) is None
        assert sessions.find(BEN.token_hash) == BEN


def test_a_new_session_removes_those_that_are_too_old(database: Database) -> None:
    """A session as old as one may be stays with the next that starts; an older one goes."""
    with database.write() as connection:
        sessions = Sessions(connection)
        sessions.start(ANN)
        sessions.start(BEN)
        assert sessions.find(ANN.token_hash) == ANN
        sessions.start(BEN._replace(token_hash=b"later", started_at_us=BEN.started_at_us + 1))

        assert sessions.find(ANN.token_hash) is None
        assert sessions.find(BEN.token_hash) == BEN


def test_a_link_is_used_once(database: Database) -> None:
    """Who takes a link first gets it; for the second, and for an unknown one, there is none."""
    with database.write() as connection:
        sessions = Sessions(connection)
        other = LINK._replace(token_hash=b"other", admin_id="ad_2")
        sessions.add_link(LINK)
        sessions.add_link(other)
        assert sessions.take_link(b"") is None
        assert sessions.take_link(LINK.token_hash) == LINK
        assert sessions.take_link(LINK.token_hash) is None
        assert sessions.take_link(other.token_hash) == other


def test_a_new_link_removes_those_that_are_too_old(database: Database) -> None:
    """A link as old as one may be stays with the next that is made; an older one goes."""
    with database.write() as connection:
        sessions = Sessions(connection)
        later = LINK._replace(token_hash=b"later", made_at_us=NOW_US + 1)
        for one in (LINK, later, LINK._replace(token_hash=b"new", made_at_us=NOW_US + 1 + LINK_US)):
            sessions.add_link(one)

        assert sessions.take_link(LINK.token_hash) is None
        assert sessions.take_link(later.token_hash) == later


@pytest.mark.parametrize("table", SIGNED, ids=str)
def test_a_token_opens_one_thing(database: Database, table: sa.Table) -> None:
    """There is one session, and one link, of a token."""
    row = {"token_hash": b"\x00\xff", "admin_id": "a", **dict.fromkeys(SIGNED[table], 1)}
    with database.write() as connection:
        connection.execute(sa.insert(table).values(row))
    with pytest.raises(StoreFailed), database.write() as connection:
        connection.execute(sa.insert(table).values(row | {"admin_id": "other"}))

    with database.read() as connection:
        assert [dict(one._mapping) for one in connection.execute(sa.select(table))] == [row]
