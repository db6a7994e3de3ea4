"""Rating: usage x prices = exact, explainable lines; and the quote that a hold is made of."""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from pertoken.core.money import divide_up
from pertoken.core.rates import FREE, Price, Rates, Tier
from pertoken.core.units import DIMENSIONS, INPUT_UNITS, MODALITIES
from pertoken.core.usage import Quantities, leaves

REQUESTS = "requests"  # a price for each call is charged without being reported: a call is one request


class Line(NamedTuple):
    """One rated line: `quantity` of `unit` at `price`, exactly `amount_picos`. `free`: within a quota, not charged."""

    unit: str
    quantity: int
    price: Price
    amount_picos: int
    free: bool = False

    @property
    def price_id(self) -> str:
        """The ids of the rows that made the line, for the record."""
        return self.price.price_id + FREE if self.free else self.price.price_id


class Rated(NamedTuple):
    """What a usage costs, line by line."""

    currency: str
    cost_picos: int
    lines: tuple[Line, ...]


class Unpriced(NamedTuple):
    """Why a usage has no cost: its event is kept and shown, never counted as zero.

    The lines of the parts with a price are included anyway: less than the cost, but not nothing.
    """

    reason: str
    cost_picos: int = 0  # of `lines`
    lines: tuple[Line, ...] = ()


def rate(quantities: Quantities, rates: Rates, left: Mapping[str, int] | None = None) -> Rated | Unpriced:
    """Return the lines of inclusive `quantities` at `rates`.

    Every leaf is charged at its own row or, where it has none, at the row of the nearest unit around it that says it
    covers it. `left` is what remains of free quotas by group; without it nothing is free.
    Raises usage.Contradiction when a part exceeds its total.
    """
    tier = rates.at(quantities.get("input_tokens", 0))
    found = leaves(quantities)
    if REQUESTS in tier.rows and REQUESTS not in quantities:
        found[REQUESTS] = 1
    total_picos = 0
    lines = []
    unpriced = None
    for unit, quantity in found.items():
        price = tier.price(unit)
        if price is None:
            unpriced = unpriced or f"no price known for {unit} of {rates.model!r} at {rates.provider}"
            continue
        row = price.row
        quantity = max(quantity, row.minimum)  # noqa: PLW2901 - what is charged
        if row.quota is not None and left is not None:
            free = min(quantity, left.get(row.quota.group, 0))
            if free:
                lines.append(Line(unit, free, price, 0, free=True))
                quantity -= free  # noqa: PLW2901 - what is charged
                if not quantity:
                    continue
        amount_picos = price.amount(quantity)
        total_picos += amount_picos
        lines.append(Line(unit, quantity, price, amount_picos))
    if unpriced is not None:
        return Unpriced(unpriced, total_picos, tuple(lines))
    return Rated(rates.currency, total_picos, tuple(lines))


def quote(quantities_max: Quantities, rates: Rates, impossible: frozenset[str] = frozenset()) -> int | Unpriced:
    """Return the most, in picos, that a call within `quantities_max` can cost at `rates`.

    Maxima are disjoint by modality: `input_tokens` here is text alone. Each is charged at the dearest price that any of
    its tokens could get: an input token may turn out to be a cache write, and the input may reach a context tier.
    Units in `impossible` cannot occur in this call, and their rows are left out. Free quotas are not counted on.
    """
    input_max = sum(quantity for unit, quantity in quantities_max.items() if unit in INPUT_UNITS)
    total_picos = 0
    for unit, quantity in quantities_max.items():
        if not quantity:
            continue
        dearest = -1
        for above, candidates in _candidates(rates, unit, impossible):
            if not above or input_max > above:
                for price in candidates:
                    dearest = max(dearest, _amount_up(price, quantity))
        if dearest < 0:
            return Unpriced(f"no price known for {unit} of {rates.model!r} at {rates.provider}")
        total_picos += dearest
    if REQUESTS not in quantities_max and any(REQUESTS in tier.rows for tier in rates.tiers):
        each = (tier.price(REQUESTS) for tier in rates.tiers)
        total_picos += max(_amount_up(one, 1) for one in each if one is not None)
    return total_picos


def _amount_up(price: Price, quantity: int) -> int:
    quantity = price.charged(quantity)
    return price.amount(quantity) + 1 if price.steps else divide_up(quantity * price.amount_picos, price.per)


@lru_cache(maxsize=4096)
def _candidates(rates: Rates, unit: str, impossible: frozenset[str]) -> tuple[tuple[int, tuple[Price, ...]], ...]:
    """Return (input above, prices that could be the dearest) of each tier. Remembering saves 8 us a quote."""
    found = []
    for tier in rates.tiers:
        prices = _prices_for_any_of(unit, tier, impossible)
        plain = [price for price in prices if not price.steps and not price.row.minimum]
        if len(plain) > 1:
            dearest = max(plain, key=lambda price: Fraction(price.amount_picos, price.per))
            prices = [dearest, *(price for price in prices if price not in plain)]
        if prices:
            found.append((tier.above, tuple(prices)))
    return tuple(found)


def _prices_for_any_of(unit: str, tier: Tier, impossible: frozenset[str]) -> list[Price]:
    """Return the prices that some token of `unit` could be charged at, its modality being the same."""
    wanted = DIMENSIONS[unit]
    inside = (
        other
        for other in tier.rows
        if DIMENSIONS[other] >= wanted and not (DIMENSIONS[other] - wanted) & MODALITIES and other not in impossible
    )
    found = [price for other in {unit: None, **dict.fromkeys(inside)} if (price := tier.price(other)) is not None]
    own = tier.price(unit)
    if own is not None and MODALITIES & (wanted - DIMENSIONS[own.row.unit]):
        # Who bills them as text may count them as any text: what is written to the cache, say.
        found += _prices_for_any_of(own.row.unit, tier, impossible)
    return found
