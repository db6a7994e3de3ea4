"""Prices that no price of a call is above, where it is not known who sells it, or only what its client accepts."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import NamedTuple

from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.rates import Rates, Tier
from pertoken.core.rating import REQUESTS
from pertoken.core.units import TOKEN_UNITS

MILLION = 1_000_000
WRITTEN, WRITTEN_LONG = Decimal("1.25"), Decimal(2)  # what a token costs that is written to a cache, for an hour


class PriceCap(NamedTuple):
    """The highest prices that the client accepts, in dollars."""

    input_million: Decimal
    output_million: Decimal
    request: Decimal


def dearest_of_all(rates: Sequence[Rates]) -> Rates:
    """Return prices at which each token costs the most of `rates`, and all else costs what it does in the first."""
    first = rates[0]
    alike = [one for one in rates if one.currency == first.currency]
    above = sorted({tier.above for one in alike for tier in one.tiers}, reverse=True)
    tiers = tuple(_dearest_tier(at, [one.at(at + 1) for one in alike]) for at in above)
    return Rates(first.provider, first.model, first.currency, 0, FOREVER_US, tiers)


def _dearest_tier(above: int, tiers: Sequence[Tier]) -> Tier:
    rows = {unit: row for unit, row in tiers[0].rows.items() if unit not in TOKEN_UNITS}
    for unit in TOKEN_UNITS:
        prices = [price for price in (tier.price(unit) for tier in tiers) if price is not None]
        if prices:
            most = max(prices, key=lambda price: Fraction(price.amount_picos, price.per))
            rows[unit] = most.row._replace(unit=unit, amount_picos=most.amount_picos, per=most.per)
    return Tier(above, rows, {}, ())


def capped(rates: Sequence[Rates], cap: PriceCap, *, long_cache: bool) -> Rates:
    """Return prices as high as the client accepts; a token that is written to a cache costs more than its price."""
    first = rates[0]
    written = WRITTEN_LONG if long_cache else WRITTEN
    rows = {unit: row for unit, row in first.tiers[-1].rows.items() if unit not in TOKEN_UNITS}
    rows["input_tokens"] = _row(first, "input_tokens", cap.input_million * written, MILLION)
    rows["output_tokens"] = _row(first, "output_tokens", cap.output_million, MILLION)
    if cap.request:
        rows[REQUESTS] = _row(first, REQUESTS, cap.request, 1)
    return Rates(first.provider, first.model, "USD", 0, FOREVER_US, (Tier(0, rows, {}, ()),))


def _row(first: Rates, unit: str, dollars: Decimal, per: int) -> PriceRow:
    amount = parse_amount(f"{dollars.quantize(Decimal(1).scaleb(-12), ROUND_CEILING):f}")
    return PriceRow(
        "", first.provider, first.model, Match.EQUALS, unit, amount, per, "USD", 0, FOREVER_US, 0, Source.OPERATOR,
        "the highest price that the client accepts",
    )  # fmt: skip
