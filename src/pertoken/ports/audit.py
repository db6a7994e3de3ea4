"""The audit log."""

from typing import Protocol

from pertoken.core.audit import Audited, AuditSearch, Change


class AuditLog(Protocol):
    """The records of changes, in one transaction."""

    def add(self, change: Change) -> None:
        """Record a change."""

    def search(self, asked: AuditSearch) -> list[Audited]:
        """Return the newest matching changes, newest first."""
