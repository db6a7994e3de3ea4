"""Prices that no price of a call is above."""

from decimal import Decimal

from pertoken.core.ceilings import PriceCap, capped, dearest_of_all
from pertoken.core.periods import FOREVER_US
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.rates import Rates, Tier
from pertoken.core.rating import quote

TOKENS = {"input_tokens": 200, "output_tokens": 10}


def row(unit: str, picos: int) -> PriceRow:
    """Return the price of one of `unit`."""
    return PriceRow("", "p", "m", Match.EQUALS, unit, picos, 1, "USD", 0, FOREVER_US, 0, Source.OPERATOR, "")


def rates(*tiers: tuple[int, dict[str, int]], currency: str = "USD") -> Rates:
    """Return prices by tier, the highest first: picos of one unit each."""
    made = (Tier(above, {unit: row(unit, picos) for unit, picos in rows.items()}, {}, ()) for above, rows in tiers)
    return Rates("p", "m", currency, 0, FOREVER_US, tuple(made))


def test_each_token_costs_the_most_of_all() -> None:
    """One seller may be dear for input and another for output, or beyond a context tier: all of it is held for."""
    one = rates((0, {"input_tokens": 5, "output_tokens": 1, "web_searches": 7}))
    other = rates((100, {"input_tokens": 9, "output_tokens": 2}), (0, {"input_tokens": 1, "output_tokens": 8}))
    foreign = rates((0, {"input_tokens": 1_000, "output_tokens": 1_000}), currency="EUR")
    both = dearest_of_all([one, other, foreign])

    assert quote(TOKENS, both) == 200 * 9 + 10 * 8
    assert quote({"input_tokens": 50, "output_tokens": 10}, both) == 50 * 5 + 10 * 8
    assert quote({"web_searches": 2}, both) == 14
    assert both.currency == "USD"


def test_a_cap_is_what_the_client_accepts() -> None:
    """Tokens cost the cap, those that are written to a cache more; what it does not name keeps its price."""
    listed = rates((0, {"input_tokens": 1, "output_tokens": 1, "web_searches": 7}))
    cap = PriceCap(Decimal(4), Decimal(8), Decimal("0.000001"))

    def amount_of(price: PriceRow) -> int:
        return price.amount_picos // price.per

    short, long = (capped([listed], cap, long_cache=long).tiers[0].rows for long in (False, True))
    assert (amount_of(short["input_tokens"]), amount_of(long["input_tokens"])) == (5_000_000, 8_000_000)
    assert amount_of(short["output_tokens"]) == amount_of(long["output_tokens"]) == 8_000_000
    assert (amount_of(short["web_searches"]), amount_of(short["requests"])) == (7, 1_000_000)
    assert "requests" not in capped([listed], cap._replace(request=Decimal(0)), long_cache=False).tiers[0].rows
