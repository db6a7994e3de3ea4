"""Plans: what a customer pays for. A plan has charges; a charge is a meter, which counts, and a model, which prices.

Some charges are decided by each event alone: `PerUnit`, `Matrix`, `Markup` and `Percentage`, where nothing is included.
All others are decided by the whole period: they need its total. Amounts are in picos of the plan's currency.
"""

from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

CALLS = "calls"
COST = "cost"


class Aggregate(StrEnum):
    """How a meter makes one quantity of many events."""

    COUNT = "count"  # how many have the field
    SUM = "sum"
    MAX = "max"
    LATEST = "latest"  # of the event that occurred last
    UNIQUE = "unique"  # how many different values


class Selector(NamedTuple):
    """One condition on a field of an event: its value is one of `values`, or begins with one of `starts`."""

    field: str
    values: frozenset[str]
    starts: tuple[str, ...] = ()

    def takes(self, value: str | None) -> bool:
        """Tell whether a value fulfils the condition; a missing one does not."""
        return value is not None and (value in self.values or value.startswith(self.starts))


Selectors = tuple[Selector, ...]


class Meter(NamedTuple):
    """Counts what events use: a unit of usage, calls, cost, or a field of their own, of those that `where` selects.

    Quantities of units are inclusive, as usage states them: input tokens with those read from a cache. `without` names
    the units inside it that are left out.
    """

    of: str  # a unit, CALLS, COST, or the name of a field
    aggregate: Aggregate | None = None  # of a field; None: a unit, calls or cost, which are summed
    where: Selectors = ()
    without: tuple[str, ...] = ()


class PerUnit(NamedTuple):
    """So much for each unit: `price_picos` for every `per` of them."""

    price_picos: int
    per: int = 1


class MatrixRow(NamedTuple):
    """The price of the events that `where` selects and no earlier row did."""

    where: Selectors
    price: PerUnit


class Matrix(NamedTuple):
    """A price by model, class or other fields of each event. The last row selects all, so that nothing is left out."""

    rows: tuple[MatrixRow, ...]


class Markup(NamedTuple):
    """What the provider charges, and a share on top: 1/4 makes 1 USD of cost 1.25 USD."""

    share: Fraction


class Percentage(NamedTuple):
    """A share of each event's quantity, taken as an amount of money, within bounds for each event."""

    share: Fraction
    least_picos: int = 0
    most_picos: int | None = None


class Package(NamedTuple):
    """So much for each started package of `size` units."""

    price_picos: int
    size: int


class PlanTier(NamedTuple):
    """A price up to a total of `up_to`, or without an end. `flat_picos` is due once a unit falls into it."""

    up_to: int | None
    price: PerUnit
    flat_picos: int = 0


class Graduated(NamedTuple):
    """Each unit has the price of the tier in which it falls."""

    tiers: tuple[PlanTier, ...]


class Volume(NamedTuple):
    """All units have the price of the tier in which their total falls."""

    tiers: tuple[PlanTier, ...]


class Flat(NamedTuple):
    """So much a period, whatever is used."""

    price_picos: int


class Seat(NamedTuple):
    """So much a period for each seat. `seats` is their number, unless a meter counts them."""

    price_picos: int
    seats: int | None = None


ChargeModel = PerUnit | Matrix | Markup | Percentage | Package | Graduated | Volume | Flat | Seat


class PlanCharge(NamedTuple):
    """One thing that a customer pays for. `least_picos` and `most_picos` bound its amount in a period."""

    name: str
    model: ChargeModel
    meter: Meter | None = None  # of FLAT, and of seats that are stated
    included: int = 0  # units of a period that cost nothing
    least_picos: int = 0
    most_picos: int | None = None


class Plan(NamedTuple):
    """One version of a plan. It is in force from `from_us` until the next version."""

    name: str
    version: int
    from_us: int
    currency: str
    charges: tuple[PlanCharge, ...]
    commitment_picos: int = 0  # of a period: what is missing is charged at its end


def is_decided_by_event(charge: PlanCharge) -> bool:
    """Tell whether each event alone decides what it adds to a charge, so that it can be charged when it is settled."""
    model, meter = charge.model, charge.meter
    sums = meter is not None and meter.aggregate in {None, Aggregate.SUM, Aggregate.COUNT}
    return sums and isinstance(model, PerUnit | Matrix | Markup | Percentage) and not charge.included


def name_of(model: ChargeModel) -> str:
    """Return the name of a charge model, as plan files have it."""
    return "unit" if isinstance(model, PerUnit) else type(model).__name__.lower()


def needs_cost(plan: Plan) -> bool:
    """Tell whether a plan charges by what providers charge, or by whether that is known."""
    return any(
        meter.of == COST or any(one.field == "status" for one in meter.where)
        for meter in (charge.meter for charge in plan.charges)
        if meter is not None
    )
