"""Proving the books: every balance, budget window and roll-up is re-derived from first entries and compared.

The file they are kept in is looked at first: a page that was lost can leave sums that agree. Events are read in the
order of time, so that the roll-ups of a day are compared when it is over: memory holds one day's sums, the counters of
budgets, and the entries that are not complete yet.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pertoken.core import periods
from pertoken.core.budgets import Attribution, Budget, BudgetIndex
from pertoken.core.ledger import Event
from pertoken.core.periods import DAY_US, US_PER_SECOND, Window
from pertoken.core.reporting import QUARTER_US, Grain, event_sums
from pertoken.core.verification import Counters
from pertoken.ports import Archive

FOREVER = 2**62
DIFFERENCES_MAX = 10_000
WIDTHS_US = {Grain.QUARTER: QUARTER_US, Grain.DAY: DAY_US}

Difference = dict[str, Any]
Slot = tuple[int, Attribution, str]


class Verdict(NamedTuple):
    """What was checked, how many of each, and every difference found."""

    checked: dict[str, int]
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether everything agreed."""
        return not self.differences


def verify(archive: Archive, now_us: int) -> Verdict:
    """Return the verdict on one consistent view of the store. Memory does not grow with the number of events."""
    checked: dict[str, int] = {}
    differences: list[Difference] = [
        {"kind": "file", "id": "database", "difference": finding} for finding in archive.damage()
    ]
    found = itertools.chain(_check_events(archive, now_us, checked), _check_postings(archive, checked))
    differences += itertools.islice(found, DIFFERENCES_MAX)
    if len(differences) >= DIFFERENCES_MAX:
        differences.append({"kind": "verify", "id": "", "difference": "so many differences that the rest was left"})
    return Verdict(checked, differences)


def _check_events(archive: Archive, now_us: int, checked: dict[str, int]) -> Iterator[Difference]:
    """Yield what is wrong with events and what is derived from them: lines, roll-ups, counters."""
    counters = _Counters(archive)
    rollups = _Rollups(archive)
    checked.update(events=0)
    for event in archive.events_by_time(0, FOREVER):
        checked["events"] += 1
        yield from _check_lines(event)
        counters.sums.add_event(event)
        yield from rollups.add(event)
    yield from rollups.check(FOREVER)
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
        yield _difference("event", f"{event.source}/{event.event_id}", "sum of lines", total, event.cost_picos)


class _Counters:
    """The counters of all budgets in force, from the window on in which each was set, as far as they are kept."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._budgets = {budget.budget_id: budget for budget in archive.budgets()}
        starts_us, horizon_us = archive.budget_starts(), archive.counters_horizon_us()
        self._since_us = {one.budget_id: _since(one, starts_us[one.budget_id], horizon_us) for one in archive.budgets()}
        self.sums = Counters(BudgetIndex(self._budgets.values()), self._since_us)

    def check(self, checked: dict[str, int]) -> Iterator[Difference]:
        """Compare what was derived with what is kept."""
        derived, kept = self.sums.sums(), self._archive.counters()
        kept = {key: sums for key, sums in kept.items() if key.window_start_us >= self._since_us.get(key[0], FOREVER)}
        checked["counters"] = len(kept)
        for key in sorted(derived.keys() | kept.keys()):
            want, have = derived.get(key, (0, 0)), kept.get(key, (0, 0))
            if want != have:
                name = f"{self._budgets[key.budget_id].name}/{key.each}@{key.window_start_us}"
                yield _difference("counter", name, "held, spent", list(want), list(have))


def _since(budget: Budget, set_at_us: int, horizon_us: int) -> int:
    start_us, _ = periods.bounds(budget.window, set_at_us, budget.zone)
    return max(start_us, horizon_us) if budget.window in (Window.MINUTE, Window.HOUR) else start_us


class _Rollups:
    """The roll-ups of the day that is being read. Those of the days before are compared already."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._checked_until_us = 0
        self._day_end_us = 0
        self._sums: dict[Grain, dict[Slot, tuple[int, ...]]] = {grain: {} for grain in WIDTHS_US}
        self.checked = {"rollups": 0, "day_rollups": 0}

    def add(self, event: Event) -> Iterator[Difference]:
        """Add an event; with the first of another day compare those before."""
        if event.occurred_at_us >= self._day_end_us:
            day_us = event.occurred_at_us - event.occurred_at_us % DAY_US
            yield from self.check(day_us)
            self._day_end_us = day_us + DAY_US
        attribution, amounts = event.attribution, event_sums(event)
        if attribution.conversation is not None:
            attribution = attribution._replace(conversation=None)
        for grain, width_us in WIDTHS_US.items():
            sums = self._sums[grain]
            slot = (event.occurred_at_us - event.occurred_at_us % width_us, attribution, event.currency)
            before = sums.get(slot)
            if before is None:
                sums[slot] = amounts
            else:
                sums[slot] = tuple([one + other for one, other in zip(before, amounts, strict=True)])

    def check(self, until_us: int) -> Iterator[Difference]:
        """Compare those that were derived before `until_us` with those that are kept, and forget them."""
        for (grain, derived), name in zip(self._sums.items(), self.checked, strict=True):
            for row in self._archive.rollups(grain, self._checked_until_us, until_us):
                self.checked[name] += 1
                want = derived.pop((row.start_us, row.attribution, row.currency), None)
                if want != row.sums:
                    yield _difference("rollup", f"{grain} {row[:3]}", "sums", want, row.sums)
            for slot, want in derived.items():
                yield _difference("rollup", f"{grain} {slot}", "sums", want, None)
            derived.clear()
        self._checked_until_us = until_us


