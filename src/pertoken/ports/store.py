"""Transactions of the control plane."""

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pertoken.ports.administration import Administration, AdminKeys
from pertoken.ports.archive import Archive
from pertoken.ports.audit import AuditLog
from pertoken.ports.customers import Customers
from pertoken.ports.plans import Plans
from pertoken.ports.saved_views import SavedViews
from pertoken.ports.sessions import Sessions


class Given(NamedTuple):
    """The stored answer to a request with an Idempotency-Key."""

    request_hash: bytes
    status: int
    body: bytes


class Answers(Protocol):
    """The answers to requests with an Idempotency-Key, kept for a day; in one transaction."""

    def find(self, owner: str, name: str) -> Given | None:
        """Return the answer to the request of `owner` with this name."""

    def add(self, owner: str, name: str, given: Given, at_us: int) -> None:
        """Store an answer; an earlier answer of that name is kept instead."""


class Opened(NamedTuple):
    """The ports of one transaction. In a reading transaction, nothing may be changed."""

    archive: Archive
    administration: Administration
    admins: AdminKeys
    answers: Answers
    sessions: Sessions
    audit: AuditLog
    saved_views: SavedViews
    plans: Plans
    customers: Customers


class Store(Protocol):
    """Transactions of the control plane; each is used by one thread."""

    def read(self) -> AbstractContextManager[Opened]:
        """Return one consistent view of everything stored. Raises StoreUnavailable."""

    def write(self) -> AbstractContextManager[Opened]:
        """Return one durable transaction; an exception in it rolls it back. Raises StoreUnavailable."""
