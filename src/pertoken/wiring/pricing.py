"""Who decides what customers are charged."""

from pertoken.ports.pricing import Pricing
from pertoken.settings import Settings


def make_pricing(settings: Settings) -> Pricing | None:  # noqa: ARG001 - what it will be made from
    """Return the pricing of an installation: none, so events have no price."""
    return None
