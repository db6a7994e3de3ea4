"""Pricing one stated usage, as `pertoken rate` answers it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pertoken.core import rating
from pertoken.core.conditions import Conditions, Context, context
from pertoken.core.money import format_amount
from pertoken.core.periods import NotATime, parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated
from pertoken.services.explain import line_fields
from pertoken.services.ingest import NotAnEvent, read_quantities
from pertoken.services.pricing import FreeUse


def rate_usage(fields: Mapping[str, Any], book: PriceBook, now_us: int, free: FreeUse) -> dict[str, Any]:
    """Return status, cost and lines of a usage at its time (now, where it names none).

    Raises NotAnEvent where the line is not well formed, Contradiction where its usage contradicts itself.
    """
    provider, model = fields.get("provider"), fields.get("model")
    if not isinstance(provider, str) or not isinstance(model, str):
        raise NotAnEvent("provider and model must be texts")
    quantities = read_quantities(fields.get("usage"))
    at_us = _at_us(fields.get("at"), now_us)
    rates = book.resolve(provider, model, at_us, read_context(fields))
    if not isinstance(rates, Rates):
        return {"status": "unpriced", "reason": rates.reason}
    rated = rating.rate(quantities, rates, free.left(rates, at_us))
    if not isinstance(rated, Rated):
        return {"status": "unpriced", "reason": rated.reason}
    free.take(rated.lines, at_us)
    lines = [
        line_fields(line.unit, line.quantity, line.amount_picos, line.price, line.price_id) for line in rated.lines
    ]
    cost = format_amount(rated.cost_picos, rated.currency)
    return {"status": "priced", "currency": rated.currency, "cost": cost, "lines": lines}


def read_context(fields: Mapping[str, Any]) -> Context:
    """Return the context that a line states. Raises NotAnEvent where it is not well formed."""
    attributes = fields.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise NotAnEvent("attributes must be an object of texts")
    named = (fields.get("service_tier"), fields.get("batch"), fields.get("speed"), fields.get("region"))
    try:
        return _context(*named, tuple(sorted(attributes.items())))
    except TypeError as error:
        raise NotAnEvent("service_tier, speed and region must be texts") from error


@lru_cache(maxsize=4096, typed=True)
def _context(tier: object, batch: object, speed: object, region: object, attributes: Conditions) -> Context:
    if not isinstance(batch, bool | None):
        raise NotAnEvent("batch must be true or false")
    for name, text in (("service_tier", tier), ("speed", speed), ("region", region)):
        if not isinstance(text, str | None):
            raise NotAnEvent(f"{name} must be a text")
    return context(
        str(tier or ""), batch=batch is True, speed=str(speed or ""), region=str(region or ""), attributes=attributes
    )


def _at_us(at: object, now_us: int) -> int:
    if at is None:
        return now_us
    if not isinstance(at, str):
        raise NotAnEvent("at must be a time, such as 2026-11-23T10:00:00Z")
    try:
        return _read_time(at)
    except NotATime as error:
        raise NotAnEvent(str(error)) from error


_read_time = lru_cache(maxsize=1024)(parse_time)
