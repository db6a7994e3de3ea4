"""Applies versions of plans, and subscribes customers to them."""

from pertoken.core.billing.plan_book import (
    CannotApply,
    PlanFile,
    PlanVersion,
    Subscription,
    check_subscription,
    check_version,
)
from pertoken.core.customers import CustomerState
from pertoken.core.texts import tidy, why_no_name
from pertoken.ports.clock import Clock
from pertoken.ports.customers import Customers
from pertoken.ports.plans import Plans


def apply(plans: Plans, clock: Clock, file: PlanFile) -> tuple[PlanVersion, bool]:
    """Keep a version of a plan; return it, and whether it is new. Raises plan_book.CannotApply."""
    plan, content, body = file
    now_us = clock.now_us()
    known = plans.versions(plan.name)
    same = check_version(known, plan, content, now_us)
    if same is not None:
        return same, False
    version = PlanVersion(plan.name, plan.version, plan.from_us, plan.currency, content, body, now_us)
    plans.add_version(version)
    return version, True


def subscribe(  # noqa: PLR0917 - what a subscription is made of
    plans: Plans, customers: Customers, clock: Clock, customer: str, plan: str | None, from_us: int | None
) -> Subscription:
    """Charge a customer by a plan from an instant on, from now if none is given; by none if `plan` is None.

    Raises plan_book.CannotApply, and ValueError for what cannot be a customer's name.
    """
    why = why_no_name(customer, "the customer")
    if why is not None:
        raise ValueError(why)
    now_us = clock.now_us()
    new = Subscription(tidy(customer), now_us if from_us is None else from_us, plan, now_us)
    known = customers.find([new.customer]).get(new.customer)
    if known is not None and known.state is CustomerState.CLOSED and plan is not None:
        raise CannotApply(f"customer {new.customer!r} is closed", "customer")
    currency = None if known is None else known.currency
    check_subscription(plans.subscriptions(new.customer), plans.book(), new, currency)
    plans.add_subscription(new)
    return new
