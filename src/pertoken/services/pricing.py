"""What one use costs: the prices of the model as served, in the context as served, applied to what was used."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from pertoken.core import periods, rating
from pertoken.core.conditions import Conditions, Context, context
from pertoken.core.ledger import EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Quota
from pertoken.core.rates import NoPrice, Rates
from pertoken.core.rating import Line, Rated
from pertoken.core.usage import Parts, Quantities


class Charge(NamedTuple):
    """A cost with its lines, or why there is none."""

    status: EventStatus
    currency: str
    cost_picos: int
    lines: tuple[tuple[str, int, str, int], ...]  # unit, quantity, price id, amount in picos
    reason: str | None  # why it is unpriced, or what was assumed


class Served(NamedTuple):
    """What was served, and when it was asked for."""

    provider: str
    model: str  # as asked for
    model_served: str | None
    at_us: int
    context: Context


@lru_cache(maxsize=4096)
def _quotas(rates: Rates) -> frozenset[Quota]:
    return frozenset(row.quota for tier in rates.tiers for row in tier.rows.values() if row.quota is not None)


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


def charge(
    book: PriceBook, served: Served, quantities: Quantities, free: FreeUse | None = None, parts: Parts = ()
) -> Charge:
    """Return what `quantities` cost at the prices in force, within what is `free`; without it nothing is.

    Where several models took part, each of the `parts` is charged at its own model's prices.
    Raises usage.Contradiction when a part exceeds its total.
    """
    if parts:
        return _together([charge(book, served._replace(model_served=model), used, free) for model, used in parts])
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


def _kept(lines: Sequence[Line]) -> tuple[tuple[str, int, str, int], ...]:
    return tuple((line.unit, line.quantity, line.price_id, line.amount_picos) for line in lines)


def _together(charges: Sequence[Charge]) -> Charge:
    unpriced = [one for one in charges if one.status is not EventStatus.PRICED]
    currencies = {one.currency for one in charges}
    if unpriced:
        return unpriced[0]
    if len(currencies) > 1:
        reason = f"the models that took part are priced in {' and '.join(sorted(currencies))}"
        return Charge(EventStatus.UNPRICED, "USD", 0, (), reason)
    lines = tuple(line for one in charges for line in one.lines)
    notes = "; ".join(one.reason for one in charges if one.reason) or None
    return Charge(EventStatus.PRICED, currencies.pop(), sum(one.cost_picos for one in charges), lines, notes)


def find_rates(book: PriceBook, served: Served) -> tuple[Rates | NoPrice, str | None]:
    """Return the prices of the model as served; a served name that no price knows keeps the asked one's, noted."""
    if served.model_served and served.model_served != served.model:
        rates = book.resolve(served.provider, served.model_served, served.at_us, served.context)
        if isinstance(rates, Rates):
            return rates, None
        asked = book.resolve(served.provider, served.model, served.at_us, served.context)
        return asked, f"served as {served.model_served!r}, which has no price; rated as {served.model!r}"
    return book.resolve(served.provider, served.model, served.at_us, served.context), None


def to_conditions(of: Context) -> Conditions:
    """Return a context as an event keeps it."""
    return tuple(sorted(of.asked().items()))


def to_context(kept: Conditions) -> Context:
    """Return the context that an event keeps."""
    asked = dict(kept)
    return context(
        asked.pop("service_tier", None),
        batch=asked.pop("batch", None) == "true",
        speed=asked.pop("speed", None),
        region=asked.pop("region", None),
        attributes=tuple(sorted(asked.items())),
    )


def _slot(quota: Quota, at_us: int) -> tuple[str, int]:
    return quota.group, periods.bounds(quota.window, at_us, "UTC")[0]
