"""Plans and subscriptions, in the database. A change adds one to the directory's revision: it is part of that."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.billing.plan_book import PlanBook, PlanVersion, Subscription
from pertoken.ports import plans as port
from pertoken.store import directory
from pertoken.store.schema import plan_versions, subscriptions


class StoredPlans:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def book(self) -> PlanBook:
        """Return everything as it stands."""
        return directory.read_plans(self._connection)

    def versions(self, name: str | None = None) -> list[PlanVersion]:
        """Return the versions of a plan, or of all plans by name; the earliest first."""
        of = plan_versions.c
        rows = sa.select(plan_versions).order_by(of.name, of.from_us, of.version)
        found = self._connection.execute(rows if name is None else rows.where(of.name == name))
        return [PlanVersion(*row) for row in found]

    def subscriptions(self, customer: str | None = None) -> list[Subscription]:
        """Return the subscriptions of a customer, or of all customers by id; the earliest first."""
        of = subscriptions.c
        rows = sa.select(subscriptions).order_by(of.customer, of.from_us)
        found = self._connection.execute(rows if customer is None else rows.where(of.customer == customer))
        return [Subscription(*row) for row in found]

    def add_version(self, version: PlanVersion) -> None:
        """Store a version."""
        self._connection.execute(sa.insert(plan_versions).values(**version._asdict()))
        directory.bump_revision(self._connection)

    def add_subscription(self, subscription: Subscription) -> None:
        """Store a subscription; it takes the place of one from the same instant."""
        of = subscriptions.c
        same = sa.and_(of.customer == subscription.customer, of.from_us == subscription.from_us)
        self._connection.execute(sa.delete(subscriptions).where(same))
        self._connection.execute(sa.insert(subscriptions).values(**subscription._asdict()))
        directory.bump_revision(self._connection)


OPENS: Callable[[sa.Connection], port.Plans] = StoredPlans
