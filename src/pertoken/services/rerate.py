"""Corrects events that were rated at an unknown or wrong price: the original stays, and a correction is added.

A correction is an event of its own, linked to the one it corrects: its cost is the difference, its lines take back the
lines that no longer hold and state the new ones, it counts no call and no token. So sums are right, nothing is
rewritten, and both are there to be explained.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pertoken.core import periods
from pertoken.core.charging import FreeUse, Served, charge, fees_of, was_as_asked
from pertoken.core.commands import Conflict, RecordResult, posted
from pertoken.core.conditions import to_context
from pertoken.core.corrections import Rerating, by_event, correct, is_stated, with_fees
from pertoken.core.events import Event, EventStatus, is_correction
from pertoken.core.money import format_amount
from pertoken.core.price_book import PriceBook
from pertoken.ports.archive import EventsView
from pertoken.ports.pricing import Pricing
from pertoken.services.ingest import Intake


class Selection(NamedTuple):
    """Which events to rate again: those that occurred in [since, until), of one provider or model if named."""

    since_us: int
    until_us: int
    provider: str | None = None
    model: str | None = None  # as asked for, or as served

    def takes(self, event: Event) -> bool:
        """Tell whether an event is selected."""
        attribution = event.attribution
        return (
            self.since_us <= event.occurred_at_us < self.until_us
            and self.provider in (None, attribution.provider)
            and self.model in (None, attribution.model, event.model_served)
        )


def rerate(
    archive: EventsView, book: PriceBook, selection: Selection, now_us: int, pricing: Pricing | None = None
) -> Iterator[Rerating]:
    """Yield what becomes of each selected event at the prices of `book` that were in force when its call began.

    Free quotas are counted over all events from the start of their window, in the order they occurred.
    """
    free = FreeUse()
    start_us = reads_from(book, selection)
    corrected = by_event(archive.corrections(selection.since_us, selection.until_us))
    for event in archive.events_by_time(start_us, selection.until_us):
        if is_correction(event) or event.status is EventStatus.CONTRADICTORY or is_stated(event):
            continue
        attribution = event.attribution
        served = Served(
            attribution.provider or "",
            event.priced_as or attribution.model or "",
            event.model_served,
            event.opened_at_us,
            to_context(event.context),
            any_name=was_as_asked(event),
        )
        after = with_fees(charge(book, served, event.quantities, free, event.parts), fees_of(event.lines))
        if selection.takes(event):
            earlier = corrected.get((event.source, event.event_id), [])
            yield correct(event, earlier, after, now_us, None if pricing is None else pricing.price)


class NotCorrected(Exception):
    """Some corrections were not made: other events have their ids."""


class Correcting:
    """Corrections on their way into the books: of each event one after the other.

    Somebody else may rate the same events again at the same time. Then the first correction of an event conflicts, and
    those that were to follow it are left out: they were planned on what is not so any more.
    """

    def __init__(self, outcomes: Iterable[Rerating]) -> None:
        self._left = deque(one.corrections for one in outcomes if one.corrections)
        self._asked: list[tuple[Event, ...]] = []
        self._conflicting: list[str] = []
        self.made = 0

    def next(self, most: int) -> list[Event]:
        """Return what is to be recorded next, `most` events at most; nothing once all is recorded."""
        self._asked = [self._left.popleft() for _ in range(min(most, len(self._left)))]
        return [corrections[0] for corrections in self._asked]

    def take(self, results: Sequence[RecordResult]) -> None:
        """Take what became of the events that `next` returned."""
        self.made += posted(results).new
        for corrections, result in zip(self._asked, results, strict=True):
            if isinstance(result, Conflict):
                self._conflicting.append(corrections[0].event_id)
            elif corrections[1:]:
                self._left.append(corrections[1:])

    def record(self, books: Intake, most: int) -> Iterator[int]:
        """Record everything, `most` events in one transaction; yield how many each of these had."""
        while events := self.next(most):
            self.take(books.record_all(events))
            yield len(events)

    def check(self) -> None:
        """Raise NotCorrected where an event could not be corrected."""
        if self._conflicting:
            raise NotCorrected(
                f"{len(self._conflicting):,} events were not corrected: other events have the ids of their corrections "
                f"(the first: {self._conflicting[0]}); {self.made:,} corrections were made; try again"
            )


def reads_from(book: PriceBook, selection: Selection) -> int:
    """Return from when on events are read, of all models: from the start of the windows of free quotas."""
    return min([selection.since_us, *_quota_starts(book, selection.since_us)])


def outcome_rows(outcomes: Iterator[Rerating]) -> list[dict[str, Any]]:
    """Return sums by provider and model: how many events, how many corrected, cost before and after."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for one in outcomes:
        attribution = one.event.attribution
        currency = one.after.currency if one.after.status is EventStatus.PRICED else one.event.currency
        row = sums.setdefault((attribution.provider or "", attribution.model or "", currency), [0] * 5)
        after_picos = one.after.cost_picos if one.corrections else one.before_picos
        unpriced = int(one.after.status is not EventStatus.PRICED)
        for at, amount in enumerate((1, int(bool(one.corrections)), one.before_picos, after_picos, unpriced)):
            row[at] += amount
    return [
        {
            "provider": provider,
            "model": model,
            "events": events,
            "corrected": corrected,
            "before": format_amount(before, currency),
            "after": format_amount(after, currency),
            "change": format_amount(after - before, currency),
            "currency": currency,
            "unpriced": unpriced,
        }
        for (provider, model, currency), (events, corrected, before, after, unpriced) in sorted(sums.items())
    ]


def _quota_starts(book: PriceBook, at_us: int) -> list[int]:
    quotas = {row.quota for row in book.rows if row.quota is not None}
    return [periods.bounds(quota.window, at_us, "UTC")[0] for quota in quotas]
