"""Which plan is in force for a customer, and when: versions of plans, and subscriptions to them. Nothing is changed.

A version of a plan is in force from its instant until that of the next one; so is a subscription. Both are only ever
added, and only for instants to come: what was charged stays as it is.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pertoken.core.billing.plans import Plan
from pertoken.core.periods import format_time


class PlanFile(NamedTuple):
    """A plan, the text of its file, and its body: the same as JSON, which is read a hundred times as fast."""

    plan: Plan
    content: str
    body: str


class PlanVersion(NamedTuple):
    """One version of a plan as it was applied. `content` is the text of its file, `body` the same as JSON."""

    name: str
    version: int
    from_us: int
    currency: str
    content: str
    body: str
    applied_at_us: int


class Subscription(NamedTuple):
    """From `from_us` on, a customer is charged by a plan; None: by none."""

    customer: str
    from_us: int
    plan: str | None
    made_at_us: int


class CannotApply(ValueError):
    """A version of a plan, or a subscription, does not go with what is there; `field` says what is wrong with it."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class PlanBook:
    """All versions and subscriptions at one moment."""

    def __init__(self, versions: Iterable[PlanVersion], subscriptions: Iterable[Subscription]) -> None:
        of_plan: dict[str, list[PlanVersion]] = defaultdict(list)
        for version in sorted(versions, key=lambda one: (one.from_us, one.version)):
            of_plan[version.name].append(version)
        of_customer: dict[str, list[Subscription]] = defaultdict(list)
        for one in sorted(subscriptions, key=lambda one: (one.from_us, one.made_at_us)):
            of_customer[one.customer].append(one)
        self._versions = {name: (found, [one.from_us for one in found]) for name, found in of_plan.items()}
        self._subscriptions = {name: (found, [one.from_us for one in found]) for name, found in of_customer.items()}

    def version_at(self, plan: str, at_us: int) -> PlanVersion | None:
        """Return the version of a plan that is in force at an instant, None before its first."""
        known = self._versions.get(plan)
        if known is None:
            return None
        found, starts = known
        place = bisect_right(starts, at_us)
        return found[place - 1] if place else None

    def plan_of(self, customer: str | None, at_us: int) -> PlanVersion | None:
        """Return the version of the plan by which a customer is charged at an instant."""
        known = None if customer is None else self._subscriptions.get(customer)
        if known is None:
            return None
        found, starts = known
        place = bisect_right(starts, at_us)
        plan = found[place - 1].plan if place else None
        return None if plan is None else self.version_at(plan, at_us)


NO_PLANS = PlanBook((), ())


def check_version(known: Sequence[PlanVersion], plan: Plan, content: str, now_us: int) -> PlanVersion | None:
    """Return the version that is known already if nothing changes; raise CannotApply where the new one does not go.

    `known` are the versions of the same plan, the earliest first.
    """
    same = next((one for one in known if one.version == plan.version), None)
    if same is not None:
        if same.content == content:
            return same
        raise CannotApply(
            f"version {plan.version} of plan {plan.name!r} was applied with other content; raise `version`", "version"
        )
    if not known:
        return None
    last = known[-1]
    if plan.version < last.version:
        raise CannotApply(f"version {plan.version} is below version {last.version}, which was applied", "version")
    if plan.currency != last.currency:
        raise CannotApply(f"the plan is in {last.currency}, so is each of its versions: {plan.currency}", "currency")
    if plan.from_us < last.from_us:
        raise CannotApply(
            f"version {last.version} begins later, at {format_time(last.from_us)}: {format_time(plan.from_us)}", "from"
        )
    if plan.from_us < now_us:
        raise CannotApply(
            f"`from` of a further version must be to come, since what was charged stays: {format_time(plan.from_us)}",
            "from",
        )
    return None


def check_subscription(
    known: Sequence[Subscription], book: PlanBook, new: Subscription, billed_in: str | None = None
) -> None:
    """Raise CannotApply where a subscription does not go with the customer's others, the earliest first.

    `billed_in` is the currency of the customer, if somebody made it.
    """
    if new.from_us < new.made_at_us:
        raise CannotApply(f"`from` must not be past, since what was charged stays: {format_time(new.from_us)}", "from")
    if new.plan is None:
        return
    version = book.version_at(new.plan, new.from_us)
    if version is None:
        raise CannotApply(f"no version of plan {new.plan!r} is in force at {format_time(new.from_us)}", "plan")
    if billed_in not in {None, version.currency}:
        raise CannotApply(
            f"customer {new.customer!r} is billed in {billed_in}, and plan {new.plan!r} is in {version.currency}",
            "plan",
        )
    for one in reversed(known):
        before = None if one.plan is None else book.version_at(one.plan, new.from_us)
        if before is not None and before.currency != version.currency:
            raise CannotApply(
                f"{new.customer!r} is charged in {before.currency}, and plan {new.plan!r} is in {version.currency}",
                "plan",
            )
