"""Explains one call: quantity x price = amount, line by line, with the price's source, the hold and the budgets."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

from pertoken.core.axes import currency_in, written
from pertoken.core.budgets import BudgetIndex, Touch
from pertoken.core.events import Event, Lines, OfCall
from pertoken.core.holds import EndedHold, Hold
from pertoken.core.money import divide_half_even, format_amount
from pertoken.core.periods import FOREVER_US, format_time
from pertoken.core.prices import PriceRow
from pertoken.core.rates import ANOTHER, DEAREST, FEE, FREE, HELD, REPORTED, WITHOUT_ROWS, Price, price_of
from pertoken.core.refusals import RefusedCall
from pertoken.core.units import CONTAINERS
from pertoken.ports.archive import CallsView, LimitsView, StandingView
from pertoken.ports.months import Archived
from pertoken.services.calls import Folders, listed, own_fields

ARCHIVED = "archived"  # the status of a call whose events are in files alone
REFUSED = "refused"  # of one that was not made


class CallRecords(CallsView, StandingView, Protocol):
    """What is known of single calls, and of the budgets that they touch."""


def explain(archive: CallRecords, call_id: str, folders: Folders | None = None) -> dict[str, Any] | None:
    """Return all that is known of a call, None when there is no such call.

    Archived events are read from their files; without `folders`, only their location is given. Raises FolderFailed.
    """
    events = archive.call_events(call_id)
    ended = archive.ended_hold(call_id)
    hold = ended.hold if ended else archive.open_hold(call_id)
    archived = archive.call_archived(call_id)
    if folders is not None and archived:
        events = sorted(
            [*_archived_events(archived, call_id, folders), *events], key=lambda event: event.recorded_at_us
        )
    refused = None if events or hold is not None else archive.refused_call(call_id)
    if refused is not None:
        return _refused(refused)
    if not events and hold is None:
        return {"call_id": call_id, "status": ARCHIVED, "archived": _archived(archived)} if archived else None
    prices = {row.price_id: row for row in archive.prices()}
    lines = [line for event in events for line in _lines(event, event.lines, prices)]
    currency = events[0].currency if events else hold.currency if hold else "USD"
    return {
        "call_id": call_id,
        "cost": format_amount(sum(event.cost_picos for event in events), currency),
        "price": _price(events, currency),
        "currency": currency,
        "status": str(events[-1].status) if events else str(ended.end) if ended else "open",
        "lines": lines,
        "price_book": _by_book(events, prices),
        "attempts": [_attempt(event) for event in events],
        "attribution": _attribution(events, hold),
        "hold": _settled_hold(events) if events else _hold(hold, ended) if hold else None,
        "budgets": list(_budgets(archive, events, hold)),
        "policy": [of.changed for of in _of_calls(events) if of.changed],
        "archived": _archived(archived),
    }


def _price(events: Sequence[Event], currency: str) -> str | None:
    """Return what the customer is charged for a call, None where nobody decided that."""
    prices = [event.price_picos for event in events if event.price_picos is not None]
    return format_amount(sum(prices), currency) if prices else None


def _refused(call: RefusedCall) -> dict[str, Any]:
    """Return what is known of a call that was refused: nothing was held for it, and it cost nothing."""
    return {
        "call_id": call.call_id,
        "cost": "0",
        "price": None,
        "currency": "USD",
        "status": REFUSED,
        "refusal": {"code": call.code, "message": call.message, "budget": call.budget, "at": format_time(call.at_us)},
        "lines": [],
        "price_book": None,
        "attempts": [],
        "attribution": {**call.attribution._asdict(), "tags": dict(call.attribution.tags)},
        "hold": None,
        "budgets": [],
        "policy": [],
        "archived": [],
    }


def _by_book(events: Sequence[Event], prices: dict[str, PriceRow]) -> dict[str, Any] | None:
    """Return what the price book says where the provider's own statement was charged, None where it was not."""
    stated = [event for event in events if event.book_lines]
    if not stated:
        return None
    by_book = sum(line[3] for event in stated for line in event.book_lines)
    charged = sum(event.cost_picos for event in stated)
    return {
        "cost": format_amount(by_book, stated[0].currency),
        "difference": format_amount(charged - by_book, stated[0].currency),
        "lines": [line for event in stated for line in _lines(event, event.book_lines, prices)],
    }


