"""Checks the books: every balance, budget window and roll-up is computed from events and compared.

What a provider is owed is compared with what the roll-ups of days say that its events cost.

The file they are kept in is looked at first: a page that was lost can leave sums that agree. Events are read in the
order of time, so that the roll-ups of a day are compared when it is over: memory holds one day's sums, the counters of
budgets, and the entries that are not complete yet.

The errors of providers come from events and from the holds that were voided. Those holds are deleted after a time, so
the errors of roll-ups that begin before are not compared.

Of archived events the database has sums by series, file and entry. With those a month is compared as a whole, and what
only the events could say (the counters of windows in such a month) is left out and counted. With the files everything
is derived from their events as well, and the sums are compared with them.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from pertoken.core import periods
from pertoken.core.budgets import Attribution, Budget, BudgetIndex, CounterKey
from pertoken.core.events import Event
from pertoken.core.periods import DAY_US, US_PER_SECOND, Window
from pertoken.core.provider_errors import PLACES, without_errors
from pertoken.core.reporting import COST, NOTHING, QUARTER_US, Grain, event_sums
from pertoken.core.verification import Counters, is_summed
from pertoken.ports.archive import Archive, ArchivedView, HoldsView, LimitsView, SumsView
from pertoken.ports.months import Archived, MonthFiles
from pertoken.services.running_totals import RunningTotal, total_of
from pertoken.services.verdict import Difference, Verdict, difference
from pertoken.services.verify_coarse import check_coarse
from pertoken.services.verify_entries import check_entries, check_owners
from pertoken.services.verify_files import ArchivedFiles, occurred

FOREVER = 2**62
DIFFERENCES_MAX = 10_000
WIDTHS_US = {Grain.QUARTER: QUARTER_US, Grain.DAY: DAY_US}

RollupSlot = tuple[int, Attribution, str]  # start, whose, currency


def _nobody(_what: str) -> None:
    """See nothing."""


def verify(
    archive: Archive, now_us: int, files: MonthFiles | None = None, see: Callable[[str], None] = _nobody
) -> Verdict:
    """Return the verdict on one consistent view of the store, and on the files of its archived events if given.

    `see` is told "events" at each event and "postings" at each posting, for a progress bar.

    Memory does not grow with the number of events. Raises FolderFailed.
    """
    checked: dict[str, int] = {"events": 0}
    if archived := archive.archived():
        checked["archived_events"] = sum(one.removed for one in archived)
    differences: list[Difference] = [
        {"kind": "file", "id": "database", "difference": finding} for finding in archive.damage()
    ]
    found = itertools.chain(
        _check_events(archive, now_us, files, checked, see),
        check_coarse(archive, checked),
        check_entries(archive, checked, see),
    )
    differences += itertools.islice(found, DIFFERENCES_MAX)
    if len(differences) >= DIFFERENCES_MAX:
        differences.append({"kind": "verify", "id": "", "difference": "too many differences; the rest were not listed"})
    return Verdict(checked, differences)


def _check_events(
    archive: Archive, now_us: int, files: MonthFiles | None, checked: dict[str, int], see: Callable[[str], None]
) -> Iterator[Difference]:
    """Yield what is wrong with events and what is derived from them: lines, roll-ups, counters."""
    archived = archive.archived()
    whole = [] if files is not None else archived  # of these there are sums alone
    reading = ArchivedFiles(archive, files)
    counters = _Counters(archive, whole)
    rollups = _Rollups(archive, whole)
    for event in heapq.merge(archive.live_events(), reading.events(archived), key=occurred):
        checked["events"] += 1
        see("events")
        yield from _check_lines(event)
        counters.sums.add_event(event)
        yield from rollups.add(event)
    yield from rollups.check(FOREVER)
    yield from check_owners(archive, rollups.costs)
    yield from reading.differences
    holds = archive.open_holds()
    for hold in holds:
        counters.sums.add_hold(hold)
        if hold.expires_at_us < now_us - 60 * US_PER_SECOND:
            yield {"kind": "hold", "id": hold.hold_id, "difference": "open after its expiry"}
    checked["open_holds"] = len(holds)
    yield from counters.check(checked)
    checked.update(rollups.checked)


def _check_lines(event: Event) -> Iterator[Difference]:
    total = sum([line[3] for line in event.lines])
    if total != event.cost_picos:
        yield difference("event", f"{event.source}/{event.event_id}", "sum of lines", total, event.cost_picos)


class CountersRecords(LimitsView, ArchivedView, Protocol):
    """Budgets with their counters, and sums of archived events."""


class RollupRecords(SumsView, ArchivedView, HoldsView, Protocol):
    """Roll-ups, sums of archived events, and the holds of attempts that failed."""


class _Counters:
    """The counters of all budgets in force, from the window on in which each was set, as far as they are kept."""

    def __init__(self, archive: CountersRecords, whole: Sequence[Archived]) -> None:
        self._archive = archive
        self._budgets = {budget.budget_id: budget for budget in archive.budgets()}
        starts_us, horizon_us = archive.budget_starts(), archive.counters_horizon_us()
        self._since_us = {one.budget_id: _since(one, starts_us[one.budget_id], horizon_us) for one in archive.budgets()}
        self._months = [periods.bounds(Window.MONTH, one.month_us, "UTC") for one in whole]
        self._conversations = any(one.conversations for one in whole)
        self.sums = Counters(BudgetIndex(self._budgets.values()), self._since_us)
        for one in whole:
            for total in archive.archived_sums(one):
                self.sums.add_total(total)

    def check(self, checked: dict[str, int]) -> Iterator[Difference]:
        """Compare what was derived with what is kept; count the counters that only archived events could say."""
        derived, kept = self.sums.sums(), self._archive.counters()
        kept = {key: sums for key, sums in kept.items() if key.window_start_us >= self._since_us.get(key[0], FOREVER)}
        checked["counters"] = len(kept)
        if self._months:
            checked["counters_of_archived_months"] = sum(not self._is_derived(key) for key in kept)
        for key in sorted(derived.keys() | kept.keys()):
            want, have = derived.get(key, (0, 0)), kept.get(key, (0, 0))
            if want != have and self._is_derived(key):
                name = f"{self._budgets[key.budget_id].name}/{key.each}@{key.window_start_us}"
                yield difference("counter", name, "held, spent", list(want), list(have))

    def _is_derived(self, key: CounterKey) -> bool:
        budget = self._budgets[key.budget_id]
        if budget.window is Window.TOTAL:
            return is_summed(budget) or not self._conversations
        start_us, end_us = periods.bounds(budget.window, key.window_start_us, budget.zone)
        return not any(month_us < end_us and start_us < month_end_us for month_us, month_end_us in self._months)


def _since(budget: Budget, set_at_us: int, horizon_us: int) -> int:
    start_us, _ = periods.bounds(budget.window, set_at_us, budget.zone)
    return max(start_us, horizon_us) if budget.window in (Window.MINUTE, Window.HOUR) else start_us


class _Rollups:
    """The roll-ups of the day that is being read; those of `whole` months together. What was before is compared."""

    def __init__(self, archive: RollupRecords, whole: Collection[Archived]) -> None:
        self._archive = archive
        self._whole: dict[int, list[Archived]] = defaultdict(list)  # by the start of their month
        for one in whole:
            self._whole[one.month_us].append(one)
        self._failed = archive.failed_holds()
        self._next_failed = next(self._failed, None)
        self._errors_since_us = archive.ended_holds_horizon_us()
        self._checked_until_us = 0
        self._unit_end_us = 0
        self._sums: dict[Grain, dict[RollupSlot, RunningTotal]] = {grain: {} for grain in WIDTHS_US}
        self.checked = {"rollups": 0, "day_rollups": 0}
        self.costs: dict[tuple[str, str], int] = defaultdict(int)  # by provider and currency, in the roll-ups of days

    def add(self, event: Event) -> Iterator[Difference]:
        """Add an event; with the first of another day, or whole month, compare those before."""
        at_us = event.occurred_at_us
        if at_us >= self._unit_end_us:
            start_us, self._unit_end_us = self._unit(at_us)
            yield from self.check(start_us)
        owner, amounts = _owner(event.attribution), event_sums(event)
        for grain in WIDTHS_US:
            total_of(self._sums[grain], (self._slot(grain, at_us), owner, event.currency)).add_event(event, amounts)

    def check(self, until_us: int) -> Iterator[Difference]:
        """Compare those that were derived before `until_us` with those that are kept, and forget them."""
        since_us, self._checked_until_us = self._checked_until_us, until_us
        self._add_failed(until_us)
        for (grain, derived), name in zip(self._sums.items(), self.checked, strict=True):
            for month_us in [one for one in self._whole if since_us <= one < until_us]:
                for archived in self._whole[month_us]:
                    for total in self._archive.archived_sums(archived):
                        slot = (month_us, total.attribution, total.currency)
                        total_of(derived, slot).add(total.sums, total.latency)
            together: dict[RollupSlot, RunningTotal] = {}
            for row in self._archive.rollups(grain, since_us, until_us):
                self.checked[name] += 1
                if grain is Grain.DAY:
                    self.costs[row.attribution.provider or "", row.currency] += row.sums[COST]
                slot = (self._slot(grain, row.start_us), row.attribution, row.currency)
                if slot[0] in self._whole:
                    total_of(together, slot).add(row.sums, row.latency)
                else:
                    yield from self._compare(grain, slot, derived, RunningTotal(row.sums, row.latency))
            for slot, kept_together in together.items():
                yield from self._compare(grain, slot, derived, kept_together)
            for slot, want in derived.items():
                yield difference("rollup", f"{grain} {slot}", "sums", want.sums, None)
            derived.clear()

    def _add_failed(self, until_us: int) -> None:
        """Add the errors of the holds that were opened before an instant and voided."""
        while (failed := self._next_failed) is not None and failed.hold.opened_at_us < until_us:
            hold, _, error = failed
            if error is not None:
                owner = _owner(hold.attribution)
                for grain in WIDTHS_US:
                    slot = (self._slot(grain, hold.opened_at_us), owner, hold.currency)
                    total_of(self._sums[grain], slot).add(NOTHING, {PLACES[error]: 1})
            self._next_failed = next(self._failed, None)

    def _compare(
        self, grain: Grain, slot: RollupSlot, derived: dict[RollupSlot, RunningTotal], kept: RunningTotal
    ) -> Iterator[Difference]:
        want = derived.pop(slot, None)
        if slot[0] < self._errors_since_us:
            want, kept = None if want is None else _without_errors(want), _without_errors(kept)
            if want is None and kept.is_as(RunningTotal()):
                return
        if want is None or want.sums != kept.sums:
            yield difference("rollup", f"{grain} {slot}", "sums", None if want is None else want.sums, kept.sums)
        if want is not None and want.latency != kept.latency:
            yield difference("rollup", f"{grain} {slot}", "latency", want.latency, kept.latency)

    def _slot(self, grain: Grain, at_us: int) -> int:
        """Return the start of the roll-up that an instant is in, or of its month if that is compared as a whole."""
        if self._whole:
            month_us, _ = periods.bounds(Window.MONTH, at_us, "UTC")
            if month_us in self._whole:
                return month_us
        return at_us - at_us % WIDTHS_US[grain]

    def _unit(self, at_us: int) -> tuple[int, int]:
        """Return the stretch that is compared together: a day, or a month of which only sums are known."""
        month_us, end_us = periods.bounds(Window.MONTH, at_us, "UTC")
        day_us = at_us - at_us % DAY_US
        return (month_us, end_us) if month_us in self._whole else (day_us, day_us + DAY_US)


def _without_errors(total: RunningTotal) -> RunningTotal:
    return RunningTotal(total.sums, without_errors(total.latency))


def _owner(attribution: Attribution) -> Attribution:
    """Return whose roll-ups an attribution's use is in: they know no conversations."""
    return attribution if attribution.conversation is None else attribution._replace(conversation=None)
