"""Prices: every model with a price and its usage, and models that were used without a price."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.core.money import divide_half_even, format_amount
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.services.reports import usage
from pertoken.web import grid, shown
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Page, PageContext, Visit, place

UNPRICED_MAX = 20


def show(visit: Visit) -> PageContext:
    """Return the models with a price, used ones first, and the prices of the models on this page."""
    book = visit.site.prices()
    range_ = visit.range
    used = usage(visit.opened.archive, range_.since_us, range_.until_us, ("provider", "model"), range_.zone)["rows"]
    by_name: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in used:
        by_name.setdefault((row["provider"], row["model"]), row)
    names = {(provider, model) for provider in book.providers for model in book.models_of(provider, visit.now_us)}
    rows = [
        _row(provider, model, by_name.get((provider, model), {})) for provider, model in sorted(names | by_name.keys())
    ]
    found = grid.listed(
        visit,
        _columns(visit),
        [row for row in rows if row["model"]],
        sort="-calls",
        empty="No model matches.",
        command="pertoken price show MODEL",
        api="/api/v1/prices/MODEL",
    )
    unpriced = [row for row in used if row["unpriced_calls"] and row["model"]]
    return {
        "grid": found._replace(rows=[{**row, **_now(book, row, visit.now_us)} for row in found.rows]),
        "unpriced": [_unpriced(visit, row) for row in unpriced[:UNPRICED_MAX]],
        "unpriced_found": len(unpriced),
    }


def address(visit: Visit, provider: str, model: str) -> str:
    """Return the address of the page of a model's prices."""
    return visit.link(place("/prices", f"{provider}/{model}"))


def _row(provider: str, model: str, used: Mapping[str, Any]) -> dict[str, Any]:
    is_unpriced = bool(used) and 0 < used["calls"] == used["uncounted_calls"]
    return {
        "provider": provider,
        "model": model,
        "calls": used.get("calls", 0),
        "cost": None if not used or is_unpriced else Decimal(used["cost"]),
        "no_price": is_unpriced,
        "currency": used.get("currency", "USD"),
    }


def _now(book: PriceBook, row: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    rates = book.resolve(row["provider"], row["model"], now_us)
    if not isinstance(rates, Rates):
        return {"input": None, "output": None, "in": ""}
    return {
        "input": per_million(rates, "input_tokens"),
        "output": per_million(rates, "output_tokens"),
        "in": rates.currency,
    }


def per_million(rates: Rates, unit: str) -> Decimal | None:
    """Return the price of a million of a unit in the lowest tier; None if it has no price of its own."""
    price = rates.tiers[-1].price(unit)
    if price is None:
        return None
    return Decimal(format_amount(divide_half_even(price.amount_picos * 10**6, price.per), rates.currency))


def _unpriced(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "provider": shown.name(row["provider"], "no provider"),
        "model": shown.name(row["model"]),
        "calls": shown.count(row["unpriced_calls"]),
        "charged": shown.uncharged(row["unpriced_calls"], row["uncounted_calls"]),
        "address": address(visit, row["provider"], row["model"]),
        "to_calls": visit.link("/calls", provider=row["provider"], model=row["model"], status="unpriced"),
    }


def _columns(visit: Visit) -> list[Column]:
    return [
        Column("model", "model", Cells.NAME, lambda row: address(visit, row["provider"], row["model"]), narrow=True),
        Column("provider", "provider", Cells.NAME, beneath=True),
        Column("input", "input, per million", Cells.AMOUNT, narrow=True, sorts=False),
        Column("output", "output, per million", Cells.AMOUNT, narrow=True, sorts=False),
        Column(
            "calls",
            "calls",
            Cells.COUNT,
            lambda row: visit.link("/calls", model=row["model"], provider=row["provider"]),
        ),
        Column(
            "cost",
            "cost",
            Cells.AMOUNT,
            lambda row: address(visit, row["provider"], row["model"]) if row["no_price"] else None,
        ),
    ]


PAGE = Page("/prices", "Prices", Action.PRICES_READ, show, "pages/prices.html", "Control")
