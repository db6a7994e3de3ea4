"""The price of events by the plans of their customers."""

from collections.abc import Callable
from functools import lru_cache

from pertoken.core.billing.charged import decided_for, price_of
from pertoken.core.billing.plan_book import PlanBook
from pertoken.core.billing.plans import Plan
from pertoken.core.events import Event

PLANS_MAX = 1_000  # that are kept read
MODELS_MAX = 10_000  # of plans: for each, the charges that concern it are kept


class PlanPricing:
    """Decides prices by the plan that was in force for the customer when an event occurred. A ports.pricing.Pricing.

    `book` returns the plans as they are known; `read` makes a plan of the body of a version.
    """

    def __init__(self, book: Callable[[], PlanBook], read: Callable[[str], Plan]) -> None:
        self._book = book
        self._read = lru_cache(PLANS_MAX)(read)
        self._plan_for = lru_cache(MODELS_MAX)(self._narrow)

    def price(self, event: Event) -> int | None:
        """Return what the customer is charged for an event by those charges that the event alone decides."""
        version = self._book().plan_of(event.attribution.customer, event.occurred_at_us)
        if version is None:
            return None
        of = event.attribution
        return price_of(self._plan_for(version.body, of.provider, of.model), event)

    def _narrow(self, body: str, provider: str | None, model: str | None) -> Plan:
        return decided_for(self._read(body), provider, model)