def _archived_events(archived: Sequence[Archived], call_id: str, folders: Folders) -> Iterator[Event]:
    """Yield the events of a call that are in files alone."""
    for one in archived:
        files = folders(one)
        yield from (stored.event for stored in files.of_call(listed(one, files), one.removed, call_id))


def _archived(archived: Sequence[Archived]) -> list[dict[str, Any]]:
    """Return the files that have events of a call which are not here."""
    return [
        {"file": one.name, "folder": one.folder, "month": format_time(one.month_us)[:7], "sha256": one.sha256}
        for one in archived
    ]


def line_fields(unit: str, quantity: int, amount_picos: int, price: Price, price_id: str) -> dict[str, Any]:
    """Return one rated line as commands print it: quantity x price = amount, and what made the price."""
    row = price.row
    fields = _price_fields(unit, price, price_id).copy()
    fields["quantity"] = quantity
    fields["amount"] = format_amount(amount_picos, row.currency)
    if row.minimum and quantity == row.minimum:
        fields["minimum"] = row.minimum
    return fields


@lru_cache(maxsize=4096)
def _price_fields(unit: str, price: Price, price_id: str) -> dict[str, Any]:
    """Return what a line says of its price; the same few come again and again. Places are kept for the rest."""
    row = price.row
    fields: dict[str, Any] = {
        "unit": unit,
        "quantity": 0,
        "unit_price": format_amount(divide_half_even(price.amount_picos * row.per, price.per), row.currency),
        "per": row.per,
        "unit_price_per_million": _per_million(price.amount_picos, row, price.per),
        "amount": "",
        "price_id": price_id,
    }
    if row.unit != unit:
        fields["priced_as"] = row.unit
    if row.per != 10**6:
        fields["list_price"] = f"{format_amount(row.amount_picos, row.currency)} per {row.per}"
    if row.input_above is not None:
        fields["tier"] = f"input above {row.input_above}"
    if row.conditions:
        fields["conditions"] = dict(row.conditions)
    if price.factors:
        fields["factors"] = [
            {"factor": _factor(one), "conditions": dict(one.conditions), "source": one.evidence}
            for one in price.factors
        ]
    if price.steps:
        fields["steps"] = [
            {
                "above": above,
                "unit_price_per_million": _per_million(one.amount_picos, one),
            }
            for above, _, one in price.bands()
        ]
    if price_id.endswith(FREE) and row.quota is not None:
        fields["free"] = f"within {row.quota.quantity} free each {row.quota.window} ({row.quota.group})"
    return fields


def _per_million(amount_picos: int, row: PriceRow, per: int | None = None) -> str:
    return format_amount(divide_half_even(amount_picos * 10**6, per or row.per), row.currency)


def _factor(row: PriceRow) -> str:
    return f"{Decimal(row.amount_picos) / Decimal(row.per):f}"


_TAKEN_FROM = {
    REPORTED: "the cost that the provider states",
    FEE: "the fee that the seller states, added to the price",
    HELD: "no price is known: the amount held for the call",
    DEAREST: "no price is known: the dearest rates of the model, or of its provider",
    ANOTHER: "another model without a price was served: the amount held, or the dearest rates of its provider",
}


def _lines(event: Event, lines: Lines, prices: dict[str, PriceRow]) -> Iterator[dict[str, Any]]:
    for unit, quantity, price_id, amount_picos in lines:
        if price_id in WITHOUT_ROWS:
            amount = format_amount(amount_picos, event.currency)
            source = _TAKEN_FROM[price_id]
            yield {
                "unit": unit,
                "quantity": quantity,
                "unit_price": None,
                "per": None,
                "unit_price_per_million": None,
                "amount": amount,
                "price_id": price_id,
                "price_source": source,
                "price_valid_from": None,
                "price_valid_to": None,
            }
            continue
        price = price_of(price_id, prices)
        row = price.row
        assert row.unit == unit or row.unit in CONTAINERS[unit], (row, unit)
        since = None if row.valid_from_us == 0 else format_time(row.valid_from_us)
        yield {
            **line_fields(unit, quantity, amount_picos, price, price_id),
            **({"listed_by": row.provider} if row.provider != event.attribution.provider else {}),
            "price_source": row.evidence,
            "price_valid_from": since,
            "price_valid_to": None if row.valid_to_us >= FOREVER_US else format_time(row.valid_to_us),
        }


