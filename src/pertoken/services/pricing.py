"""What one use costs: the prices of the model as served, in the context as served, applied to what was used."""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core import rating
from pertoken.core.conditions import Conditions, Context, context
from pertoken.core.ledger import EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import NoPrice, Rates
from pertoken.core.rating import Rated
from pertoken.core.usage import Quantities


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


def charge(book: PriceBook, served: Served, quantities: Quantities, left: Mapping[str, int] | None = None) -> Charge:
    """Return what `quantities` cost at the prices in force; `left` as in `rating.rate`.

    Raises usage.Contradiction when a part exceeds its total.
    """
    rates, note = find_rates(book, served)
    rated = rating.rate(quantities, rates, left) if isinstance(rates, Rates) else rates
    if not isinstance(rated, Rated):
        return Charge(EventStatus.UNPRICED, "USD", 0, (), rated.reason)
    lines = tuple((line.unit, line.quantity, line.price_id, line.amount_picos) for line in rated.lines)
    return Charge(EventStatus.PRICED, rated.currency, rated.cost_picos, lines, note)


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
