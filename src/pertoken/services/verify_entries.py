"""Checks entries, postings and balances against the costs of events.

Events and postings are both read in about the order of entries: what an entry's events cost less what was posted for it
is kept only until it is zero.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from pertoken.core.bookkeeping import AccountKind, is_of, owner_of
from pertoken.ports.archive import ArchivedView, PostingsView
from pertoken.services.verdict import Difference, difference

END = 2**62  # after all entries


class EntriesView(ArchivedView, PostingsView, Protocol):
    """Entries, and what is known of those of archived events."""


def check_entries(archive: EntriesView, checked: dict[str, int], see: Callable[[str], None]) -> Iterator[Difference]:
    """Yield what is wrong with entries, postings and balances; `see` is told of each posting."""
    balances: dict[tuple[str, str], int] = defaultdict(int)
    open_picos: dict[int, int] = {}
    archived = itertools.chain.from_iterable(map(archive.archived_entries, archive.archived()))
    costs = (Costs(archive.entry_costs()), Costs(archived))
    checked.update(postings=0, entries=0)
    entry, total = -1, 0
    for entry_id, currency, account, amount in archive.postings():
        checked["postings"] += 1
        see("postings")
        if entry_id != entry:
            yield from _check_balanced(entry, total)
            checked["entries"] += 1
            for one in costs:
                one.take(entry, open_picos)
            entry, total = entry_id, 0
        total += amount
        balances[account, currency] += amount
        if is_of(AccountKind.PROVIDER_COST, account):
            add_cost(open_picos, entry_id, -amount)
    yield from _check_balanced(entry, total)
    for one in costs:
        one.take(END, open_picos)
    for entry_id in sorted(open_picos):
        yield difference("entry", str(entry_id), "cost of its events less what is posted", 0, open_picos[entry_id])
    kept = archive.balances()
    for name in sorted(balances.keys() | kept.keys()):
        if balances.get(name) != kept.get(name):
            yield difference("account", str(name), "amount", balances.get(name), kept.get(name))


def check_owners(archive: PostingsView, costs: Mapping[tuple[str, str], int]) -> Iterator[Difference]:
    """Compare the balances of providers with what their events cost, by provider and currency."""
    kept = {
        (owner_of(account), currency): picos
        for (account, currency), picos in archive.balances().items()
        if is_of(AccountKind.PROVIDER_COST, account)
    }
    for name in sorted(costs.keys() | kept.keys()):
        want, have = costs.get(name, 0), kept.get(name, 0)
        if want != have:
            yield difference("account", str(name), "balance of what its events cost", want, have)


class Costs:
    """What events cost, taken in step with the entries that were posted for them."""

    def __init__(self, costs: Iterable[tuple[int, int]]) -> None:
        self._costs = iter(costs)
        self._next = next(self._costs, None)

    def take(self, entry_id: int, open_picos: dict[int, int]) -> None:
        """Add the costs of the next events that are of an entry up to `entry_id`."""
        while self._next is not None and self._next[0] <= entry_id:
            add_cost(open_picos, *self._next)
            self._next = next(self._costs, None)


def add_cost(open_picos: dict[int, int], entry_id: int, amount: int) -> None:
    """Add to what is open of an entry; nothing is kept of one that is even."""
    left = open_picos.pop(entry_id, 0) + amount
    if left:
        open_picos[entry_id] = left


def _check_balanced(entry_id: int, total: int) -> Iterator[Difference]:
    if total:
        yield difference("entry", str(entry_id), "sum of postings", 0, total)
