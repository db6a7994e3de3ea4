"""Plans and subscriptions."""

from typing import Protocol

from pertoken.core.billing.plan_book import PlanBook, PlanVersion, Subscription


class Plans(Protocol):
    """All versions of plans and all subscriptions, in one transaction."""

    def book(self) -> PlanBook:
        """Return everything as it stands."""

    def versions(self, name: str | None = None) -> list[PlanVersion]:
        """Return the versions of a plan, or of all plans by name; the earliest first."""

    def subscriptions(self, customer: str | None = None) -> list[Subscription]:
        """Return the subscriptions of a customer, or of all customers by id; the earliest first."""

    def add_version(self, version: PlanVersion) -> None:
        """Store a version."""

    def add_subscription(self, subscription: Subscription) -> None:
        """Store a subscription; it takes the place of one from the same instant."""
