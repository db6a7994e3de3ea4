"""Which plan is in force when, what goes with what is there, and what one event is charged."""

from typing import Any

import pytest
from hypothesis import given
from tests.core.billing.makers import a_plan, billed
from tests.core.billing.test_bill import LINEAR, OTHERS, events
from tests.factories import event as settled
from tests.factories import hold

from pertoken.core.billing.charged import decided_for, price_of, use_of
from pertoken.core.billing.meters import MeteredUse
from pertoken.core.billing.plan_book import (
    CannotApply,
    PlanBook,
    PlanVersion,
    Subscription,
    check_subscription,
    check_version,
)
from pertoken.core.billing.plans import Plan
from pertoken.core.events import Event

NOW = 1_000


def an_event(**fields: Any) -> Event:
    """Return the event of a call."""
    return settled(hold("call_1"), **fields)


def a_version(version: int = 1, from_us: int = 0, name: str = "growth", **fields: Any) -> PlanVersion:
    """Return a version of a plan."""
    return PlanVersion(
        name,
        version,
        from_us,
        **{"currency": "USD", "content": str(version), "body": "{}", "applied_at_us": 0, **fields},
    )


def a_subscription(from_us: int, plan: str | None = "growth") -> Subscription:
    """Return a subscription of acme."""
    return Subscription("acme", from_us, plan, 0)


BOOK = PlanBook(
    [a_version(2, 2_000), a_version(1, 1_000), a_version(3, 2_000), a_version(1, 500, "small")],
    [a_subscription(5_000, None), a_subscription(3_000, "small"), a_subscription(900)],
)


@pytest.mark.parametrize(
    ("at_us", "name", "version"),
    [
        (0, None, None),
        (899, None, None),
        (900, None, None),  # subscribed to a plan that has not begun
        (1_000, "growth", 1),
        (1_999, "growth", 1),
        (2_000, "growth", 3),  # of two that begin at once, the later version
        (2_999, "growth", 3),
        (3_000, "small", 1),
        (4_999, "small", 1),
        (5_000, None, None),
    ],
)
def test_the_plan_in_force(at_us: int, name: str | None, version: int | None) -> None:
    """Versions and subscriptions count from their instant until that of the next one."""
    found = BOOK.plan_of("acme", at_us)

    assert (None, None) if found is None else (found.name, found.version) == (name, version)
    assert (found is None) == (name is None)
    assert BOOK.plan_of("other", at_us) is None
    assert BOOK.plan_of(None, at_us) is None


def plan(version: int, from_us: int, currency: str = "USD") -> Plan:
    """Return a plan to apply."""
    return Plan("growth", version, from_us, currency, ())


@pytest.mark.parametrize(
    ("known", "new", "content", "field"),
    [
        ([a_version(1)], plan(1, 0), "other", "version"),
        ([a_version(2)], plan(1, NOW), "new", "version"),
        ([a_version(1)], plan(2, NOW, "EUR"), "new", "currency"),
        ([a_version(1, 5_000)], plan(2, 4_999), "new", "from"),
        ([a_version(1)], plan(2, NOW - 1), "new", "from"),
    ],
)
def test_a_version_that_does_not_go(known: list[PlanVersion], new: Plan, content: str, field: str) -> None:
    """What was applied stays: no other content, no lower version, no other currency, nothing before now."""
    with pytest.raises(CannotApply) as refused:
        check_version(known, new, content, NOW)

    assert refused.value.field == field


def test_a_version_that_goes() -> None:
    """The first version may begin in the past, a further one now; the same content again changes nothing."""
    known = [a_version(1)]

    assert check_version([], plan(1, 0), "1", NOW) is None
    assert check_version(known, plan(2, NOW), "2", NOW) is None
    assert check_version(known, plan(1, 0), "1", NOW) == known[0]


EUROS = PlanBook([a_version(), a_version(name="euros", currency="EUR")], ())


@pytest.mark.parametrize(
    ("known", "new", "field"),
    [
        ([], Subscription("acme", NOW - 1, "growth", NOW), "from"),
        ([], Subscription("acme", NOW, "nothing", NOW), "plan"),
        ([a_subscription(0)], Subscription("acme", NOW, "euros", NOW), "plan"),
    ],
)
def test_a_subscription_that_does_not_go(known: list[Subscription], new: Subscription, field: str) -> None:
    """Nothing in the past, no plan that is not in force, no second currency."""
    with pytest.raises(CannotApply) as refused:
        check_subscription(known, EUROS, new)

    assert refused.value.field == field
    check_subscription(known, EUROS, Subscription("acme", NOW, "growth", NOW))
    check_subscription(known, EUROS, Subscription("acme", NOW, None, NOW))


@given(events)
def test_prices_of_events_sum_to_their_bill(found: list[MeteredUse]) -> None:
    """What events are charged one by one is what the bill has for the charges that each decides."""
    of_events = [
        an_event(picos=use.cost_picos or 0, attribution=use.attribution, quantities=use.quantities) for use in found
    ]
    total_picos = sum(price_of(a_plan(*LINEAR, *OTHERS), event) or 0 for event in of_events)

    assert billed(a_plan(*LINEAR), *map(use_of, of_events)).total_picos == total_picos


@given(events)
def test_a_model_is_charged_by_the_charges_that_concern_it(found: list[MeteredUse]) -> None:
    """The price is the same by the whole plan and by what of it may concern the event's model."""
    only = {"model": "unit", "price": "1", "meter": {"unit": "calls", "where": {"model": "o*", "user": ["a", "b"]}}}
    other = {"model": "unit", "price": "2", "meter": {"unit": "calls", "where": {"provider": "openai"}}}
    plan = a_plan(*LINEAR, *OTHERS, only, other)
    for use in found:
        event = an_event(picos=use.cost_picos or 0, attribution=use.attribution, quantities=use.quantities)
        of = use.attribution

        assert price_of(decided_for(plan, of.provider, of.model), event) == price_of(plan, event)
        assert len(decided_for(plan, of.provider, "none").charges) < len(decided_for(plan, of.provider, "o1").charges)


def test_no_price() -> None:
    """There is none in another currency, nor where a value is no number; without charges of its own it is 0."""
    in_euros = a_plan(LINEAR[0], currency="EUR")
    of_field = a_plan({"model": "unit", "price": "1", "meter": {"field": "tag:mb", "aggregate": "sum"}})
    attribution = an_event().attribution._replace(tags=(("mb", "many"),))

    assert price_of(in_euros, an_event()) is None
    assert price_of(of_field, an_event(attribution=attribution)) is None
    assert price_of(a_plan(OTHERS[0]), an_event()) == 0
