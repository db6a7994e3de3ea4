"""Customers."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from pertoken.core.customers import Customer, CustomerState


class CustomerSearch(NamedTuple):
    """Which customers are wanted: those that have every given value, by id from after `after` on."""

    limit: int
    after: str = ""
    team: str | None = None
    state: CustomerState | None = None
    parent: str | None = None


class Customers(Protocol):
    """All customers, in one transaction."""

    def find(self, customer_ids: Collection[str]) -> dict[str, Customer]:
        """Return those of the customers that exist, by id."""

    def search(self, asked: CustomerSearch) -> list[Customer]:
        """Return the first customers that fit, by id."""

    def children(self, parents: Collection[str]) -> list[str]:
        """Return the ids of the customers whose parent is one of these."""

    def add(self, customer: Customer) -> None:
        """Store a new customer; calls may name it from the next hold on."""

    def change(self, customer: Customer) -> None:
        """Store the new values of a customer."""
