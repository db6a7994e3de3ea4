"""The charge models: what a quantity costs. Each is one rule, exact to the pico; division rounds half to even, once.

Sources of the rules: the documentation of Stripe ("Tiered pricing"), Lago ("Charge models") and OpenMeter ("Prices").
They differ in what zero units cost; here a tier's flat amount is due once a unit falls into the tier.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from pertoken.core.billing.meters import MeteredQuantity
from pertoken.core.billing.plans import Graduated, Package, Percentage, PerUnit, PlanTier, Volume
from pertoken.core.money import divide_half_even, divide_up


class PricedQuantity(NamedTuple):
    """What a quantity costs. `unit_picos` is the price of one unit; `of` says which units, where that is to be said."""

    quantity: MeteredQuantity
    unit_picos: Fraction
    amount_picos: int
    of: str = ""


def to_picos(exact: Fraction) -> int:
    """Return an exact amount as whole picos, rounded half to even."""
    return divide_half_even(exact.numerator, exact.denominator)


def at_once(picos: int, of: str = "") -> PricedQuantity:
    """Return an amount that is not of units: a fee, or a difference."""
    return PricedQuantity(1, Fraction(picos), picos, of)


def per_unit(price: PerUnit, quantity: MeteredQuantity, of: str = "") -> PricedQuantity:
    """Return the amount of a quantity, each unit at the same price."""
    each = Fraction(price.price_picos, price.per)
    return PricedQuantity(quantity, each, to_picos(each * quantity), of)


def markup(cost_picos: int, share: Fraction) -> int:
    """Return what is charged for an event that costs so much."""
    return to_picos(cost_picos * (1 + share))


def percentage(model: Percentage, amount_picos: MeteredQuantity) -> int:
    """Return what is charged for an event with such an amount, within the bounds for each event."""
    charged = max(to_picos(Fraction(amount_picos) * model.share), model.least_picos)
    return charged if model.most_picos is None else min(charged, model.most_picos)


def package(model: Package, quantity: MeteredQuantity) -> PricedQuantity:
    """Return the amount of all started packages."""
    exact = Fraction(quantity)
    packages = divide_up(exact.numerator, exact.denominator * model.size)
    return PricedQuantity(
        packages, Fraction(model.price_picos), packages * model.price_picos, f"packages of {model.size}"
    )


def graduated(model: Graduated, quantity: MeteredQuantity) -> Iterator[PricedQuantity]:
    """Yield the amount of each tier that is reached, and its flat amount."""
    below = 0
    for tier in model.tiers:
        if quantity <= below:
            return
        inside = (quantity if tier.up_to is None else min(quantity, tier.up_to)) - below
        yield from _of_tier(tier, inside, below)
        below = tier.up_to or 0


def volume(model: Volume, quantity: MeteredQuantity) -> Iterator[PricedQuantity]:
    """Yield the amount of all units at the price of the tier of their total, and the tier's flat amount."""
    if not quantity:
        return
    below = 0
    for tier in model.tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            yield from _of_tier(tier, quantity, below)
            return
        below = tier.up_to


def _of_tier(tier: PlanTier, quantity: MeteredQuantity, below: int) -> Iterator[PricedQuantity]:
    of = f"above {below}" if tier.up_to is None else f"to {tier.up_to}" if not below else f"{below} to {tier.up_to}"
    yield per_unit(tier.price, quantity, of)
    if tier.flat_picos:
        yield at_once(tier.flat_picos, f"{of}, flat")
