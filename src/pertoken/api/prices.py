"""Prices as a resource: what a model costs, when, and from which source."""

from typing import Any

import msgspec

from pertoken.api.fields import Instant, Time, read_time
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.periods import format_time
from pertoken.ports.store import Opened
from pertoken.services.price_show import NoPrices, show_prices


class PriceQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose prices, and of when. Default: of every provider that sells the model, now."""

    provider: str | None = None
    at: Time | None = None


class PriceAnswer(msgspec.Struct, kw_only=True):
    """One price; a factor multiplies others and has no amount of its own."""

    provider: str
    model: str
    unit: str
    price: str | None
    per: int | None
    per_million: str | None
    currency: str | None
    valid_from: Instant | None
    valid_to: Instant | None
    conditions: dict[str, Any]
    source: str
    price_id: str
    factor: str | None = None
    minimum: int | None = None
    free: str | None = None
    marginal: bool = False


class PricesAnswer(msgspec.Struct):
    """The prices in force for a model at an instant."""

    model: str
    provider: str
    at: Instant
    prices: list[PriceAnswer]


def read_prices(_opened: Opened, asked: Asked) -> PricesAnswer:
    """Return the prices in force."""
    query: PriceQuery = asked.query
    at_us = read_time(query.at, "at")
    at_us = asked.now_us if at_us is None else at_us
    try:
        rows = show_prices(asked.prices, asked.name, query.provider, at_us)
    except NoPrices as error:
        raise ApiRefused(Problem.NOT_FOUND, str(error), "model") from error
    prices = [msgspec.convert(row, PriceAnswer) for row in rows]
    return PricesAnswer(asked.name, query.provider or prices[0].provider, format_time(at_us), prices)


ROUTES = (
    Route(
        "GET", "/api/v1/prices/{model}", Action.PRICES_READ, "Show the prices in force for a model.", read_prices,
        PricesAnswer, PriceQuery, problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
