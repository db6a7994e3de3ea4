"""The cost of usage: the prices of the served model, in the served context, applied to the quantities.

Usage without a price is never free: it is charged provisionally, at the held amount or at the dearest known rates,
until `rerate` knows better. What a provider itself states is charged where the registry says that it charges so.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import NamedTuple

from pertoken.core import periods, rating
from pertoken.core.bounds import covers
from pertoken.core.conditions import Conditions, Context, context
from pertoken.core.dearest import Dearest, most
from pertoken.core.events import Event, EventStatus, Lines
from pertoken.core.model_names import is_same_model
from pertoken.core.money import amount_max, format_amount, pico_digits
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Quota
from pertoken.core.rates import ANOTHER, DEAREST, FEE, HELD, REPORTED, NoPrice, Rates
from pertoken.core.rating import Line, Rated
from pertoken.core.usage import Parts, Quantities, Used

PROVISIONAL = "provisional"  # the unit of the one line of a charge whose price is not known; of a stated one: REPORTED
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


class HeldFor(NamedTuple):
    """What was held for a use, and for how much of each unit."""

    amount_picos: int
    currency: str
    quantities: Quantities


def charge_surely(book: PriceBook, served: Served, used: Used, cover: HeldFor | None) -> Charge:
    """Return what a use costs; where no price says it, provisionally.

    What was held is charged where it was held for so much, else the dearest rates known, and never less than was held.
    Where neither is there, the cost is 0. A use that comes to more than an amount can be is not believed: what was held
    is charged, so that its settlement can be posted.
    Raises usage.Contradiction when a part exceeds its total.
    """
    charged = _charge_surely(book, served, used, cover)
    if used.fee is not None and book.charges_as_stated(served.provider):
        charged = _with_fee(charged, used.fee)
    if cover is None or charged.cost_picos <= amount_max(charged.currency):
        return charged
    lines = ((PROVISIONAL, 1, HELD, cover.amount_picos),) if cover.amount_picos else ()
    return Charge(EventStatus.UNPRICED, cover.currency, cover.amount_picos, lines, _too_much(charged))


def _with_fee(charged: Charge, fee: Decimal) -> Charge:
    """Return a charge with the fee that a seller states on top of it, in a line of its own."""
    if charged.currency != STATED_IN:
        why = f"a fee of {fee} {STATED_IN} is not in {charged.currency}"
        return charged._replace(status=EventStatus.UNPRICED, reason=why)
    line = (FEE, 1, FEE, stated_picos(fee))
    return charged._replace(
        cost_picos=charged.cost_picos + line[3], lines=(*charged.lines, line) if line[3] else charged.lines
    )


def fees_of(lines: Lines) -> Lines:
    """Return the lines of fees: no price row changes them."""
    return tuple(line for line in lines if line[2] == FEE)


def _charge_surely(book: PriceBook, served: Served, used: Used, cover: HeldFor | None) -> Charge:
    charged = charge(book, served, used.quantities, parts=used.parts)
    if used.stated is not None and book.charges_as_stated(served.provider):
        return _as_stated(charged, used.stated)
    if charged.status is EventStatus.PRICED:
        return charged
    another = not used.parts and _is_another(book, served)
    rates = list(_dearest_of_each(book, served, used))
    known = [cover.currency] if cover is not None else [one.currency for _, found in rates for one in found]
    currency = known[0] if known else STATED_IN
    held = (0, HELD) if cover is None else (cover.amount_picos, HELD)
    is_covered = cover is not None and covers(cover.quantities, used.quantities) and not another
    amount_picos, taken_from = held if is_covered else max(held, (_dearest(rates, charged, used, currency), DEAREST))
    if another:
        asked = charge(book, served._replace(model_served=None), used.quantities)
        asked_picos = asked.cost_picos if asked.currency == currency else 0
        amount_picos, taken_from = max(amount_picos, asked_picos), ANOTHER
    lines = ((PROVISIONAL, 1, taken_from, amount_picos),) if amount_picos else ()
    return Charge(EventStatus.UNPRICED, currency, amount_picos, lines, charged.reason)


def _dearest(rates: Iterable[tuple[Quantities, list[Dearest]]], charged: Charge, used: Used, currency: str) -> int:
    """Return the dearest of what is known: rates, the lines that have a price, and what the provider states."""
    amounts = (most(quantities, found, currency) for quantities, found in rates)
    return max(
        sum(amount for amount in amounts if amount is not None),
        charged.cost_picos if charged.currency == currency else 0,
        stated_picos(used.stated) if used.stated is not None and currency == STATED_IN else 0,
    )


def _as_stated(charged: Charge, stated: Decimal) -> Charge:
    """Return the charge that the provider states, with what the price book says beside it."""
    amount_picos = stated_picos(stated)
    lines = ((REPORTED, 1, REPORTED, amount_picos),)
    by_book = charged.lines if charged.status is EventStatus.PRICED and charged.currency == STATED_IN else ()
    return Charge(EventStatus.PRICED, STATED_IN, amount_picos, lines, charged.reason, by_book)


def stated_picos(stated: Decimal) -> int:
    """Return a stated cost in picos; what is finer is rounded up."""
    return int(stated.scaleb(pico_digits(STATED_IN)).to_integral_value(ROUND_CEILING))


def _dearest_of_each(book: PriceBook, served: Served, used: Used) -> Iterator[tuple[Quantities, list[Dearest]]]:
    """Yield what each model used with the dearest rates that may be its own: the model's, then its provider's."""
    parts = used.parts or ((served.model_served or served.model, used.quantities),)
    for model, quantities in parts:
        is_one = used.parts or _is_another(book, served)
        names = (model,) if is_one else dict.fromkeys((model, served.model))
        found = [book.dearest(served.provider, name, served.at_us) for name in names]
        found.append(book.dearest(served.provider, None, served.at_us))
        yield quantities, [one for one in found if one is not None]


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
    """Return a charge, or why there is none where it is beyond all that a call can cost: its usage must be wrong."""
    if charge.cost_picos <= amount_max(charge.currency):
        return charge
    return Charge(EventStatus.UNPRICED, charge.currency, 0, (), _too_much(charge))


def _too_much(charge: Charge) -> str:
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


class DearestMeant(NamedTuple):
    """The dearest of what may be meant."""

    charge: Charge
    used: Used
    model_served: str | None
    differ: str | None = None  # where the answer names several models, which do not cost the same: what it names


def charge_dearest(book: PriceBook, served: Served, readings: Sequence[Used], cover: HeldFor | None) -> DearestMeant:
    """Return the dearest of several readings of one use, by any of the models named, all of which may be meant.

    Raises usage.Contradiction.
    """
    if len(readings) == 1 and not served.named:  # nearly always
        return DearestMeant(charge_surely(book, served, readings[0], cover), readings[0], served.model_served)
    found = [
        DearestMeant(charge_surely(book, served._replace(model_served=name), one, cover), one, name)
        for name in served.named or (served.model_served,)
        for one in readings
    ]
    costs = [one.charge.cost_picos for one in found]
    dearest = found[costs.index(max(costs))]
    of_names = {one.charge.cost_picos for one in found if one.used is dearest.used}
    differ = f"the answer names {' and '.join(served.named)}" if len(of_names) > 1 else None
    return dearest._replace(differ=differ)


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
    if _is_as_asked(served, name):
        asked = book.resolve(served.provider, served.model, served.at_us, served.context)
        return asked, f"served as {name!r}, which has no price; rated as {served.model!r}"
    reason = f"served as {name!r}, which is another model than {served.model!r}: {rates.reason}"
    return rates._replace(reason=reason), None


def _is_as_asked(served: Served, name: str) -> bool:
    """Tell whether the name in the answer is another spelling of what was asked for."""
    return served.any_name or any(is_same_model(name, one) for one in (served.model, served.sent) if one)


def _is_another(book: PriceBook, served: Served) -> bool:
    """Tell whether the answer names another model than was asked for, and one without a price."""
    name = served.model_served
    if not name or name == served.model or _is_as_asked(served, name):
        return False
    return not isinstance(book.resolve(served.provider, name, served.at_us, served.context), Rates)


def was_as_asked(event: Event) -> bool:
    """Tell whether what was served was taken to be what was asked for, as far as its own name has no price."""
    priced = event.status is EventStatus.PRICED
    taken_from = {price_id for _, _, price_id, _ in event.lines} - {FEE}
    return priced or (bool(taken_from) and ANOTHER not in taken_from)


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
