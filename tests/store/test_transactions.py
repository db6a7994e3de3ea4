"""Transactions of the control plane: all or nothing, one state throughout, and failures by their name."""

from typing import NamedTuple

import pytest

from pertoken.core.access import AdminKey, Role
from pertoken.core.audit import AuditSearch, Change
from pertoken.core.sessions import Session
from pertoken.ports.audit import AuditLog
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.store import Given, Opened
from pertoken.store.database import Database
from pertoken.store.transactions import Transactions, find_opens

ROOT = AdminKey("ad_1", "root", b"hash", "wxyz", Role.ADMIN, None, None, 1_000)
SESSION = Session(b"cookie", "ad_1", 1_000, 1_000)
CHANGE = Change(1_000, "ad_1", "root", "admin", "api", "keys.write", "/admin/keys/key_1", None, None, None)
GIVEN = Given(b"asked", 201, b"{}")
STORED = (ROOT, SESSION, GIVEN, [CHANGE])
NOTHING = (None, None, None, [])


def put(opened: Opened) -> None:
    """Write something of each kind."""
    opened.admins.add(ROOT)
    opened.sessions.start(SESSION)
    opened.answers.add("ad_1", "n1", GIVEN, 1_000)
    opened.audit.add(CHANGE)


def stored(opened: Opened) -> tuple[object, ...]:
    """Return what a transaction sees of that."""
    changes = [one.change for one in opened.audit.search(AuditSearch(0, 2_000, 10))]
    return (opened.admins.find(b"hash"), opened.sessions.find(b"cookie"), opened.answers.find("ad_1", "n1"), changes)


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    """What is raised in a transaction comes out as it is and undoes everything written in it; else all of it stays."""
    store = Transactions(database)

    def fail() -> None:
        with store.write() as opened:
            put(opened)
            assert stored(opened) == STORED
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    with store.read() as opened:
        assert stored(opened) == NOTHING
    with store.write() as opened:
        put(opened)
    with store.read() as opened:
        assert stored(opened) == STORED


def test_a_view_stays_as_it_was(database: Database) -> None:
    """A view sees nothing of what is committed after its first look."""
    store = Transactions(database)
    with store.read() as view:
        assert stored(view) == NOTHING
        with store.write() as opened:
            put(opened)
        assert stored(view) == NOTHING


def test_a_failure_is_told_in_our_words(database_url: str) -> None:
    """A database without tables fails as StoreUnavailable, with the store's own words, reading and writing."""
    database = Database(database_url)
    store = Transactions(database)
    for transaction in (store.read, store.write):
        with pytest.raises(StoreUnavailable, match=r"the database failed: .*admin_keys"), transaction() as opened:
            opened.admins.list_all()
    database.close()


class Forgotten(NamedTuple):
    """A noun for which the store has no module."""

    invoices: AuditLog


class Mistaken(NamedTuple):
    """A noun of which the module of that name opens another."""

    sessions: AuditLog


def test_a_noun_that_nothing_opens_stops_the_start() -> None:
    """A field of `Opened` without its module, or whose module opens another protocol, fails as the program starts."""
    with pytest.raises(ModuleNotFoundError, match=r"pertoken\.store\.invoices"):
        find_opens(Forgotten)
    with pytest.raises(AssertionError, match=r"OPENS in pertoken\.store\.sessions must be .*AuditLog.*, not"):
        find_opens(Mistaken)
