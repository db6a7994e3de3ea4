"""What is charged in any case: what the provider states, what the prices say, or else a provisional charge.

Usage without a price is never free: it is charged provisionally, at the held amount or at the dearest known rates,
until `rerate` knows better. What a provider itself states is charged where the registry says that it charges so.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from pertoken.core.bounds import covers
from pertoken.core.charging import STATED_IN, Charge, Served, charge, is_as_asked, too_much
from pertoken.core.dearest import Dearest, most
from pertoken.core.events import EventStatus
from pertoken.core.money import amount_max, pico_digits
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import ANOTHER, DEAREST, FEE, HELD, REPORTED, Rates
from pertoken.core.usage import Quantities, Used

PROVISIONAL = "provisional"  # the unit of the one line of a charge whose price is not known; of a stated one: REPORTED


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
    return Charge(EventStatus.UNPRICED, cover.currency, cover.amount_picos, lines, too_much(charged))


def _with_fee(charged: Charge, fee: Decimal) -> Charge:
    """Return a charge with the fee that a seller states on top of it, in a line of its own."""
    if charged.currency != STATED_IN:
        why = f"a fee of {fee} {STATED_IN} is not in {charged.currency}"
        return charged._replace(status=EventStatus.UNPRICED, reason=why)
    line = (FEE, 1, FEE, stated_picos(fee))
    return charged._replace(
        cost_picos=charged.cost_picos + line[3], lines=(*charged.lines, line) if line[3] else charged.lines
    )


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


def _dearest_of_each(book: PriceBook, served: Served, used: Used) -> Iterator[tuple[Quantities, list[Dearest]]]:
    """Yield what each model used with the dearest rates that may be its own: the model's, then its provider's."""
    parts = used.parts or ((served.model_served or served.model, used.quantities),)
    for model, quantities in parts:
        is_one = used.parts or _is_another(book, served)
        names = (model,) if is_one else dict.fromkeys((model, served.model))
        found = [book.dearest(served.provider, name, served.at_us) for name in names]
        found.append(book.dearest(served.provider, None, served.at_us))
        yield quantities, [one for one in found if one is not None]


def _is_another(book: PriceBook, served: Served) -> bool:
    """Tell whether the answer names another model than was asked for, and one without a price."""
    name = served.model_served
    if not name or name == served.model or is_as_asked(served, name):
        return False
    return not isinstance(book.resolve(served.provider, name, served.at_us, served.context), Rates)


def _as_stated(charged: Charge, stated: Decimal) -> Charge:
    """Return the charge that the provider states, with what the price book says beside it."""
    amount_picos = stated_picos(stated)
    lines = ((REPORTED, 1, REPORTED, amount_picos),)
    by_book = charged.lines if charged.status is EventStatus.PRICED and charged.currency == STATED_IN else ()
    return Charge(EventStatus.PRICED, STATED_IN, amount_picos, lines, charged.reason, by_book)


def stated_picos(stated: Decimal) -> int:
    """Return a stated cost in picos; what is finer is rounded up."""
    return int(stated.scaleb(pico_digits(STATED_IN)).to_integral_value(ROUND_CEILING))
