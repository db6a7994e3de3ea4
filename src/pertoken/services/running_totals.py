"""Running totals while events are summed again: sums and latency counts together."""

from typing import TypeVar

from pertoken.core.events import Event
from pertoken.core.latency import LatencyCounts, add_counts, count
from pertoken.core.reporting import NOTHING, Sums

Key = TypeVar("Key")


class RunningTotal:
    """Grows by events, and by what others come to."""

    __slots__ = ("latency", "sums")

    def __init__(self, sums: Sums = NOTHING, latency: LatencyCounts | None = None) -> None:
        self.sums = sums
        self.latency: LatencyCounts = {} if latency is None else dict(latency)

    def __repr__(self) -> str:
        return f"{list(self.sums)}, latency {dict(sorted(self.latency.items()))}"

    def is_as(self, other: "RunningTotal") -> bool:
        """Tell whether both come to the same."""
        return self.sums == other.sums and self.latency == other.latency

    def add_event(self, event: Event, amounts: Sums) -> None:
        """Add an event, whose sums are `amounts`."""
        self._add_sums(amounts)
        count(self.latency, event)

    def add(self, amounts: Sums, latency: LatencyCounts) -> None:
        """Add what other events come to."""
        self._add_sums(amounts)
        add_counts(self.latency, latency)

    def _add_sums(self, amounts: Sums) -> None:
        self.sums = tuple([one + other for one, other in zip(self.sums, amounts, strict=True)])


def total_of(totals: dict[Key, RunningTotal], key: Key) -> RunningTotal:
    """Return the total of a key, a new one where there was none."""
    found = totals.get(key)
    if found is None:
        found = totals[key] = RunningTotal()
    return found
