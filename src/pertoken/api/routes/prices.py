"""Prices as a resource: what a model costs, when, and from which source."""

from typing import Annotated, Any

import msgspec

from pertoken.api.fields import DecimalText, Instant, Text, Time, read_time
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.periods import format_time
from pertoken.ports.store import Opened
from pertoken.services.catalog import CannotWithdraw, take_back
from pertoken.services.price_show import NoPrices, price_fields, show_prices
from pertoken.services.price_stating import UNITS, BadPrice, StatedPrice, stated_rows


class PriceQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The provider and the time. Default: every provider that sells the model, now."""

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


class PriceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Your own price, each unit per million tokens. Without `valid_from` it is in force at once."""

    provider: Text
    model: Text
    input: DecimalText
    output: DecimalText | None = None
    cache_read: DecimalText | None = None
    cache_write: DecimalText | None = None
    valid_from: Time | None = None
    valid_to: Time | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\n)")] = "USD"


class StatedAnswer(msgspec.Struct):
    """The prices of the request; `added` says how many of them are new."""

    added: int
    prices: list[PriceAnswer]


class WithdrawnAnswer(msgspec.Struct):
    """A withdrawn price, and the earlier prices that stay in force instead."""

    withdrawn: str
    prolonged: list[PriceAnswer]


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


def state_price(opened: Opened, asked: Asked) -> StatedAnswer:
    """Add the operator's own price."""
    body: PriceBody = asked.body
    start_us, end_us = read_time(body.valid_from, "valid_from"), read_time(body.valid_to, "valid_to")
    per_million = {"input": body.input, "output": body.output, "cache_read": body.cache_read}
    per_million["cache_write"] = body.cache_write
    stated = StatedPrice(body.provider, body.model, per_million, start_us, end_us, body.currency)
    try:
        rows = stated_rows(stated, asked.now_us)
    except BadPrice as error:
        message = f"not a price: {error}" if error.field in UNITS else str(error)
        raise ApiRefused(Problem.INVALID_FIELD, message, error.field) from error
    added = opened.administration.change_prices(rows, (), asked.now_us)
    return StatedAnswer(added, [msgspec.convert(price_fields(row), PriceAnswer) for row in rows])


def withdraw_price(opened: Opened, asked: Asked) -> WithdrawnAnswer:
    """Withdraw an announced price."""
    try:
        change = take_back(opened.administration, [asked.name], asked.now_us)
    except CannotWithdraw as error:
        raise ApiRefused(Problem.NOT_FOUND, str(error), "price_id") from error
    return WithdrawnAnswer(asked.name, [msgspec.convert(price_fields(row), PriceAnswer) for row in change.added])


ROUTES = (
    Route(
        "GET", "/api/v1/prices/{model}", Action.PRICES_READ, "Show the prices in force for a model.", read_prices,
        PricesAnswer, PriceQuery, problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "POST", "/api/v1/prices", Action.PRICES_WRITE, "Add your own price; it takes precedence over imported prices.",
        state_price, StatedAnswer, body=PriceBody, status=201,
    ),
    Route(
        "DELETE", "/api/v1/announced-prices/{price_id}", Action.PRICES_WRITE,
        "Withdraw a price that is not in force yet; the earlier price stays in force.", withdraw_price, WithdrawnAnswer,
        problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
