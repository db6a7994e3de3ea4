"""Bills events that are given, such as the lines of a file. Each counts once; one that cannot stops the bill."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pertoken.core.billing.bill import Bill, Totals
from pertoken.core.billing.charged import use_of
from pertoken.core.billing.meters import CannotMeter, MeteredUse
from pertoken.core.billing.plans import Plan, needs_cost
from pertoken.core.events import EventStatus
from pertoken.core.periods import Window, bounds
from pertoken.core.price_book import PriceBook
from pertoken.core.usage import Contradiction
from pertoken.services.ingest import NotAnEvent, RejectedLine, UsageRecord, check_provider, content_hash, to_event

REASONS_MAX = 1_000


class Asking(NamedTuple):
    """Which events are billed: those in [from, to). That is one period if `is_one`, else each month of `zone` is."""

    customer: str | None = None
    from_us: int | None = None
    to_us: int | None = None
    zone: str = "UTC"
    is_one: bool = False


class PeriodBill(NamedTuple):
    """The bill of one period, [start, end), and how many events it is of."""

    start_us: int
    end_us: int
    events: int
    bill: Bill


class Period:
    """What is counted of one period, [start, end), until it is billed."""

    def __init__(self, plan: Plan, start_us: int, end_us: int) -> None:
        self._span = start_us, end_us
        self._totals = Totals(plan)
        self.events = 0

    def add(self, use: MeteredUse) -> None:
        """Count an event. Raises CannotMeter; then only their number is counted."""
        self.events += 1
        self._totals.add(use)

    def bill(self) -> PeriodBill:
        """Return the bill. Raises CannotMeter."""
        return PeriodBill(*self._span, self.events, self._totals.bill())


class Billed(NamedTuple):
    """The bills of all periods in order of time, or the reasons why there are none."""

    periods: tuple[PeriodBill, ...]
    reasons: tuple[RejectedLine, ...]
    duplicates: int = 0
    before: int = 0  # events before the plan's version began: it is applied to them all the same
    provisional: int = 0  # events charged by a cost that is not certain


def bill_given(
    records: Iterable[UsageRecord | RejectedLine], plan: Plan, asking: Asking, book: PriceBook | None, now_us: int
) -> Billed:
    """Return what a plan makes of events. `book` is needed where the plan asks for cost (plans.needs_cost)."""
    assert book is not None or not needs_cost(plan), plan
    periods: dict[tuple[int, int], Period] = {}
    if asking.is_one:  # what has no events may have fees
        periods[_span(0, asking)] = Period(plan, *_span(0, asking))
    reasons: list[RejectedLine] = []
    known = _Known()
    duplicates, before = 0, 0
    for record in _chosen(records, asking):
        if len(reasons) >= REASONS_MAX:
            break
        try:
            if isinstance(record, RejectedLine):
                reasons.append(record)
            elif known.has(record):
                duplicates += 1
            else:
                before += record.occurred_at_us < plan.from_us
                span = _span(record.occurred_at_us, asking)
                if span not in periods:
                    periods[span] = Period(plan, *span)
                periods[span].add(_usage(record, book, now_us))
        except (NotAnEvent, Contradiction, CannotMeter) as error:
            assert isinstance(record, UsageRecord)
            reasons.append(RejectedLine(record.line, "cannot_bill", str(error)))
    if reasons:
        return Billed((), tuple(reasons), duplicates, before)
    return Billed(tuple(periods[span].bill() for span in sorted(periods)), (), duplicates, before)


class _Known:
    """The identities of the events so far, with what they said."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], bytes] = {}

    def has(self, record: UsageRecord) -> bool:
        """Tell whether an event is a duplicate. Raises NotAnEvent where its id was another's."""
        said = content_hash(record)
        first = self._hashes.setdefault((record.source, record.event_id), said)
        if first is said:
            return False
        if first != said:
            raise NotAnEvent(f"conflict: id {record.event_id!r} was used before with other content")
        return True


def _chosen(records: Iterable[UsageRecord | RejectedLine], asking: Asking) -> Iterator[UsageRecord | RejectedLine]:
    """Yield what is asked for; a line that cannot be read may be of anybody."""
    for record in records:
        if isinstance(record, UsageRecord):
            if asking.customer is not None and record.attribution.customer != asking.customer:
                continue
            if asking.from_us is not None and record.occurred_at_us < asking.from_us:
                continue
            if asking.to_us is not None and record.occurred_at_us >= asking.to_us:
                continue
        yield record


def _span(at_us: int, asking: Asking) -> tuple[int, int]:
    if asking.is_one:
        assert asking.from_us is not None, asking
        assert asking.to_us is not None, asking
        return asking.from_us, asking.to_us
    return bounds(Window.MONTH, at_us, asking.zone)


def _usage(record: UsageRecord, book: PriceBook | None, now_us: int) -> MeteredUse:
    """Return what a plan looks at, with its cost if there is a book. Raises NotAnEvent where that is not known."""
    if book is None:
        return MeteredUse(record.occurred_at_us, record.attribution, record.quantities, record.service_tier)
    check_provider(record.attribution.provider or "", book)
    event = to_event(record, book, now_us)
    if event.status is not EventStatus.PRICED:
        raise NotAnEvent(f"its cost is not known, and the plan charges by cost: {event.reason}")
    return use_of(event)
