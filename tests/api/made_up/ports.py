"""Receipts, as services see them."""

from typing import Protocol

from pertoken.core.receipts import Receipt


class Receipts(Protocol):
    """Issued receipts, in one transaction."""

    def list_all(self) -> list[Receipt]:
        """Return every receipt, by number."""

    def add(self, receipt: Receipt) -> None:
        """Keep a receipt."""
