"""Reading stored records: one protocol for each noun, and one for all together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from pertoken.core.budgets import Budget, CounterKey
from pertoken.core.coarse import SummedDay
from pertoken.core.directory import Key
from pertoken.core.events import Event
from pertoken.core.holds import EndedHold, Hold
from pertoken.core.prices import PriceRow
from pertoken.core.refusals import RefusedCall, RefusedKind, RefusedSearch
from pertoken.core.reporting import Grain, Rollup, Slice, Sum, Timed, Total
from pertoken.core.trust import Doubt
from pertoken.ports.events import Posted, Search
from pertoken.ports.months import Archived

Among = Mapping[str, Collection[str]]
ANY: Among = {}


class DirectoryView(Protocol):
    """Keys, budgets, prices and trust in counts that are in force."""

    def list_keys(self) -> list[Key]:
        """Return every virtual key, including revoked ones."""

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""

    def budget_starts(self) -> dict[str, int]:
        """Return when each budget in force was set."""

    def doubts(self) -> list[Doubt]:
        """Return the models whose providers count more tokens than pertoken, by provider and model."""

    def prices(self) -> list[PriceRow]:
        """Return every price row, including replaced ones."""


class SumsView(Protocol):
    """Sums of usage."""

    def rollups(self, grain: Grain, since_us: int, until_us: int) -> Iterator[Rollup]:
        """Yield the sums of quarters of an hour, or of days, that begin in [since, until)."""

    def summed_days(self) -> Iterator[SummedDay]:
        """Yield every day that is summed coarsely, by each of its dimensions, in order."""

    def newest_us(self) -> int | None:
        """Return the start of the newest quarter of an hour with usage, None if there is no usage."""

    def sums(
        self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str], among: Among = ANY
    ) -> Iterator[Sum]:
        """Yield the sums of a slice by its spans and by `dimensions`, of usage that matches `where`.

        `among` limits some of the `dimensions` to certain values; a missing value counts as the empty text.
        The same values may come more than once. Raises EventsArchived for a slice of events.
        """

    def values(self, dimension: str, where: Mapping[str, str], part: str, most: int) -> list[str]:
        """Return values of a dimension that were ever used with all of `where`, and contain a text in any case.

        Those that come first in order; tags are no such dimension.
        """

    def latencies(self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]) -> Iterator[Timed]:
        """Yield the latency counts of a slice in the same way."""


class EventsView(Protocol):
    """Single events."""

    def events(self) -> Iterator[Event]:
        """Yield every event, in the order they were posted."""

    def events_by_time(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events that occurred in [since, until), in the order they occurred. Raises EventsArchived."""

    def live_events(self, span: tuple[int, int] | None = None) -> Iterator[Event]:
        """Yield the events that are not archived, of the span if one is given, in the order in which they occurred."""

    def search_events(self, asked: Search) -> list[Posted]:
        """Return the newest matching events by the time they occurred, newest first."""

    def posted_after(self, number: int, limit: int) -> list[Posted]:
        """Return the events that were posted after the event with this `number`, in the order of posting."""

    def last_number(self) -> int:
        """Return the number of the event that was posted last, or 0."""

    def corrections(self, since_us: int, until_us: int) -> list[Event]:
        """Return the corrections of events that occurred in [since, until), in the order they were posted.

        Raises EventsArchived.
        """

    def conversation_events(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events of [since, until) that belong to a conversation. Raises EventsArchived."""

    def call_events(self, call_id: str) -> list[Event]:
        """Return the events of one call, without those that are archived."""


class ArchivedView(Protocol):
    """Information about events that have been archived."""

    def call_archived(self, call_id: str) -> list[Archived]:
        """Return the files that may have archived events of one call."""

    def archived(self) -> list[Archived]:
        """Return the files with events that are no longer in the database."""

    def archived_sums(self, archived: Archived) -> Iterator[Total]:
        """Yield the sums of a file's removed events, by attribution and currency."""

    def archived_entries(self, archived: Archived) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of the removed events of a file, in the order of entries."""


class HoldsView(Protocol):
    """Open and released holds."""

    def open_hold(self, hold_id: str) -> Hold | None:
        """Return one hold while it is open."""

    def open_holds(self) -> list[Hold]:
        """Return the holds that have not ended."""

    def ended_hold(self, hold_id: str) -> EndedHold | None:
        """Return one hold that was released without a charge."""

    def failed_holds(self) -> Iterator[EndedHold]:
        """Yield the holds that were released because a provider failed, in the order they were opened."""

    def ended_holds_horizon_us(self) -> int:
        """Return the instant before which released holds have been deleted."""


class RefusedView(Protocol):
    """Refused calls."""

    def refused_call(self, call_id: str) -> RefusedCall | None:
        """Return one refused call, if it is one of the last ones."""

    def refused_calls(self, asked: RefusedSearch) -> list[RefusedCall]:
        """Return the newest matching calls among the refused calls that are kept."""

    def refused_counts(self, since_us: int, until_us: int) -> dict[RefusedKind, int]:
        """Return how many calls were refused in the hours that begin in [since, until)."""


class CountersView(Protocol):
    """The amounts that budgets have held and spent."""

    def counters(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter."""

    def counters_of(self, keys: Collection[CounterKey]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of the counters in `keys` that exist."""

    def counters_in(self, windows: Collection[tuple[str, int]]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter in `windows`: budget id and start of the window."""

    def counters_horizon_us(self) -> int:
        """Return the instant before which counters of short windows have been deleted."""


class PostingsView(Protocol):
    """Entries, postings and balances."""

    def entry_costs(self) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of every event that an entry was posted for, in the order of posting."""

    def postings(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield (entry id, currency, account, amount in picos) of every posting, in the order of their entries."""

    def balances(self) -> dict[tuple[str, str], int]:
        """Return the balance in picos of each (account, currency)."""


class CallsView(EventsView, ArchivedView, Protocol):
    """Single events, and which files have those that are archived."""


class UseView(SumsView, CallsView, Protocol):
    """What was used: as sums, and as single events for the ends of a range that cut a sum."""


class LimitsView(DirectoryView, CountersView, Protocol):
    """Budgets in force, and what they have held and spent."""


class StandingView(LimitsView, HoldsView, RefusedView, Protocol):
    """How budgets stand: their amounts, the holds behind these, and the calls that were refused."""


class CountedView(UseView, RefusedView, Protocol):
    """What was used, and what was refused."""


class Archive(
    DirectoryView, SumsView, EventsView, ArchivedView, HoldsView, RefusedView, CountersView, PostingsView, Protocol
):
    """One consistent view of everything stored."""

    def damage(self) -> list[str]:
        """Return the faults that the store finds in its own files."""