def _attempt(event: Event) -> dict[str, Any]:
    own = own_fields(event)
    return {
        "event_id": event.event_id,
        "source": event.source,
        "at": format_time(event.occurred_at_us),
        "recorded_at": format_time(event.recorded_at_us),
        "provider": event.attribution.provider,
        "model": event.attribution.model,
        "model_served": event.model_served,
        "service_tier": event.service_tier,
        "status": str(event.status),
        "completeness": str(event.completeness),
        "reason": event.reason,
        "usage": dict(event.quantities),
        "provider_usage": event.raw.decode("utf-8", "replace") or None,
        "response_id": event.response_id,
        "late": own["late"],
        "timeline": own["timeline"],
        "attempts": own["attempts"],
        "context": dict(event.context),
        "corrects": own["corrects"],
        "cost": format_amount(event.cost_picos, event.currency),
    }


def _attribution(events: list[Event], hold: Hold | None) -> dict[str, Any]:
    attribution = events[0].attribution if events else hold.attribution if hold else None
    assert attribution is not None
    return {**attribution._asdict(), "tags": dict(attribution.tags)}


def _settled_hold(events: list[Event]) -> dict[str, Any] | None:
    """Return the hold that the events of a call settled, None for what was served elsewhere and reported."""
    calls = _of_calls(events)
    held = sum(of.held_picos for of in calls)
    if not held:
        return None
    return {
        "held": format_amount(held, events[0].currency),
        "state": "settled late" if any(of.late for of in calls) else "settled",
        "overrun": format_amount(sum(of.overrun_picos for of in calls), events[0].currency),
    }


def _of_calls(events: list[Event]) -> list[OfCall]:
    return [event.of for event in events if isinstance(event.of, OfCall)]


def _hold(hold: Hold, ended: EndedHold | None) -> dict[str, Any]:
    return {
        "held": format_amount(hold.amount_picos, hold.currency),
        "currency": hold.currency,
        "tokens": hold.tokens,
        "state": str(ended.end) if ended else "open",
        "opened_at": format_time(hold.opened_at_us),
        "expires_at": format_time(hold.expires_at_us),
    }


def _budgets(archive: LimitsView, events: list[Event], hold: Hold | None) -> Iterator[dict[str, Any]]:
    if events:
        attribution, opened_at_us = events[0].attribution, events[0].opened_at_us
    else:
        assert hold is not None
        attribution, opened_at_us = hold.attribution, hold.opened_at_us
    touched = BudgetIndex(archive.budgets()).touched(attribution, opened_at_us)
    counters = archive.counters_of([touch.key for touch in touched])
    for touch in touched:
        held, spent = counters.get(touch.key, (0, 0))
        yield budget_fields(touch, held, spent)


def budget_fields(touch: Touch, held: int, spent: int) -> dict[str, Any]:
    """Return one counter of a budget as commands print it."""
    budget, key = touch.budget, touch.key
    return {
        "id": budget.budget_id,
        "name": budget.name,
        "axis": str(budget.axis),
        "currency": currency_in(budget),
        "limit": written(budget.limit, budget),
        "spent": written(spent, budget),
        "held": written(held, budget),
        "remaining": written(max(0, budget.limit - spent - held), budget),
        "window": str(budget.window),
        "window_start": None if key.window_start_us == 0 else format_time(key.window_start_us),
        "window_end": None if touch.window_end_us >= FOREVER_US else format_time(touch.window_end_us),
        "timezone": budget.zone,
        "scope": dict(budget.scope),
        "each": budget.each,
        "value": key.each or None,
        "mode": str(budget.mode),
        "before_refusal": [str(step) for step in budget.steps],
        "warn_percent": budget.warn_percent,
    }
