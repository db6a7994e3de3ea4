"""The price of an event: what its customer is charged, where somebody decides that."""

from pertoken.core.events import Event
from pertoken.ports.pricing import Pricing


def priced(event: Event, pricing: Pricing | None) -> Event:
    """Return an event with its price; without a pricing it has none, which is not a price of 0."""
    return event if pricing is None else event._replace(price_picos=pricing.price(event))
