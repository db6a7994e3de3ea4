"""Who decides what customers are charged: their plans."""

import time
from collections.abc import Callable

from pertoken.catalogs.plan_files import read_body
from pertoken.core.billing.plan_book import PlanBook
from pertoken.ports.pricing import Pricing
from pertoken.services.billing.pricing import PlanPricing
from pertoken.store.directory import read_plans
from pertoken.wiring.installation import Installation

FRESH_S = 1  # plans and subscriptions begin in the future: what is known of earlier instants stays true


def make_pricing(book: Callable[[], PlanBook]) -> Pricing:
    """Return the pricing by the plans that `book` returns."""
    return PlanPricing(book, read_body)


class KnownPlans:
    """The plans of an installation, read again after FRESH_S."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._known: tuple[float, PlanBook] | None = None

    def __call__(self) -> PlanBook:
        """Return the plans in force."""
        known = self._known
        if known is None or time.monotonic() - known[0] > FRESH_S:
            with self._installation.database.read() as connection:
                known = self._known = time.monotonic(), read_plans(connection)
        return known[1]
