"""Plans decide what customers are charged for events that others report."""

import pytest
from tests.core.billing.makers import a_plan

from pertoken.core.billing.plan_book import CannotApply, PlanFile
from pertoken.core.customers import Customer
from pertoken.services.billing.plans import apply, subscribe
from pertoken.store.customers import Customers
from pertoken.store.database import Database
from pertoken.store.plans import StoredPlans


class Clock:
    """A clock that stands."""

    def __init__(self, now: int) -> None:
        self.now = now

    def now_us(self) -> int:
        """Return the time."""
        return self.now

    def random_bits(self, bits: int) -> int:
        """Return no chance at all."""
        return 0 * bits


def test_what_is_applied(database: Database) -> None:
    """A version is kept with the time at which it was applied; the same again is not kept twice."""
    plan = a_plan({"model": "flat", "price": "1"})
    with database.write() as connection:
        plans = StoredPlans(connection)
        version, is_new = apply(plans, Clock(7), PlanFile(plan, "text", "{}"))
        again = apply(plans, Clock(9), PlanFile(plan, "text", "{}"))

        assert (version.applied_at_us, is_new, again) == (7, True, (version, False))
        assert plans.versions() == [version]


def test_who_is_subscribed(database: Database) -> None:
    """A subscription begins now unless a time to come is given, and needs a plan and a name."""
    with database.write() as connection:
        plans = StoredPlans(connection)
        apply(plans, Clock(7), PlanFile(a_plan({"model": "flat", "price": "1"}), "text", "{}"))
        now, later = (
            subscribe(plans, Customers(connection), Clock(8), "acme", "test", from_us) for from_us in (None, 99)
        )

        assert (now.from_us, later.from_us) == (8, 99)
        assert plans.subscriptions() == [now, later]
        with pytest.raises(CannotApply, match="no version of plan 'nothing'"):
            subscribe(plans, Customers(connection), Clock(8), "acme", "nothing", None)
        with pytest.raises(ValueError, match="the customer"):
            subscribe(plans, Customers(connection), Clock(8), "a\nb", "test", None)


def test_whose_currency(database: Database) -> None:
    """A customer that is billed in another currency, or is closed, is not charged by a plan."""
    with database.write() as connection:
        plans, customers = StoredPlans(connection), Customers(connection)
        apply(plans, Clock(7), PlanFile(a_plan({"model": "flat", "price": "1"}), "text", "{}"))
        customers.add(Customer("euros", "Euros", "EUR", "UTC", 1))
        customers.add(Customer("gone", "Gone", "USD", "UTC", 1, closed_at_us=5))

        with pytest.raises(CannotApply, match="'euros' is billed in EUR, and plan 'test' is in USD"):
            subscribe(plans, customers, Clock(8), "euros", "test", None)
        with pytest.raises(CannotApply, match="'gone' is closed"):
            subscribe(plans, customers, Clock(8), "gone", "test", None)
        assert subscribe(plans, customers, Clock(8), "gone", None, None).plan is None
