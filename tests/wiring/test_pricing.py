"""Who decides what customers are charged."""

from tests.factories import event, hold

from pertoken.core.billing.plan_book import NO_PLANS, PlanBook, PlanVersion, Subscription
from pertoken.wiring.pricing import make_pricing

CHARGE = '{"name":"c","model":"unit","price":"2","meter":{"unit":"calls"}}'
PLAN = f'{{"plan":"p","version":1,"currency":"USD","charges":[{CHARGE}]}}'


def test_plans_decide() -> None:
    """A call of a customer with a plan has the price that the plan says; without one its price is null, never 0."""
    book = PlanBook([PlanVersion("p", 1, 0, "USD", "", PLAN, 0)], [Subscription("acme", 0, "p", 0)])
    of_acme = event(hold("call_1"), attribution=hold("call_1").attribution._replace(customer="acme"))

    assert make_pricing(lambda: book).price(of_acme) == 2 * 10**12
    assert make_pricing(lambda: book).price(event(hold("call_2"))) is None
    assert make_pricing(lambda: NO_PLANS).price(of_acme) is None
