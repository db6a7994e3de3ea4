"""What a use costs: the prices of the served model, in the served context, applied to the quantities.

Usage without a price is never free. Where no price says what it costs, `core.provisional` decides.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from pertoken.core import periods, rating
from pertoken.core.conditions import Context
from pertoken.core.events import Event, EventStatus, Lines
from pertoken.core.model_names import is_same_model
from pertoken.core.money import amount_max, format_amount
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Quota
from pertoken.core.rates import ANOTHER, FEE, REPORTED, NoPrice, Rates
from pertoken.core.rating import Line, Rated
from pertoken.core.usage import Parts, Quantities

STATED_IN = "USD"  # the currency of all costs that providers state


class Charge(NamedTuple):
    """A cost with its lines; one that is unpriced is provisional, or nothing where nothing is known."""

    status: EventStatus
    currency: str
    cost_picos: int
    lines: Lines
    reason: str | None  # why it is unpriced, or what was assumed
    book_lines: Lines = ()  # where the provider's own statement is charged: what the price book says

    @property
    def is_stated(self) -> bool:
        """Whether the provider's own statement is charged."""
        return any(price_id == REPORTED for _, _, price_id, _ in self.lines)


class Served(NamedTuple):
    """What was served, and when it was asked for."""

    provider: str
    model: str  # whose price was asked for
    model_served: str | None
    at_us: int
    context: Context
    sent: str | None = None  # the name that the provider was asked for, where it is another than `model`
    any_name: bool = False  # whatever the answer calls it, it is `model`: the operator says so
    named: tuple[str, ...] = ()  # all models that the answer names, where they are several


class FreeUse:
    """What is left of free quotas while usages are rated one after the other, in the order they come."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int], int] = {}

    def left(self, rates: Rates, at_us: int) -> dict[str, int]:
        """Return what is left of each quota that `rates` know, by group."""
        quotas = _quotas(rates)
        return {quota.group: quota.quantity - self._used.get(_slot(quota, at_us), 0) for quota in quotas}

    def take(self, lines: tuple[Line, ...], at_us: int) -> None:
        """Take what `lines` used."""
        for line in lines:
            if line.free and line.price.row.quota is not None:
                slot = _slot(line.price.row.quota, at_us)
                self._used[slot] = self._used.get(slot, 0) + line.quantity


@lru_cache(maxsize=4096)
def _quotas(rates: Rates) -> frozenset[Quota]:
    return frozenset(row.quota for tier in rates.tiers for row in tier.rows.values() if row.quota is not None)


def _slot(quota: Quota, at_us: int) -> tuple[str, int]:
    return quota.group, periods.bounds(quota.window, at_us, "UTC")[0]


def charge(
    book: PriceBook, served: Served, quantities: Quantities, free: FreeUse | None = None, parts: Parts = ()
) -> Charge:
    """Return what `quantities` cost at the prices in force, within what is `free`; without it nothing is.

    Where several models took part, each of the `parts` is charged at its own model's prices.
    What would cost more than one amount can be is no cost. Raises usage.Contradiction when a part exceeds its total.
    """
    if parts:
        each = [charge(book, served._replace(model=model, model_served=None), used, free) for model, used in parts]
        return _believed(_together(each))
    return _believed(_charge(book, served, quantities, free))


def _believed(charge: Charge) -> Charge:
    """Return a charge, or a reason if it exceeds the most that a call can cost, since its usage must be wrong."""
    if charge.cost_picos <= amount_max(charge.currency):
        return charge
    return Charge(EventStatus.UNPRICED, charge.currency, 0, (), too_much(charge))


def too_much(charge: Charge) -> str:
    """Return why a charge is not believed."""
    cost = format_amount(charge.cost_picos, charge.currency)
    return f"this would cost {cost} {charge.currency}: more than one event can"


def _charge(book: PriceBook, served: Served, quantities: Quantities, free: FreeUse | None) -> Charge:
    rates, note = find_rates(book, served)
    if not isinstance(rates, Rates):
        return Charge(EventStatus.UNPRICED, "USD", 0, (), rates.reason)
    rated = rating.rate(quantities, rates, None if free is None else free.left(rates, served.at_us))
    if not isinstance(rated, Rated):
        # What has a price is charged, so that a part without one makes nothing free; the rest follows by `rerate`.
        return Charge(EventStatus.UNPRICED, rates.currency, rated.cost_picos, _kept(rated.lines), rated.reason)
    if free is not None:
        free.take(rated.lines, served.at_us)
    return Charge(EventStatus.PRICED, rated.currency, rated.cost_picos, _kept(rated.lines), note)


def _kept(lines: Sequence[Line]) -> Lines:
    return tuple((line.unit, line.quantity, line.price_id, line.amount_picos) for line in lines)


def _together(charges: Sequence[Charge]) -> Charge:
    unpriced = [one for one in charges if one.status is not EventStatus.PRICED]
    currencies = {one.currency for one in charges if one.lines or one.status is EventStatus.PRICED}
    if len(currencies) > 1:
        reason = f"the models that took part are priced in {' and '.join(sorted(currencies))}"
        return Charge(EventStatus.UNPRICED, STATED_IN, 0, (), reason)
    status = EventStatus.UNPRICED if unpriced else EventStatus.PRICED
    notes = "; ".join(one.reason for one in unpriced or charges if one.reason) or None
    lines = tuple(line for one in charges for line in one.lines)
    currency = currencies.pop() if currencies else STATED_IN
    return Charge(status, currency, sum(one.cost_picos for one in charges), lines, notes)


def find_rates(book: PriceBook, served: Served) -> tuple[Rates | NoPrice, str | None]:
    """Return the prices of the model as served.

    Another spelling of the asked name has the asked model's price, noted, where it has none of its own. Another model
    has none: what it costs is not known.
    """
    name = served.model_served
    if not name or name == served.model:
        return book.resolve(served.provider, served.model, served.at_us, served.context), None
    rates = book.resolve(served.provider, name, served.at_us, served.context)
    if isinstance(rates, Rates):
        return rates, None
    if is_as_asked(served, name):
        asked = book.resolve(served.provider, served.model, served.at_us, served.context)
        return asked, f"served as {name!r}, which has no price; rated as {served.model!r}"
    reason = f"served as {name!r}, which is another model than {served.model!r}: {rates.reason}"
    return rates._replace(reason=reason), None


def is_as_asked(served: Served, name: str) -> bool:
    """Tell whether the name in the answer is another spelling of what was asked for."""
    return served.any_name or any(is_same_model(name, one) for one in (served.model, served.sent) if one)


def was_as_asked(event: Event) -> bool:
    """Tell whether what was served was taken to be what was asked for, as far as its own name has no price."""
    priced = event.status is EventStatus.PRICED
    taken_from = {price_id for _, _, price_id, _ in event.lines} - {FEE}
    return priced or (bool(taken_from) and ANOTHER not in taken_from)


def fees_of(lines: Lines) -> Lines:
    """Return the lines of fees: no price row changes them."""
    return tuple(line for line in lines if line[2] == FEE)
