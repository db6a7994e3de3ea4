"""Plans and subscriptions as resources."""

from typing import Annotated

import msgspec

from pertoken.api.fields import GivenInstant, Instant, NoQuery, PageQuery, Text, page, read_time
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.catalogs.plan_files import NotAPlan, read_plan_file
from pertoken.core.access import Action
from pertoken.core.billing.plan_book import CannotApply, PlanBook, PlanVersion, Subscription
from pertoken.core.periods import format_time
from pertoken.ports.store import Opened
from pertoken.services.billing.plans import apply, subscribe

CONTENT_MAX = 16 * 1024  # characters: a plan is read while calls wait; the command takes larger ones


class PlanBody(msgspec.Struct, forbid_unknown_fields=True):
    """A version of a plan: the text of its file, in YAML."""

    content: Annotated[str, msgspec.Meta(min_length=1, max_length=CONTENT_MAX)]


class PlanAnswer(msgspec.Struct, kw_only=True):
    """A version of a plan. It is in force from `from` until the next one."""

    plan: str
    version: int
    currency: str
    from_: Instant = msgspec.field(name="from")
    applied_at: Instant
    content: str | None = None  # not in lists


class PlansAnswer(msgspec.Struct):
    """Versions of plans, by name; the earliest first."""

    plans: list[PlanAnswer]
    next_cursor: str | None


class SubscriptionBody(msgspec.Struct, forbid_unknown_fields=True):
    """A subscription from an instant to come, or from now; without a plan, the customer has none from then on."""

    customer: Text
    plan: Text | None = None
    from_: GivenInstant | None = msgspec.field(default=None, name="from")


class SubscriptionAnswer(msgspec.Struct, kw_only=True):
    """From `from` on, the customer is charged by the plan; null: by none."""

    customer: str
    plan: str | None
    from_: Instant = msgspec.field(name="from")


class SubscriptionsAnswer(msgspec.Struct):
    """Subscriptions by customer; the earliest first."""

    subscriptions: list[SubscriptionAnswer]
    next_cursor: str | None


class SubscriptionsQuery(PageQuery, forbid_unknown_fields=True, kw_only=True):
    """Whose subscriptions."""

    customer: Text | None = None


def show_plans(opened: Opened, asked: Asked) -> PlansAnswer:
    """Return the versions of all plans."""
    key = lambda one: (one.name, one.from_us, one.version)  # noqa: E731 - of the page alone
    shown, cursor = page(opened.plans.versions(), key, asked.query, (str, int, int))
    return PlansAnswer([_plan(one) for one in shown], cursor)


def show_plan(opened: Opened, asked: Asked) -> PlanAnswer:
    """Return the version of a plan that is in force, with its file; before the first one, that."""
    versions = opened.plans.versions(asked.name)
    if not versions:
        raise ApiRefused(Problem.NOT_FOUND, f"no plan {asked.name!r}; see: GET /api/v1/plans", "id")
    found = PlanBook(versions, ()).version_at(asked.name, asked.now_us) or versions[0]
    return _plan(found, found.content)


def apply_plan(opened: Opened, asked: Asked) -> PlanAnswer:
    """Keep a version of a plan."""
    body: PlanBody = asked.body
    try:
        version, _ = apply(opened.plans, asked.clock, read_plan_file(body.content.encode()))
    except (NotAPlan, CannotApply) as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error), "content") from error
    return _plan(version, version.content)


def show_subscriptions(opened: Opened, asked: Asked) -> SubscriptionsAnswer:
    """Return subscriptions."""
    query: SubscriptionsQuery = asked.query
    found = opened.plans.subscriptions(query.customer)
    shown, cursor = page(found, lambda one: (one.customer, one.from_us), query, (str, int))
    return SubscriptionsAnswer([_subscription(one) for one in shown], cursor)


def subscribe_customer(opened: Opened, asked: Asked) -> SubscriptionAnswer:
    """Charge a customer by a plan, or by none."""
    body: SubscriptionBody = asked.body
    from_us = read_time(body.from_, "from")
    try:
        made = subscribe(opened.plans, opened.customers, asked.clock, body.customer, body.plan, from_us)
    except CannotApply as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error), error.field) from error
    except ValueError as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error), "customer") from error
    return _subscription(made)


def _plan(version: PlanVersion, content: str | None = None) -> PlanAnswer:
    return PlanAnswer(
        plan=version.name,
        version=version.version,
        currency=version.currency,
        from_=format_time(version.from_us),
        applied_at=format_time(version.applied_at_us),
        content=content,
    )


def _subscription(made: Subscription) -> SubscriptionAnswer:
    return SubscriptionAnswer(customer=made.customer, plan=made.plan, from_=format_time(made.from_us))


ROUTES = (
    Route(
        "GET", "/api/v1/plans", Action.PLANS_READ, "List the versions of all plans.", show_plans, PlansAnswer, PageQuery
    ),
    Route(
        "GET", "/api/v1/plans/{id}", Action.PLANS_READ, "Show the version of a plan that is in force, with its file.",
        show_plan, PlanAnswer, NoQuery, problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "GET", "/api/v1/subscriptions", Action.PLANS_READ, "List who is charged by which plan, and since when.",
        show_subscriptions, SubscriptionsAnswer, SubscriptionsQuery,
    ),
    Route(
        "POST", "/api/v1/plans", Action.PLANS_WRITE, "Apply a version of a plan.", apply_plan, PlanAnswer,
        body=PlanBody, status=201,
    ),
    Route(
        "POST", "/api/v1/subscriptions", Action.PLANS_WRITE, "Charge a customer by a plan from an instant on.",
        subscribe_customer, SubscriptionAnswer, body=SubscriptionBody, status=201,
    ),
)  # fmt: skip
