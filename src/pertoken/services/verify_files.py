"""Compares archived events in their files with the sums that the database keeps."""

import heapq
import itertools
from collections.abc import Iterator, Sequence

from pertoken.core.budgets import Attribution
from pertoken.core.events import Event
from pertoken.core.reporting import event_sums
from pertoken.ports.archive import ArchivedView
from pertoken.ports.months import Archived, MonthFiles
from pertoken.services.running_totals import RunningTotal, total_of
from pertoken.services.verdict import Difference
from pertoken.services.verify_entries import END, Costs, add_cost


def occurred(event: Event) -> int:
    """Return what events are ordered by."""
    return event.occurred_at_us


class ArchivedFiles:
    """The archived events as their files have them; what is wrong with the files is known when those are read."""

    def __init__(self, archive: ArchivedView, files: MonthFiles | None) -> None:
        self._archive = archive
        self._files = files
        self.differences: list[Difference] = []

    def events(self, archived: Sequence[Archived]) -> Iterator[Event]:
        """Yield the archived events in the order of time, a month after the other."""
        if self._files is not None:
            for _, parts in itertools.groupby(archived, key=lambda one: one.month_us):
                yield from heapq.merge(*map(self._read, parts), key=occurred)

    def _read(self, archived: Archived) -> Iterator[Event]:
        """Yield the removed events of one file, and compare what they come to with what the database keeps."""
        assert self._files is not None
        file = next((one for one in self._files.files() if one.sha256 == archived.sha256), None)
        if file is None:
            self._say(archived, f"not in {self._files.place}; it was written to {archived.folder}")
            return
        faults = self._files.faults(file)
        for fault in faults:
            self._say(archived, fault)
        if faults:
            return
        sums: dict[tuple[Attribution, str], RunningTotal] = {}
        open_picos: dict[int, int] = {}
        kept = Costs((entry_id, -picos) for entry_id, picos in self._archive.archived_entries(archived))
        for event, entry_id in itertools.islice(self._files.read(file), archived.removed):
            whose = (event.attribution._replace(conversation=None), event.currency)
            total_of(sums, whose).add_event(event, event_sums(event))
            if entry_id is not None:
                add_cost(open_picos, entry_id, event.cost_picos)
                kept.take(entry_id, open_picos)
            yield event
        kept.take(END, open_picos)
        for entry_id in sorted(open_picos):
            self._say(archived, f"its events of entry {entry_id} cost {open_picos[entry_id]} more than is kept of them")
        for owner, currency, amounts, latency in self._archive.archived_sums(archived):
            whose = (owner, currency)
            want, have = sums.pop(whose, None) or RunningTotal(), RunningTotal(amounts, latency)
            if not want.is_as(have):
                self._say(archived, f"its events of {owner} in {currency} come to {want}, {have} is kept of them")
        for owner, currency in sums:
            self._say(archived, f"no sums are kept for its events of {owner} in {currency}")

    def _say(self, archived: Archived, difference: str) -> None:
        self.differences.append({"kind": "archive", "id": archived.name, "difference": difference})
