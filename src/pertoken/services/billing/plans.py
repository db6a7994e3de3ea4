"""Applies versions of plans, and subscribes customers to them."""

from pertoken.core.billing.plan_book import PlanFile, PlanVersion, Subscription, check_subscription, check_version
from pertoken.core.texts import tidy, why_no_name
from pertoken.ports.clock import Clock
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


def subscribe(plans: Plans, clock: Clock, customer: str, plan: str | None, from_us: int | None) -> Subscription:
    """Charge a customer by a plan from an instant on, from now if none is given; by none if `plan` is None.

    Raises plan_book.CannotApply, and ValueError for what cannot be a customer's name.
    """
    why = why_no_name(customer, "the customer")
    if why is not None:
        raise ValueError(why)
    now_us = clock.now_us()
    new = Subscription(tidy(customer), now_us if from_us is None else from_us, plan, now_us)
    check_subscription(plans.subscriptions(new.customer), plans.book(), new)
    plans.add_subscription(new)
    return new
