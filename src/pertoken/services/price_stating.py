"""Prices of one's own, as a person states them: rows for the price book."""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core.currencies import NotACurrency, check_currency
from pertoken.core.money import NotAnAmount, parse_price
from pertoken.core.periods import FOREVER_US
from pertoken.core.prices import Match, PriceRow, Source, price_id
from pertoken.core.texts import why_no_name

UNITS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
}


class BadPrice(ValueError):
    """A price cannot be as stated; `field` names what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class StatedPrice(NamedTuple):
    """What a model costs at a provider, by the names of UNITS, per million tokens."""

    provider: str
    model: str
    per_million: Mapping[str, str | None]
    start_us: int | None = None  # None: now
    end_us: int | None = None  # None: open
    currency: str = "USD"


def stated_rows(stated: StatedPrice, now_us: int) -> list[PriceRow]:
    """Return the rows of stated prices. Raises BadPrice."""
    for field, text in (("provider", stated.provider), ("model", stated.model)):
        why = why_no_name(text, f"the {field}")
        if why is not None:
            raise BadPrice(field, why)
    start_us = now_us if stated.start_us is None else stated.start_us
    end_us = FOREVER_US if stated.end_us is None else stated.end_us
    if start_us >= end_us:
        raise BadPrice("valid_to", "the price must end after it begins")
    try:
        check_currency(stated.currency)
    except NotACurrency as error:
        raise BadPrice("currency", str(error)) from error
    rows = []
    for field, amount in stated.per_million.items():
        if amount is None:
            continue
        try:
            picos = parse_price(amount, stated.currency)
        except NotAnAmount as error:
            raise BadPrice(field, str(error)) from error
        row = PriceRow(
            "",
            stated.provider,
            stated.model,
            Match.SNAPSHOT,
            UNITS[field],
            picos,
            10**6,
            stated.currency,
            start_us,
            end_us,
            now_us,
            Source.OPERATOR,
            "added by hand",
        )
        rows.append(row._replace(price_id=price_id(row)))
    return rows
