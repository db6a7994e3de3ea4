"""The bill of a period: what events add up to, and the lines that a plan makes of it.

The order of events never matters, and each counts once: whoever calls `Totals.add` sees to that.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, assert_never

from pertoken.core.billing import amounts
from pertoken.core.billing.amounts import PricedQuantity
from pertoken.core.billing.charged import added
from pertoken.core.billing.meters import CannotMeter, MeteredQuantity, MeteredUse
from pertoken.core.billing.plans import (
    Aggregate,
    ChargeModel,
    Flat,
    Graduated,
    Markup,
    Matrix,
    Package,
    Percentage,
    PerUnit,
    Plan,
    PlanCharge,
    Seat,
    Selectors,
    Volume,
    is_decided_by_event,
)
from pertoken.core.money import pico_digits


class BillLine(NamedTuple):
    """One line: `quantity` at `unit_amount` makes `amount_picos`. A quantity that is money is in major units."""

    charge: str
    description: str
    quantity: Fraction
    unit_amount: Fraction  # in major units, or a factor where the quantity is money
    amount_picos: int


class Bill(NamedTuple):
    """What a customer owes for a period."""

    currency: str
    lines: tuple[BillLine, ...]
    total_picos: int


class _Total:
    """What the events of a period come to at one charge, or at one row of its matrix."""

    __slots__ = ("amount_picos", "at_us", "quantity", "values")

    def __init__(self) -> None:
        self.quantity: MeteredQuantity = 0
        self.amount_picos = 0  # where each event decides
        self.at_us = -1  # of the latest
        self.values: set[str] = set()

    def take(self, aggregate: Aggregate | None, quantity: MeteredQuantity | str, usage: MeteredUse) -> None:
        """Add what one event has."""
        if isinstance(quantity, str):
            self.values.add(quantity)
            self.quantity = len(self.values)
        elif aggregate is Aggregate.MAX:
            self.quantity = max(self.quantity, quantity)
        elif aggregate is Aggregate.LATEST:
            # Of two at the same time, the larger one counts in any order.
            self.at_us, self.quantity = max((self.at_us, self.quantity), (usage.occurred_at_us, quantity))
        else:
            self.quantity += quantity


class Totals:
    """What the events of one customer and one period come to, for each charge of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._scale = 10 ** pico_digits(plan.currency)
        self._of = [[_Total() for _ in _rows(charge.model)] for charge in plan.charges]

    def add(self, usage: MeteredUse) -> None:
        """Add an event. Raises CannotMeter where a charge cannot say what it comes to; then nothing is added."""
        found = [added(charge, usage, self.plan.currency) for charge in self.plan.charges]
        for charge, totals, one in zip(self.plan.charges, self._of, found, strict=True):
            if one is None:
                continue
            assert charge.meter is not None
            row, quantity, amount_picos = one
            totals[row].take(charge.meter.aggregate, quantity, usage)
            totals[row].amount_picos += amount_picos

    def bill(self) -> Bill:
        """Return the bill of what was added. Raises CannotMeter for a part of a seat."""
        lines: list[BillLine] = []
        for charge, totals in zip(self.plan.charges, self._of, strict=True):
            lines += self._of_charge(charge, totals)
        total_picos = sum(line.amount_picos for line in lines)
        missing_picos = self.plan.commitment_picos - total_picos
        if missing_picos > 0:
            lines.append(self._line("commitment", amounts.at_once(missing_picos, "what is missing")))
            total_picos += missing_picos
        return Bill(self.plan.currency, tuple(lines), total_picos)

    def _of_charge(self, charge: PlanCharge, totals: Sequence[_Total]) -> Iterator[BillLine]:
        sum_picos = 0
        for amount in self._amounts(charge, totals):
            sum_picos += amount.amount_picos
            yield self._line(charge.name, amount)
        if sum_picos < charge.least_picos:
            yield self._line(charge.name, amounts.at_once(charge.least_picos - sum_picos, "least"))
        if charge.most_picos is not None and sum_picos > charge.most_picos:
            yield self._line(charge.name, amounts.at_once(charge.most_picos - sum_picos, "most"))

    def _amounts(self, charge: PlanCharge, totals: Sequence[_Total]) -> Iterator[PricedQuantity]:  # noqa: C901, PLR0912 - one case for each model
        total, model = totals[0], charge.model
        quantity = max(0, total.quantity - charge.included)
        if charge.included and total.quantity:
            free = min(total.quantity, charge.included)
            yield PricedQuantity(free, Fraction(0), 0, "included")
        match model:
            case PerUnit():
                if quantity:
                    said = amounts.per_unit(model, quantity)
                    decided = is_decided_by_event(charge)
                    yield said._replace(amount_picos=total.amount_picos) if decided else said
            case Matrix():
                for row, one in zip(model.rows, totals, strict=True):
                    if one.quantity:
                        said = amounts.per_unit(row.price, one.quantity, _named(row.where))
                        yield said._replace(amount_picos=one.amount_picos)
            case Markup():
                if quantity:
                    yield PricedQuantity(
                        Fraction(quantity, self._scale), (1 + model.share) * self._scale, total.amount_picos
                    )
            case Percentage():
                yield from self._percentage(model, quantity, total.amount_picos)
            case Package():
                if quantity:
                    yield amounts.package(model, quantity)
            case Graduated():
                yield from amounts.graduated(model, quantity)
            case Volume():
                yield from amounts.volume(model, quantity)
            case Flat():
                yield amounts.at_once(model.price_picos)
            case Seat():
                seats = quantity if model.seats is None else max(0, model.seats - charge.included)
                if Fraction(seats).denominator != 1:
                    raise CannotMeter(f"{charge.name}: {seats} is no whole number of seats")
                if seats:
                    yield amounts.per_unit(PerUnit(model.price_picos), seats)
            case _:
                assert_never(model)

    def _percentage(self, model: Percentage, quantity: MeteredQuantity, amount_picos: int) -> Iterator[PricedQuantity]:
        """Yield what the share of all events comes to, and what the bounds of each event changed."""
        share_picos = amounts.to_picos(quantity * model.share)
        changed_picos = amount_picos - share_picos if model.least_picos or model.most_picos is not None else 0
        if quantity:
            each = model.share * self._scale
            yield PricedQuantity(Fraction(quantity, self._scale), each, amount_picos - changed_picos)
        if changed_picos:
            yield amounts.at_once(changed_picos, "least and most of each event")

    def _line(self, name: str, amount: PricedQuantity) -> BillLine:
        description = f"{name}, {amount.of}" if amount.of else name
        each = amount.unit_picos / self._scale
        return BillLine(name, description, Fraction(amount.quantity), each, amount.amount_picos)


def _rows(model: ChargeModel) -> Sequence[object]:
    return model.rows if isinstance(model, Matrix) else (model,)


def _named(where: Selectors) -> str:
    """Return what a row of a matrix is for."""
    words = []
    for one in where:
        values = [*sorted(one.values), *(f"{start}*" for start in one.starts)]
        words.append(f"{one.field} {' or '.join(values)}")
    return ", ".join(words) or "all others"
