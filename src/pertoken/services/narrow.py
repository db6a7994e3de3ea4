"""An archive that shows a principal only what it may see."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from pertoken.core.access import Hidden, View
from pertoken.core.budgets import Budget, CounterKey
from pertoken.core.coarse import SummedDay
from pertoken.core.directory import Key
from pertoken.core.events import Event
from pertoken.core.holds import EndedHold, Hold
from pertoken.core.prices import PriceRow
from pertoken.core.refusals import OTHER_BUDGET, RefusedCall, RefusedKind, RefusedSearch
from pertoken.core.reporting import Grain, Rollup, Slice, Sum, Timed, Total
from pertoken.core.trust import Doubt
from pertoken.ports.archive import ANY, Among, Archive
from pertoken.ports.events import Posted, Search
from pertoken.ports.months import Archived


class NarrowArchive:
    """An archive seen through a view. What cannot be split (postings, balances) is for the whole view alone.

    Asked for by another it raises Hidden, as it does where the archive found what may not be seen.
    """

    def __init__(self, archive: Archive, view: View) -> None:
        self._archive = archive
        self._view = view

    def list_keys(self) -> list[Key]:
        """Return the keys that may be seen."""
        return [key for key in self._archive.list_keys() if self._view.sees_key(key)]

    def budgets(self) -> list[Budget]:
        """Return the budgets in force that may be seen."""
        if self._view.is_whole:
            return self._archive.budgets()  # without reading ten thousand keys
        own_keys = {key.key_id for key in self.list_keys()}
        return [budget for budget in self._archive.budgets() if self._view.sees_budget(budget, own_keys)]

    def doubts(self) -> list[Doubt]:
        """Return the models whose counts are doubted: they name calls of anybody."""
        self._view.need_whole()
        return self._archive.doubts()

    def prices(self) -> list[PriceRow]:
        """Return every price row, because prices belong to no team or customer."""
        return self._archive.prices()

    def rollups(self, grain: Grain, since_us: int, until_us: int) -> Iterator[Rollup]:
        """Yield the sums that may be seen."""
        return (row for row in self._archive.rollups(grain, since_us, until_us) if self._view.sees(row.attribution))

    def newest_us(self) -> int | None:
        """Return the start of the newest quarter of an hour in which anything was used."""
        self._view.need_whole()
        return self._archive.newest_us()

    def summed_days(self) -> Iterator[SummedDay]:
        """Yield every day that is summed coarsely."""
        self._view.need_whole()
        return self._archive.summed_days()

    def sums(
        self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str], among: Among = ANY
    ) -> Iterator[Sum]:
        """Yield the sums of a slice of what may be seen."""
        narrowed = self._narrowed(where)
        return iter(()) if narrowed is None else self._archive.sums(piece, dimensions, narrowed, among)

    def values(self, dimension: str, where: Mapping[str, str], part: str, most: int) -> list[str]:
        """Return the first values of a dimension that contain a text, of what may be seen."""
        narrowed = self._narrowed(where)
        return [] if narrowed is None else self._archive.values(dimension, narrowed, part, most)

    def latencies(self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]) -> Iterator[Timed]:
        """Yield the latency counts of a slice of what may be seen."""
        narrowed = self._narrowed(where)
        return iter(()) if narrowed is None else self._archive.latencies(piece, dimensions, narrowed)

    def events(self) -> Iterator[Event]:
        """Yield the events that may be seen, in the order they were posted."""
        return self._seen(self._archive.events())

    def events_by_time(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events that may be seen, in the order they occurred."""
        return self._seen(self._archive.events_by_time(since_us, until_us))

    def search_events(self, asked: Search) -> list[Posted]:
        """Return the newest events that fit and may be seen."""
        narrowed = self._narrowed(asked.where)
        if narrowed is None:
            return []
        found = self._archive.search_events(asked._replace(where=narrowed))
        if not all(self._view.sees(posted.event.attribution) for posted in found):
            raise Hidden("what was found is not all of your own, so none of it is shown")
        return found

    def posted_after(self, number: int, limit: int) -> list[Posted]:
        """Return the events posted after another."""
        self._view.need_whole()
        return self._archive.posted_after(number, limit)

    def last_number(self) -> int:
        """Return the number of the event that was posted last."""
        self._view.need_whole()
        return self._archive.last_number()

    def corrections(self, since_us: int, until_us: int) -> list[Event]:
        """Return the corrections that may be seen."""
        return list(self._seen(self._archive.corrections(since_us, until_us)))

    def conversation_events(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events of conversations that may be seen."""
        return self._seen(self._archive.conversation_events(since_us, until_us))

    def call_events(self, call_id: str) -> list[Event]:
        """Return the events of one call that may be seen."""
        return list(self._seen(self._archive.call_events(call_id)))

    def live_events(self, span: tuple[int, int] | None = None) -> Iterator[Event]:
        """Yield the events that are not archived and may be seen."""
        return self._seen(self._archive.live_events(span))

    def call_archived(self, call_id: str) -> list[Archived]:
        """Return the files that may have events of one call: nobody can tell whose those are without reading them."""
        return self._archive.call_archived(call_id) if self._view.is_whole else []

    def archived(self) -> list[Archived]:
        """Return the files that have events which are not in the database any more."""
        return self._archive.archived()

    def archived_sums(self, archived: Archived) -> Iterator[Total]:
        """Yield what the removed events of a file come to, as far as it may be seen."""
        return (row for row in self._archive.archived_sums(archived) if self._view.sees(row.attribution))

    def archived_entries(self, archived: Archived) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of the removed events of a file."""
        self._view.need_whole()
        return self._archive.archived_entries(archived)

    def refused_call(self, call_id: str) -> RefusedCall | None:
        """Return one refused call, if it may be seen."""
        call = self._archive.refused_call(call_id)
        return call if call is not None and self._view.sees(call.attribution) else None

    def refused_calls(self, asked: RefusedSearch) -> list[RefusedCall]:
        """Return the newest refused calls that fit and may be seen."""
        narrowed = self._narrowed(asked.where)
        return [] if narrowed is None else self._archive.refused_calls(asked._replace(where=narrowed))

    def refused_counts(self, since_us: int, until_us: int) -> dict[RefusedKind, int]:
        """Return how many calls of the keys were refused that may be seen; a budget that may not has no name."""
        counts = self._archive.refused_counts(since_us, until_us)
        if self._view.is_whole:
            return counts
        own = {key.key_id for key in self.list_keys()}
        budgets = {"", *(budget.name for budget in self.budgets())}
        found: dict[RefusedKind, int] = {}
        for kind, calls in counts.items():
            if kind.key in own:
                seen = kind if kind.budget in budgets else kind._replace(budget=OTHER_BUDGET)
                found[seen] = found.get(seen, 0) + calls
        return found

    def open_hold(self, hold_id: str) -> Hold | None:
        """Return one hold while it is open, if it may be seen."""
        hold = self._archive.open_hold(hold_id)
        return hold if hold is not None and self._view.sees(hold.attribution) else None

    def ended_hold(self, hold_id: str) -> EndedHold | None:
        """Return one hold that was let go without a charge, if it may be seen."""
        ended = self._archive.ended_hold(hold_id)
        return ended if ended is not None and self._view.sees(ended.hold.attribution) else None

    def failed_holds(self) -> Iterator[EndedHold]:
        """Yield the holds that may be seen and were released because a provider failed."""
        return (one for one in self._archive.failed_holds() if self._view.sees(one.hold.attribution))

    def ended_holds_horizon_us(self) -> int:
        """Return the instant before which released holds have been deleted."""
        return self._archive.ended_holds_horizon_us()

    def open_holds(self) -> list[Hold]:
        """Return the open holds that may be seen."""
        return [hold for hold in self._archive.open_holds() if self._view.sees(hold.attribution)]

    def counters(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter of the budgets that may be seen."""
        return self._own(self._archive.counters())

    def counters_of(self, keys: Collection[CounterKey]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of the counters among `keys` that may be seen."""
        return self._own(self._archive.counters_of(keys))

    def counters_in(self, windows: Collection[tuple[str, int]]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter in `windows` that may be seen."""
        return self._own(self._archive.counters_in(windows))

    def budget_starts(self) -> dict[str, int]:
        """Return when each budget in force was set."""
        self._view.need_whole()
        return self._archive.budget_starts()

    def counters_horizon_us(self) -> int:
        """Return before when counters of windows of minutes and hours are not kept any more."""
        return self._archive.counters_horizon_us()

    def entry_costs(self) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of every event that an entry was posted for."""
        self._view.need_whole()
        return self._archive.entry_costs()

    def damage(self) -> list[str]:
        """Return what the store finds wrong with its own files."""
        self._view.need_whole()
        return self._archive.damage()

    def postings(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield (entry id, currency, account, amount in picos) of every posting."""
        self._view.need_whole()
        return self._archive.postings()

    def balances(self) -> dict[tuple[str, str], int]:
        """Return the balance in picos of each (account, currency)."""
        self._view.need_whole()
        return self._archive.balances()

    def _own(self, counters: dict[CounterKey, tuple[int, int]]) -> dict[CounterKey, tuple[int, int]]:
        """Return the counters of the budgets that may be seen."""
        if self._view.is_whole:
            return counters
        own = {budget.budget_id for budget in self.budgets()}
        return {key: amounts for key, amounts in counters.items() if key.budget_id in own}

    def _narrowed(self, where: Mapping[str, str]) -> dict[str, str] | None:
        """Return `where` with what the view adds, None where the two leave nothing."""
        own = {name: value for name, value in self._view._asdict().items() if value is not None}
        if any(where.get(name, value) != value for name, value in own.items()):
            return None
        return {**where, **own}

    def _seen(self, events: Iterator[Event] | list[Event]) -> Iterator[Event]:
        return (event for event in events if self._view.sees(event.attribution))
