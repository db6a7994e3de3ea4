"""One process at a time does what is to be done once."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from pertoken.ports.failures import StoreFailed
from pertoken.store.database import Database
from pertoken.store.lease import LEASE_US, Lease, LeaseLost


def test_one_holds_it_for_as_long_as_it_says_so(database: Database) -> None:
    """The first takes it and keeps it; the other gets it once the first has been silent for long enough."""
    one, two = Lease(database, "work", "one"), Lease(database, "work", "two")
    assert one.hold(0)
    assert not two.hold(1)
    for now_us in range(0, 3 * LEASE_US, LEASE_US // 4):
        assert one.hold(now_us)
        assert not two.hold(now_us)
    silent_us = 4 * LEASE_US
    assert two.hold(silent_us)
    assert not one.hold(silent_us + LEASE_US // 2)


def test_what_a_former_holder_still_does_is_stopped(database: Database) -> None:
    """A holder that slept through its term cannot write under it, even before it has noticed."""
    one, two = Lease(database, "work", "one"), Lease(database, "work", "two")
    assert one.hold(0)
    with database.write() as connection:
        one.guard(connection)
    assert two.hold(LEASE_US + 1)
    with database.write() as connection, pytest.raises(LeaseLost, match="went to two"):
        one.guard(connection)
    assert not one.hold(LEASE_US + 2)


def test_a_lease_that_could_not_be_written_is_not_held(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that fails leaves the lease to whoever writes it first."""

    @contextlib.contextmanager
    def fails() -> Iterator[Connection]:
        with works() as connection:
            yield connection
            raise StoreFailed("the disk is full")

    works = database.write
    one, two = Lease(database, "work", "one"), Lease(database, "work", "two")
    monkeypatch.setattr(database, "write", fails)
    with pytest.raises(StoreFailed):
        one.hold(0)
    monkeypatch.setattr(database, "write", works)
    assert two.hold(1)
    assert not one.hold(2)


def test_leases_of_other_names_are_others(database: Database) -> None:
    """Two kinds of work may be done by two processes."""
    assert Lease(database, "work", "one").hold(0)
    assert Lease(database, "rest", "two").hold(0)
