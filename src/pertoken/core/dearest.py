"""The dearest known rates: the most that usage may have cost if it has no price.

Of each unit the dearest row in force counts, whatever its conditions and context tier, with every factor that makes it
dearer. A unit without a row of its own may cost what any unit around it costs.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod
from typing import NamedTuple

from pertoken.core.prices import PriceRow
from pertoken.core.rates import applies
from pertoken.core.rating import REQUESTS
from pertoken.core.units import CONTAINERS, DIMENSIONS, MODALITIES, TOKEN_UNITS, UNITS
from pertoken.core.usage import Quantities, leaves

PREFERRED_CURRENCY = "USD"  # of rows in several currencies: most budgets are in it
_OF_A_MODEL = TOKEN_UNITS | {REQUESTS}  # what a row for every model of a provider does not price
_ALIKE = {
    unit: [other for other in CONTAINERS[unit] if not (DIMENSIONS[unit] - DIMENSIONS[other]) & MODALITIES]
    for unit in UNITS
}


class Most(NamedTuple):
    """A unit's dearest price in picos, and the least quantity that any of its rows charges."""

    picos: Fraction
    minimum: int


@dataclass(frozen=True, slots=True)
class Dearest:
    """The dearest known price of each unit, in one currency, until other rows are in force."""

    currency: str
    prices: Mapping[str, Most]
    valid_from_us: int
    valid_to_us: int

    def of(self, unit: str) -> Most | None:
        """Return what one of `unit` costs at most: by its own rows, else by those around it of the same modality."""
        return self.prices.get(unit) or max(
            (self.prices[one] for one in _ALIKE[unit] if one in self.prices), default=None
        )

    def around(self, unit: str) -> Most | None:
        """Return what one of any unit around `unit` costs at most."""
        return max((self.prices[one] for one in CONTAINERS[unit] if one in self.prices), default=None)


def dearest_of(rows: Iterable[PriceRow], valid_from_us: int, valid_to_us: int) -> Dearest:
    """Return the dearest prices among `rows`, which are in force together."""
    by_currency: dict[str, dict[str, Most]] = defaultdict(dict)
    kept = list(rows)
    factors = [row for row in kept if row.is_factor]
    for row in kept:
        if not row.is_factor:
            prices = by_currency[row.currency]
            known = prices.get(row.unit, Most(Fraction(0), 0))
            picos = Fraction(row.amount_picos, row.per) * _dearer(row.unit, factors)
            prices[row.unit] = Most(max(known.picos, picos), max(known.minimum, row.minimum))
    currency = PREFERRED_CURRENCY if PREFERRED_CURRENCY in by_currency else min(by_currency, default=PREFERRED_CURRENCY)
    return Dearest(currency, by_currency[currency], valid_from_us, valid_to_us)


def most(quantities: Quantities, known: Iterable[Dearest], currency: str) -> int | None:
    """Return what `quantities` cost at most, in picos, rounded up; None where no rate is known for any of them.

    `known` is tried in order for each unit: the model's rates first, then its provider's.
    Raises usage.Contradiction when a part exceeds its total.
    """
    rates = [one for one in known if one.currency == currency]
    used = leaves(quantities)
    own = next((one for one in rates if not one.prices.keys().isdisjoint(_OF_A_MODEL)), None)
    if REQUESTS not in used and own is not None and REQUESTS in own.prices:
        used[REQUESTS] = 1
    amounts = [_amount(unit, quantity, rates) for unit, quantity in used.items()]
    found = [amount for amount in amounts if amount is not None]
    return sum(found) if found else None


def _amount(unit: str, quantity: int, rates: Sequence[Dearest]) -> int | None:
    """Return the most for one unit: by the first rates that know its modality, and by what it lies in."""
    alike = [price for one in rates if (price := one.of(unit)) is not None]
    around = [price for one in rates if (price := one.around(unit)) is not None]
    is_own = bool(rates) and rates[0].of(unit) is not None
    possible = alike[:1] if is_own else [*alike[:1], *around]
    return max((ceil(max(quantity, one.minimum) * one.picos) for one in possible), default=None)


def _dearer(unit: str, factors: Iterable[PriceRow]) -> Fraction:
    """Return what makes `unit` dearest: of factors under the same kind of condition only one can hold."""
    by_kind: dict[tuple[str, ...], Fraction] = {}
    for factor in factors:
        if applies(factor, unit):
            kind = tuple(name for name, _ in factor.conditions)
            by_kind[kind] = max(by_kind.get(kind, Fraction(1)), Fraction(factor.amount_picos, factor.per))
    return prod(by_kind.values(), start=Fraction(1))
