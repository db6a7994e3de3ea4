"""Proving the books: every balance, budget window and roll-up is re-derived from first entries and compared.

The file they are kept in is looked at first: a page that was lost can leave sums that agree.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pertoken.core.budgets import Attribution, Budget, BudgetIndex, CounterKey
from pertoken.core.ledger import Event
from pertoken.core.periods import US_PER_SECOND
from pertoken.core.reporting import SUMS, event_sums
from pertoken.core.verification import Counters
from pertoken.ports import Archive

FOREVER = 2**62
HOUR_US = 3_600 * US_PER_SECOND


class Verdict(NamedTuple):
    """What was checked, how many of each, and every difference found."""

    checked: dict[str, int]
    differences: list[dict[str, Any]]

    @property
    def ok(self) -> bool:
        """Whether everything agreed."""
        return not self.differences


def verify(archive: Archive, now_us: int) -> Verdict:
    """Return the verdict on one consistent view of the store. Memory grows with sums, not with events."""
    budgets = {budget.budget_id: budget for budget in archive.budgets()}
    index = BudgetIndex(budgets.values())
    holds = archive.open_holds()
    counters = Counters(index)
    rollups: dict[tuple[int, Attribution, str], list[int]] = defaultdict(lambda: [0] * len(SUMS))
    differences: list[dict[str, Any]] = [
        {"kind": "file", "id": "database", "difference": finding} for finding in archive.damage()
    ]
    events = 0
    for event in archive.events():
        events += 1
        differences += _check_lines(event)
        counters.add_event(event)
        _add_to_rollup(rollups, event)
    for hold in holds:
        counters.add_hold(hold)
        if hold.expires_at_us < now_us - 60 * US_PER_SECOND:
            differences.append({"kind": "hold", "id": hold.hold_id, "difference": "open after its expiry"})
    checked = {"events": events, "open_holds": len(holds)}
    differences += _check_counters(archive, budgets, counters.sums(), checked)
    differences += _check_rollups(archive, rollups, checked)
    differences += _check_postings(archive, checked)
    return Verdict(checked, differences)


def _check_lines(event: Event) -> Iterator[dict[str, Any]]:
    total = sum(line[3] for line in event.lines)
    if total != event.cost_picos:
        yield _difference("event", f"{event.source}/{event.event_id}", "sum of lines", total, event.cost_picos)


def _check_counters(
    archive: Archive,
    budgets: Mapping[str, Budget],
    derived: Mapping[CounterKey, tuple[int, int]],
    checked: dict[str, int],
) -> Iterator[dict[str, Any]]:
    kept = {key: value for key, value in archive.counters().items() if key.budget_id in budgets}
    checked["counters"] = len(kept)
    for key in sorted(derived.keys() | kept.keys()):
        want, have = derived.get(key, (0, 0)), kept.get(key, (0, 0))
        if want != have:
            name = f"{budgets[key.budget_id].name}/{key.each}@{key.window_start_us}"
            yield _difference("counter", name, "held, spent", list(want), list(have))


def _add_to_rollup(rollups: dict[tuple[int, Attribution, str], list[int]], event: Event) -> None:
    hour_us = event.occurred_at_us - event.occurred_at_us % HOUR_US
    row = rollups[hour_us, event.attribution._replace(conversation=None), event.currency]
    for at, amount in enumerate(event_sums(event)):
        row[at] += amount


def _check_rollups(
    archive: Archive, derived: Mapping[tuple[int, Attribution, str], list[int]], checked: dict[str, int]
) -> Iterator[dict[str, Any]]:
    kept = {(row.hour_us, row.attribution, row.currency): list(row.sums) for row in archive.rollups(0, FOREVER)}
    checked["rollups"] = len(kept)
    yield from _compare("rollup", derived, kept)


def _check_postings(archive: Archive, checked: dict[str, int]) -> Iterator[dict[str, Any]]:
    balances: dict[tuple[str, str], int] = defaultdict(int)
    entries: dict[int, int] = defaultdict(int)
    costs: dict[int, int] = defaultdict(int)
    count = 0
    for entry_id, currency, account, amount in archive.postings():
        count += 1
        balances[account, currency] += amount
        entries[entry_id] += amount
        if account.startswith("provider_cost:"):
            costs[entry_id] += amount
    checked["postings"] = count
    checked["entries"] = len(entries)
    for entry_id, total in entries.items():
        if total:
            yield _difference("entry", str(entry_id), "sum of postings", 0, total)
    yield from _compare("entry", archive.entry_sums(), costs)
    yield from _compare("account", balances, archive.balances())


def _compare(kind: str, derived: Mapping[Any, Any], kept: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    for key in derived.keys() | kept.keys():
        want, have = derived.get(key), kept.get(key)
        if want != have:
            yield _difference(kind, str(key), "amount", want, have)


def _difference(kind: str, name: str, what: str, derived: object, kept: object) -> dict[str, Any]:
    return {"kind": kind, "id": name, "what": what, "derived": derived, "stored": kept}
