"""Bills recorded events: what a plan makes of what one customer, or all, used in a span of time."""

from collections import defaultdict
from collections.abc import Iterator

from pertoken.core.billing.charged import use_of
from pertoken.core.billing.meters import CannotMeter, MeteredUse
from pertoken.core.billing.plans import Plan, needs_cost
from pertoken.core.corrections import by_event
from pertoken.core.events import Event, EventStatus, is_correction
from pertoken.core.periods import Window, windows
from pertoken.ports.archive import EventsView
from pertoken.services.billing.given import Asking, Billed, Period
from pertoken.services.ingest import RejectedLine


def bill_recorded(archive: EventsView, plan: Plan, asking: Asking) -> Billed:
    """Return what a plan makes of recorded events. `asking` needs a span; each month in it is a period.

    The cost of an event is what it costs with its corrections. Raises EventsArchived.
    """
    assert asking.from_us is not None, asking
    assert asking.to_us is not None, asking
    months = windows(Window.MONTH, asking.from_us, asking.to_us, asking.zone)
    spans = [(asking.from_us, asking.to_us)] if asking.is_one else list(months)
    periods, reasons = list[Period](), list[RejectedLine]()
    before, provisional = 0, 0
    for start_us, end_us in spans:
        periods.append(period := Period(plan, start_us, end_us))
        for event, corrections in _uses(archive, max(start_us, asking.from_us), min(end_us, asking.to_us)):
            if asking.customer is not None and event.attribution.customer != asking.customer:
                continue
            before += event.occurred_at_us < plan.from_us
            provisional += needs_cost(plan) and event.status is EventStatus.UNPRICED and not corrections
            try:
                period.add(_metered(event, corrections, plan.currency))
            except CannotMeter as error:
                reasons.append(RejectedLine(period.events, "cannot_bill", f"{event.event_id}: {error}"))
    if reasons:
        return Billed((), tuple(reasons), 0, before)
    return Billed(tuple(period.bill() for period in periods), (), 0, before, provisional)


def _uses(archive: EventsView, start_us: int, end_us: int) -> Iterator[tuple[Event, list[Event]]]:
    """Yield the events of a span, each with its corrections."""
    corrections = by_event(archive.corrections(start_us, end_us))
    for event in archive.events_by_time(start_us, end_us):
        if not is_correction(event):
            yield event, corrections.get((event.source, event.event_id), [])


def _metered(event: Event, corrections: list[Event], currency: str) -> MeteredUse:
    """Return what a plan looks at; the cost is in the plan's currency, if all of it is."""
    costs: dict[str, int] = defaultdict(int)
    for one in (event, *corrections):
        costs[one.currency] += one.cost_picos
    others = [other for other, picos in costs.items() if picos and other != currency]
    status = EventStatus.PRICED if corrections else event.status
    paid_in = others[0] if others else currency
    return use_of(event)._replace(status=str(status), currency=paid_in, cost_picos=costs.get(currency, 0))
