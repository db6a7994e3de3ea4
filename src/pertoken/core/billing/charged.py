"""What one event adds to one charge: its quantity, and its amount where the event alone decides that.

The same function counts for the bill of a period and for the price of an event, so the two cannot differ.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from pertoken.core.billing import amounts
from pertoken.core.billing.meters import CannotMeter, MeteredQuantity, MeteredUse, quantity_of, selects
from pertoken.core.billing.plans import COST, Markup, Matrix, Percentage, PerUnit, Plan, PlanCharge, is_decided_by_event
from pertoken.core.events import Event
from pertoken.core.money import pico_digits


class Added(NamedTuple):
    """What an event adds; `row` of a matrix, else 0. The amount counts only where the event decides it."""

    row: int
    quantity: MeteredQuantity | str
    amount_picos: int


def added(charge: PlanCharge, use: MeteredUse, currency: str) -> Added | None:
    """Return what an event adds to a charge of a plan in `currency`, None for nothing. Raises CannotMeter."""
    meter, model = charge.meter, charge.model
    if meter is None or not selects(meter.where, use):
        return None
    quantity = quantity_of(meter, use)
    if quantity is None:
        return None
    if meter.of == COST and use.currency != currency:
        raise CannotMeter(f"its cost is in {use.currency}, the plan is in {currency}")
    if isinstance(quantity, str):
        return Added(0, quantity, 0)
    if isinstance(model, PerUnit):
        return Added(0, quantity, _per_unit(model, quantity))
    if isinstance(model, Matrix):
        row = next(at for at, one in enumerate(model.rows) if selects(one.where, use))
        return Added(row, quantity, _per_unit(model.rows[row].price, quantity))
    if isinstance(model, Markup):
        assert isinstance(quantity, int)
        return Added(0, quantity, amounts.markup(quantity, model.share))
    if isinstance(model, Percentage):
        picos = quantity if meter.of == COST else quantity * int(10 ** pico_digits(currency))
        return Added(0, picos, amounts.percentage(model, picos))
    return Added(0, quantity, 0)


def price_of(plan: Plan, event: Event) -> int | None:
    """Return what an event adds to what its customer owes, in picos: by those charges that it alone decides.

    None where the plan is in another currency than the event's cost, or where a charge cannot say what it comes to:
    then the bill of the period says so.
    """
    if plan.currency != event.currency:
        return None
    use = use_of(event)
    try:
        return sum(one.amount_picos for one in _decided(plan, use))
    except CannotMeter:
        return None


def decided_for(plan: Plan, provider: str | None, model: str | None) -> Plan:
    """Return a plan with the charges that events of a model may alone decide, without the conditions that say so."""
    known = {"provider": provider, "model": model}
    charges = []
    for charge in plan.charges:
        meter = charge.meter
        if meter is None or not is_decided_by_event(charge):
            continue
        if all(one.takes(known[one.field]) for one in meter.where if one.field in known):
            left = tuple(one for one in meter.where if one.field not in known)
            charges.append(charge._replace(meter=meter._replace(where=left)))
    return plan._replace(charges=tuple(charges))


def use_of(event: Event) -> MeteredUse:
    """Return what plans look at of an event, without its corrections."""
    return MeteredUse(
        event.occurred_at_us, event.attribution, event.quantities, event.service_tier, str(event.status),
        event.currency, event.cost_picos,
    )  # fmt: skip


def _decided(plan: Plan, use: MeteredUse) -> Iterator[Added]:
    for charge in plan.charges:
        if is_decided_by_event(charge):
            found = added(charge, use, plan.currency)
            if found is not None:
                yield found


def _per_unit(price: PerUnit, quantity: MeteredQuantity) -> int:
    if isinstance(quantity, int):
        return price.price_picos * quantity // price.per  # exact: a unit costs whole picos
    return amounts.to_picos(Fraction(price.price_picos, price.per) * quantity)
