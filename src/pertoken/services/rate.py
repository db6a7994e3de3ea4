"""Prices one stated usage, for `pertoken rate`."""

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from pertoken.core import rating
from pertoken.core.charging import STATED_IN, FreeUse
from pertoken.core.conditions import Conditions, Context, context
from pertoken.core.money import format_amount, parse_amount
from pertoken.core.periods import NotATime, parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.provisional import stated_picos
from pertoken.core.rates import FEE, REPORTED, Rates
from pertoken.core.rating import Rated
from pertoken.core.usage import QUANTITY_MAX, Completeness
from pertoken.services import ingest
from pertoken.services.explain import line_fields
from pertoken.services.ingest import NotAnEvent, read_parts, read_quantities, read_stated

_LINE = re.compile(r"^line \d+: ")  # where `extract` saw it; whoever rates says where it stands now


class HasNoUsage(ValueError):
    """A line of `extract` that has no usage to price: an error of its own, or an answer that carried none."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def rate_usage(fields: Mapping[str, Any], book: PriceBook, now_us: int, free: FreeUse | None) -> dict[str, Any]:
    """Return status, cost and lines of a usage at its time (now, where it names none); nothing is `free` without it.

    Where the provider charges as it states, and the line says what, that is the cost; the price book's stands beside.
    Raises NotAnEvent where the line is not well formed, HasNoUsage where it says that there is no usage, Contradiction
    where its usage contradicts itself.
    """
    _check_extracted(fields)
    provider, model, usage = fields.get("provider"), fields.get("model"), fields.get("usage")
    stated = read_stated(usage)
    if stated is not None and isinstance(provider, str) and book.charges_as_stated(provider):
        by_book = _by_book(fields, book, now_us, free) if isinstance(model, str) else None
        rated = _as_stated(stated_picos(stated), by_book)
    else:
        rated = _by_book(fields, book, now_us, free)
    fee = read_stated(usage, ingest.FEE)
    is_charged = fee and rated["status"] == "priced" and rated["currency"] == STATED_IN
    if fee is None or not is_charged or not isinstance(provider, str) or not book.charges_as_stated(provider):
        return rated
    return _with_fee(rated, stated_picos(fee))


def _with_fee(rated: dict[str, Any], fee_picos: int) -> dict[str, Any]:
    """Return what the price book says with a seller's fee on top."""
    amount = format_amount(fee_picos, STATED_IN)
    line = {"unit": FEE, "quantity": 1, "unit_price_per_million": None, "amount": amount, "price_id": FEE}
    cost = format_amount(parse_amount(rated["cost"], STATED_IN) + fee_picos, STATED_IN)
    return {**rated, "cost": cost, "lines": [*rated["lines"], line]}


def _check_extracted(fields: Mapping[str, Any]) -> None:
    error = fields.get("error")
    if isinstance(error, dict) and not fields.get("usage"):
        said = _LINE.sub("", str(error.get("message", "no message")))
        raise HasNoUsage(str(error.get("code", "error")), said)
    if fields.get("completeness") == Completeness.MISSING and not fields.get("usage"):
        raise HasNoUsage("no_usage", "the answer has no usage: it is an error, or was cut off before its end")


def _as_stated(cost_picos: int, by_book: dict[str, Any] | None) -> dict[str, Any]:
    cost = format_amount(cost_picos, STATED_IN)
    line = {"unit": REPORTED, "quantity": 1, "unit_price_per_million": None, "amount": cost, "price_id": REPORTED}
    rated: dict[str, Any] = {"status": "priced", "currency": STATED_IN, "cost": cost, "lines": [line]}
    if by_book is None or by_book["status"] != "priced" or by_book["currency"] != STATED_IN:
        return rated
    difference = format_amount(cost_picos - parse_amount(by_book["cost"], STATED_IN), STATED_IN)
    return {**rated, "price_book": {"cost": by_book["cost"], "difference": difference, "lines": by_book["lines"]}}


def _by_book(fields: Mapping[str, Any], book: PriceBook, now_us: int, free: FreeUse | None) -> dict[str, Any]:
    provider, model = fields.get("provider"), fields.get("model")
    if not isinstance(provider, str) or not isinstance(model, str):
        raise NotAnEvent("provider and model must be texts")
    quantities = _with_fractions(fields.get("usage"))
    parts = read_parts(fields.get("by_model"), model, quantities) or ((model, quantities),)
    at_us, asked = _at_us(fields.get("at"), now_us), read_context(fields)
    lines: list[dict[str, Any]] = []
    costs: dict[str, int] = {}
    for name, used in parts:
        rates = book.resolve(provider, name, at_us, asked)
        if not isinstance(rates, Rates):
            return {"status": "unpriced", "reason": rates.reason}
        rated = rating.rate(used, rates, None if free is None else free.left(rates, at_us))
        if not isinstance(rated, Rated):
            return {"status": "unpriced", "reason": rated.reason}
        if free is not None:
            free.take(rated.lines, at_us)
        costs[rated.currency] = costs.get(rated.currency, 0) + rated.cost_picos
        of_model = {"model": name} if len(parts) > 1 else {}
        lines += [
            line_fields(one.unit, _number(one.quantity), one.amount_picos, one.price, one.price_id) | of_model
            for one in rated.lines
        ]
    if len(costs) > 1:
        return {"status": "unpriced", "reason": f"the models are priced in {' and '.join(sorted(costs))}"}
    currency, cost_picos = costs.popitem()
    return {"status": "priced", "currency": currency, "cost": format_amount(cost_picos, currency), "lines": lines}


def _with_fractions(usage: object) -> dict[str, int]:
    """Return a usage's units. Seconds may have a fraction here, which is rated exactly: nothing of it is kept.

    The cost is rounded once, at the end. Raises NotAnEvent.
    """
    if not isinstance(usage, dict) or not isinstance(usage.get("seconds"), float):
        return read_quantities(usage)
    seconds = Fraction(repr(usage["seconds"])) if isfinite(usage["seconds"]) else Fraction(-1)
    if not 0 <= seconds <= QUANTITY_MAX:
        raise NotAnEvent(f"seconds is not a count: {usage['seconds']!r}")
    quantities = read_quantities({**usage, "seconds": 0})
    quantities["seconds"] = seconds  # type: ignore[assignment]  # rating multiplies it as any number
    return quantities


def _number(quantity: int) -> Any:
    """Return a quantity as a JSON number with all its digits."""
    if isinstance(quantity, int):
        return quantity
    fraction = Fraction(quantity)
    return msgspec.Raw(format(Decimal(fraction.numerator) / Decimal(fraction.denominator), "f").encode())


def read_context(fields: Mapping[str, Any]) -> Context:
    """Return the context that a line states. Raises NotAnEvent where it is not well formed."""
    attributes = fields.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise NotAnEvent("attributes must be an object of texts")
    named = (fields.get("service_tier"), fields.get("batch"), fields.get("speed"), fields.get("region"))
    try:
        return _context(*named, tuple(sorted(attributes.items())) if attributes else ())
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
