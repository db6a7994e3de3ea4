"""Transactions of the control plane."""

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pertoken.ports.administration import Administration, AdminKeys
from pertoken.ports.archive import Archive
from pertoken.ports.audit import AuditLog
from pertoken.ports.saved_views import SavedViews
from pertoken.ports.sessions import Sessions


class Given(NamedTuple):
    """What a named request was answered."""

    request_hash: bytes
    status: int
    body: bytes


class Answers(Protocol):
    """What requests that clients named were answered, kept for a day; in one transaction."""

    def find(self, owner: str, name: str) -> Given | None:
        """Return what `owner` was given for the request it called `name`."""

    def add(self, owner: str, name: str, given: Given, at_us: int) -> None:
        """Keep an answer; an earlier one of that name stays."""


class Opened(NamedTuple):
    """What one transaction can be used for. In one that only reads, nothing may be changed."""

    archive: Archive
    administration: Administration
    admins: AdminKeys
    answers: Answers
    sessions: Sessions
    audit: AuditLog
    saved_views: SavedViews


class Store(Protocol):
    """Transactions of the control plane; each is used by one thread."""

    def read(self) -> AbstractContextManager[Opened]:
        """Return one consistent view of everything stored. Raises StoreUnavailable."""

    def write(self) -> AbstractContextManager[Opened]:
        """Return one durable transaction; what is raised in it undoes it. Raises StoreUnavailable."""
