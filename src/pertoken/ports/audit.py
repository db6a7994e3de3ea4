"""Who changed what."""

from typing import Protocol

from pertoken.core.audit import Audited, AuditSearch, Change


class AuditLog(Protocol):
    """The records of changes, in one transaction."""

    def add(self, change: Change) -> None:
        """Write a change down."""

    def search(self, asked: AuditSearch) -> list[Audited]:
        """Return the newest changes that fit, the newest first."""
