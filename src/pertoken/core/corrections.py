"""Decides how an event that was rated at an unknown or wrong price is corrected.

A correction is an event of its own, linked to the one it corrects: its cost is the difference, its lines take back the
lines that no longer hold and state the new ones, it counts no call and no token.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pertoken.core.charging import Charge
from pertoken.core.events import Event, EventStatus, Lines, OfCorrection
from pertoken.core.rates import REPORTED

PriceOf = Callable[[Event], int | None]  # what the customer is charged for an event


class Rerating(NamedTuple):
    """What became of one selected event: the corrections it needs, none where its cost holds."""

    event: Event
    before_picos: int
    after: Charge
    corrections: tuple[Event, ...]


def by_event(corrections: Iterable[Event]) -> dict[tuple[str, str], list[Event]]:
    """Return corrections by source and id of the event that each corrects, in the order given."""
    found: dict[tuple[str, str], list[Event]] = {}
    for one in corrections:
        assert isinstance(one.of, OfCorrection), one
        found.setdefault((one.source, one.of.corrects), []).append(one)
    return found


def is_stated(event: Event) -> bool:
    """Tell whether an event is charged as its provider states: no price row changes that."""
    return any(price_id == REPORTED for _, _, price_id, _ in event.lines)


def with_fees(after: Charge, fees: Lines) -> Charge:
    """Return a charge with the fees that were taken beside it."""
    if not fees:
        return after
    return after._replace(lines=(*after.lines, *fees), cost_picos=after.cost_picos + sum(line[3] for line in fees))


def correct(
    event: Event, earlier: Sequence[Event], after: Charge, now_us: int, price: PriceOf | None = None
) -> Rerating:
    """Return what becomes of an event, which `earlier` corrected already, where `after` is its cost now.

    What has a cost keeps it if there is no price any more: a price that is gone is no price of 0. If the currency is
    another now, one correction takes back what was charged in the old one. `price` says what the customer is charged.
    """
    currency = earlier[-1].currency if earlier else event.currency
    in_force = [one for one in (event, *earlier) if one.currency == currency]
    before_picos = sum(one.cost_picos for one in in_force)
    before = _net(line for one in in_force for line in one.lines)
    was_priced = event.status is EventStatus.PRICED or bool(earlier)
    if after.status is not EventStatus.PRICED:
        return Rerating(event, before_picos, after, ())
    new = _net(after.lines)
    if was_priced and before == new and currency == after.currency:
        return Rerating(event, before_picos, after, ())
    made = []
    charged = {} if price is None else _charged([event, *earlier])
    if (was_priced or before_picos or charged.get(currency)) and currency != after.currency:
        made.append(_correction(event, len(earlier) + 1, currency, -before_picos, _negated(before), now_us))
        before, before_picos_left = {}, 0
    else:
        before_picos_left = before_picos
    for other in sorted(charged.keys() - {currency, after.currency}):
        made.append(_correction(event, len(earlier) + 1 + len(made), other, 0, (), now_us))
    lines = _net([*_negated(before), *_as_lines(new)])
    cost_picos = after.cost_picos - before_picos_left
    correction = _correction(
        event, len(earlier) + 1 + len(made), after.currency, cost_picos, _as_lines(lines), now_us, after.reason
    )
    is_unpriced = event.status is not EventStatus.PRICED and not any(map(_made_priced, earlier))
    made.append(correction._replace(of=OfCorrection(event.event_id, was_unpriced=is_unpriced)))
    if price is not None:
        now = {after.currency: price(_as_of_now(event, after))}
        made = [_with_price(one, charged.get(one.currency), now.get(one.currency)) for one in made]
    return Rerating(event, before_picos, after, tuple(made))


def _made_priced(correction: Event) -> bool:
    """Tell whether a correction counts an unpriced call as priced: one that broke off before did not."""
    return isinstance(correction.of, OfCorrection) and correction.of.was_unpriced


def _charged(events: Iterable[Event]) -> dict[str, int]:
    """Return what a customer is charged for an event and its corrections, by currency."""
    sums: dict[str, int] = {}
    for event in events:
        if event.price_picos is not None:
            sums[event.currency] = sums.get(event.currency, 0) + event.price_picos
    return {currency: picos for currency, picos in sums.items() if picos}


def _as_of_now(event: Event, after: Charge) -> Event:
    """Return an event as it would be recorded now, without a price."""
    return event._replace(
        status=after.status, currency=after.currency, cost_picos=after.cost_picos, price_picos=None, lines=after.lines,
        reason=after.reason, book_lines=(),
    )  # fmt: skip


def _with_price(correction: Event, charged: int | None, price: int | None) -> Event:
    """Return a correction with the difference to what the customer was charged; none where neither is known."""
    if charged is None and price is None:
        return correction
    return correction._replace(price_picos=(price or 0) - (charged or 0))


def _correction(  # noqa: PLR0917 - an event's parts
    event: Event, number: int, currency: str, cost_picos: int, lines: Lines, now_us: int, reason: str | None = None
) -> Event:
    return event._replace(
        event_id=f"{event.event_id}.c{number}",
        recorded_at_us=now_us,
        status=EventStatus.PRICED,
        quantities={},
        currency=currency,
        cost_picos=cost_picos,
        price_picos=None,
        lines=lines,
        book_lines=(),
        raw=b"",
        reason=reason or "rated again",
        of=OfCorrection(event.event_id),
    )


def _net(lines: Iterable[tuple[str, int, str, int]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return quantity and amount by unit and price, without those that cancel out."""
    sums: dict[tuple[str, str], list[int]] = {}
    for unit, quantity, price_id, amount_picos in lines:
        row = sums.setdefault((unit, price_id), [0, 0])
        row[0] += quantity
        row[1] += amount_picos
    return {key: (quantity, amount) for key, (quantity, amount) in sums.items() if quantity or amount}


def _as_lines(net: dict[tuple[str, str], tuple[int, int]]) -> Lines:
    return tuple((unit, quantity, price_id, amount) for (unit, price_id), (quantity, amount) in net.items())


def _negated(net: dict[tuple[str, str], tuple[int, int]]) -> Lines:
    return tuple((unit, -quantity, price_id, -amount) for (unit, price_id), (quantity, amount) in net.items())
