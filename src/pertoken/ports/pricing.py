"""What customers are charged: the price of an event, beside its cost, which the provider charges."""

from typing import Protocol

from pertoken.core.events import Event


class Pricing(Protocol):
    """Decides what customers are charged. It is asked of each event before that is recorded, also of corrected ones."""

    def price(self, event: Event) -> int | None:
        """Return what the customer is charged for an event, in the currency of its cost; None: nobody is.

        It has what it costs in it, and no price yet. What was corrected is asked of as it is now, and its correction
        has the difference: so the answer must depend on the event alone.
        """
