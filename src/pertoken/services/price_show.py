"""Shows the price rows in force for a model, for commands and for the control plane."""

from typing import Any

from pertoken.core.conditions import STANDARD, TIME, Context, time_window, to_context
from pertoken.core.money import divide_half_even, format_amount
from pertoken.core.periods import FOREVER_US, format_time
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import PriceRow
from pertoken.core.rates import Rates
from pertoken.core.texts import meant


class NoPrices(Exception):
    """No price is in force for a model."""


def show_prices(
    book: PriceBook, model: str, provider: str | None, at_us: int, context: Context = STANDARD
) -> list[dict[str, Any]]:
    """Return the prices in force, of one provider or of every one that sells the model, each once. Raises NoPrices.

    A provider that sells at another's list shares its rows: they are shown under the name of the list.
    """
    shown: dict[str, PriceRow] = {}
    reasons: list[str] = []
    for name in [provider] if provider else book.providers:
        rates = book.resolve(name, model, at_us, context)
        if isinstance(rates, Rates):
            shown |= {row.price_id: row for tier in rates.tiers for row in tier.all_rows()}
        elif any(row.sells for _, row in book.candidates(name, model)):
            reasons.append(rates.reason)
    if provider is not None and provider not in book.providers:
        reasons = [f"no price of the provider {provider!r} is known{meant(provider, book.providers)}"]
    if not shown:
        names = [] if reasons else [name for seller in book.providers for name in book.models_of(seller, at_us)]
        why = "; ".join(reasons[:3]) or f"no price in force for {model!r}{meant(model, names)}"
        see = " else see" if why.endswith("?") else "; see"
        raise NoPrices(f"{why}{see}: pertoken price history {model}, or pertoken price add")
    return [price_fields(row) for row in shown.values()]


def ids_in_force(book: PriceBook, provider: str, model: str, at_us: int) -> frozenset[str]:
    """Return the ids of the rows that a call may be charged by: those that no other row overrules.

    Each row is asked for in the conditions that it is for; one for hours of a day also when those hours begin.
    """
    asked: set[tuple[int, Context]] = {(at_us, STANDARD)}
    for _, row in book.candidates(provider, model):
        if row.valid_from_us <= at_us < row.valid_to_us:
            conditions = dict(row.conditions)
            hours = conditions.pop(TIME, None)
            times = [at_us] if hours is None else [at_us, *time_window(hours).edges(at_us)]
            context = to_context(tuple(sorted(conditions.items())))
            asked.update((at, context) for at in times if row.valid_from_us <= at < row.valid_to_us)
    found = (book.resolve(provider, model, *one) for one in asked)
    rates = [one for one in found if isinstance(one, Rates)]
    return frozenset(row.price_id for one in rates for tier in one.tiers for row in tier.all_rows())


def price_fields(row: PriceRow) -> dict[str, Any]:
    """Return one price as it is shown."""
    conditions: dict[str, Any] = dict(row.conditions)
    if row.input_above is not None:
        conditions["input_above"] = row.input_above
    if row.is_factor:
        amount: dict[str, Any] = {"price": None, "per": None, "per_million": None}
        amount |= {"factor": f"{row.amount_picos / row.per:g}", "currency": None}
    else:
        per_million = format_amount(divide_half_even(row.amount_picos * 10**6, row.per), row.currency)
        price = format_amount(row.amount_picos, row.currency)
        amount = {"price": price, "per": row.per, "per_million": per_million, "currency": row.currency}
    if row.minimum:
        amount["minimum"] = row.minimum
    if row.quota is not None:
        amount["free"] = f"{row.quota.quantity} a {row.quota.window} ({row.quota.group})"
    if row.marginal:
        amount["marginal"] = True
    return {
        "provider": row.provider,
        "model": row.model,
        "unit": row.unit,
        **amount,
        "valid_from": None if row.valid_from_us == 0 else format_time(row.valid_from_us),
        "valid_to": None if row.valid_to_us >= FOREVER_US else format_time(row.valid_to_us),
        "conditions": conditions,
        "source": row.evidence,
        "price_id": row.price_id,
    }