def _check_postings(archive: Archive, checked: dict[str, int]) -> Iterator[Difference]:
    """Yield what is wrong with entries, postings and balances.

    Events and postings are both read in about the order of entries: what an entry's events cost less what was posted
    for it is kept only until it is zero.
    """
    balances: dict[tuple[str, str], int] = defaultdict(int)
    open_picos: dict[int, int] = {}
    costs = _Costs(archive.entry_costs())
    checked.update(postings=0, entries=0)
    entry, total = -1, 0
    for entry_id, currency, account, amount in archive.postings():
        checked["postings"] += 1
        if entry_id != entry:
            yield from _check_balanced(entry, total)
            checked["entries"] += 1
            costs.take(entry, open_picos)
            entry, total = entry_id, 0
        total += amount
        balances[account, currency] += amount
        if account.startswith("provider_cost:"):
            _add(open_picos, entry_id, -amount)
    yield from _check_balanced(entry, total)
    costs.take(FOREVER, open_picos)
    for entry_id in sorted(open_picos):
        yield _difference("entry", str(entry_id), "cost of its events less what is posted", 0, open_picos[entry_id])
    yield from _compare("account", balances, archive.balances())


class _Costs:
    """What events cost, taken in step with postings."""

    def __init__(self, costs: Iterable[tuple[int, int]]) -> None:
        self._costs = iter(costs)
        self._next = next(self._costs, None)

    def take(self, entry_id: int, open_picos: dict[int, int]) -> None:
        """Add the costs of the next events that are of an entry up to `entry_id`."""
        while self._next is not None and self._next[0] <= entry_id:
            _add(open_picos, *self._next)
            self._next = next(self._costs, None)


def _add(open_picos: dict[int, int], entry_id: int, amount: int) -> None:
    left = open_picos.pop(entry_id, 0) + amount
    if left:
        open_picos[entry_id] = left


def _check_balanced(entry_id: int, total: int) -> Iterator[Difference]:
    if total:
        yield _difference("entry", str(entry_id), "sum of postings", 0, total)


def _compare(kind: str, derived: Mapping[Any, Any], kept: Mapping[Any, Any]) -> Iterator[Difference]:
    if derived == kept:
        return
    for key in derived.keys() | kept.keys():
        want, have = derived.get(key), kept.get(key)
        if want != have:
            yield _difference(kind, str(key), "amount", want, have)


def _difference(kind: str, name: str, what: str, derived: object, kept: object) -> Difference:
    return {"kind": kind, "id": name, "what": what, "derived": derived, "stored": kept}
