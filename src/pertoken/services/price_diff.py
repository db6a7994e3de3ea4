"""The differences between two price books or dates, row by row, and in money on the events of a month."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from pertoken.core.charging import Served, charge, was_as_asked
from pertoken.core.conditions import STANDARD, TIME, Context, to_context
from pertoken.core.events import Event, EventStatus, is_correction
from pertoken.core.money import divide_half_even, format_amount
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Match, PriceRow
from pertoken.core.rates import Price, Rates


class Side(NamedTuple):
    """One side of a comparison: a book, and the instant its prices are taken at (None: each event's own time)."""

    book: PriceBook
    at_us: int | None


class PriceDifference(NamedTuple):
    """One price that is not the same on both sides; None where a side has none."""

    provider: str
    model: str
    context: Context
    unit: str
    input_above: int
    before: Price | None
    after: Price | None


class Effect(NamedTuple):
    """What the events of one model cost on each side, in picos; unpriced ones counted apart."""

    provider: str
    model: str
    currency: str
    calls: int
    before_picos: int
    after_picos: int
    unpriced_before: int
    unpriced_after: int


def differences(before: Side, after: Side, now_us: int) -> list[PriceDifference]:
    """Return every price that differs, for every model that either side names, in every context that its rows name."""
    found: list[PriceDifference] = []
    for provider, model, context in sorted(
        _questions(before.book) | _questions(after.book), key=lambda one: (one[0], one[1], str(one[2]))
    ):
        old = _prices(before, provider, model, context, now_us)
        new = _prices(after, provider, model, context, now_us)
        found += [
            PriceDifference(provider, model, context, *slot, old.get(slot), new.get(slot))
            for slot in sorted(old.keys() | new.keys())
            if not _same(old.get(slot), new.get(slot))
        ]
    return found


def effects(before: Side, after: Side, events: Iterable[Event]) -> list[Effect]:
    """Return what `events` cost on each side, by model, the largest change first."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for event in events:
        if is_correction(event):
            continue
        old, new = _charge(before, event), _charge(after, event)
        provider, model = event.attribution.provider or "", event.attribution.model or ""
        currency = new[1] if new[0] is not None else old[1]
        row = sums.setdefault((provider, model, currency), [0] * 5)
        for at, amount in enumerate((1, old[0] or 0, new[0] or 0, int(old[0] is None), int(new[0] is None))):
            row[at] += amount
    made = [Effect(*key, *row) for key, row in sums.items()]
    return sorted(made, key=lambda one: (-abs(one.after_picos - one.before_picos), one.provider, one.model))


def difference_fields(one: PriceDifference) -> dict[str, Any]:
    """Return a difference as commands print it."""
    known = one.after or one.before
    assert known is not None
    per = known.row.per
    percent = None
    if one.before is not None and one.after is not None and one.before.amount_picos:
        old, new = one.before, one.after
        ratio = Fraction(new.amount_picos * old.per, old.amount_picos * new.per)
        percent = f"{float(ratio * 100 - 100):+.1f}"
    conditions: dict[str, Any] = dict(one.context.asked())
    if one.input_above:
        conditions["input_above"] = one.input_above
    return {
        "provider": one.provider,
        "model": one.model,
        "unit": one.unit,
        "conditions": conditions,
        "before": _amount_for(one.before, per),
        "after": _amount_for(one.after, per),
        "per": per,
        "percent": percent,
        "terms_before": _said(one.before),
        "terms_after": _said(one.after),
        "currency": known.row.currency,
        "source": known.row.evidence,
    }


def effect_fields(one: Effect) -> dict[str, Any]:
    """Return an effect as commands print it."""
    return {
        "provider": one.provider,
        "model": one.model,
        "calls": one.calls,
        "before": format_amount(one.before_picos, one.currency),
        "after": format_amount(one.after_picos, one.currency),
        "change": format_amount(one.after_picos - one.before_picos, one.currency),
        "currency": one.currency,
        "unpriced_before": one.unpriced_before,
        "unpriced_after": one.unpriced_after,
    }


def _questions(book: PriceBook) -> set[tuple[str, str, Context]]:
    asked = set()
    for row in book.rows:
        is_pattern = row.match is Match.PREFIX or (row.rule is not None and row.rule.text == row.model)
        if is_pattern or row.is_factor:
            continue  # names no model by itself
        known = {key: value for key, value in row.conditions if key != TIME}
        asked.add((row.provider, row.model, to_context(tuple(known.items())) if known else STANDARD))
    return asked


def _prices(side: Side, provider: str, model: str, context: Context, now_us: int) -> dict[tuple[str, int], Price]:
    rates = side.book.resolve(provider, model, now_us if side.at_us is None else side.at_us, context)
    if not isinstance(rates, Rates):
        return {}
    found: dict[tuple[str, int], Price] = {}
    below: dict[str, Price] = {}
    for tier in reversed(rates.tiers):
        for unit in tier.rows:
            price = tier.price(unit)
            if price is not None and not _same(below.get(unit), price):
                found[unit, tier.above] = below[unit] = price
    return found


def _same(before: Price | None, after: Price | None) -> bool:
    if before is None or after is None:
        return before is after
    return _terms(before) == _terms(after) and before.amount_picos * after.per == after.amount_picos * before.per


def _terms(price: Price) -> tuple[Any, ...]:
    steps = [(above, row.amount_picos, row.per) for above, _, row in price.bands()] if price.steps else []
    return price.row.currency, price.row.minimum, price.row.quota, steps


def _said(price: Price | None) -> str | None:
    """Return what a price says beside its amount."""
    if price is None:
        return None
    row = price.row
    said = [f"at least {row.minimum}"] if row.minimum else []
    if row.quota is not None:
        said.append(f"{row.quota.quantity} free a {row.quota.window}")
    said += [f"{_per_million_of(step.row)} above {step.above}" for step in price.steps]
    return ", ".join(said) or None


def _per_million_of(row: PriceRow) -> str:
    return format_amount(divide_half_even(row.amount_picos * 10**6, row.per), row.currency)


def _charge(side: Side, event: Event) -> tuple[int | None, str]:
    attribution = event.attribution
    at_us = event.opened_at_us if side.at_us is None else min(side.at_us, FOREVER_US - 1)
    context = to_context(event.context)
    asked = event.priced_as or attribution.model or ""
    served = Served(attribution.provider or "", asked, event.model_served, at_us, context, any_name=was_as_asked(event))
    charged = charge(side.book, served, event.quantities, parts=event.parts)
    return (charged.cost_picos if charged.status is EventStatus.PRICED else None), charged.currency


def _amount_for(price: Price | None, per: int) -> str | None:
    if price is None:
        return None
    return format_amount(
        price.amount(per) if not price.steps else price.amount_picos * per // price.per, price.row.currency
    )
