"""Figures for monitoring: plain integers that calls add to, and sums of them over several processes.

A call costs a few additions here; everything else is done when somebody asks for the figures. Counts only grow. The
process that takes over from a dead one counts on from what that one left, so their sum never falls.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pertoken.core.calls import REFUSED, CallLine
from pertoken.core.events import Event, OfCall
from pertoken.core.latency import BOUNDS_US

SERIES_MAX: Final = 100  # that are told apart by model; the rest of a provider is one, `other`
OTHER: Final = "other"
TOKEN_BOUNDS: Final = tuple(4**power for power in range(14))  # as OpenTelemetry advises for tokens
BATCH_BITS: Final = 12  # batches are counted by the bits of their size: 1, 2 to 3, 4 to 7, ...
FRESH_US: Final = 10 * 1_000_000  # after which a process that has not written is taken for dead

Name = tuple[str, str, str]  # provider, model, wire format; empty where it is not known
Histogram = list[int]  # how many values were in each bucket, and at the end the sum of the values


class Series(NamedTuple):
    """What the calls of one provider, model and wire format came to."""

    statuses: dict[str, int]
    units: dict[str, int]  # inclusive quantities of what was used
    costs: dict[str, int]  # in picos, by currency
    took: Histogram  # from a call's head to its end
    gateway: Histogram  # of that, what the provider did not take
    first_byte: Histogram  # from sending to the first byte of the provider's answer
    provider: Histogram  # from sending to its last byte
    input_tokens: Histogram
    output_tokens: Histogram


class StoreState(NamedTuple):
    """How the committer of one process stands."""

    waiting: int = 0  # commands that wait for a batch
    owed: int = 0  # settlements that are not yet posted
    parked: int = 0  # of those, the ones that a working store did not take
    credit_left_picos: int | None = None  # None: no credit is configured
    commands: int = 0  # of all batches so far
    batches: tuple[int, ...] = (0,) * BATCH_BITS  # batches so far, by the bits of their size


class Snapshot(NamedTuple):
    """The figures of one process at one moment, or of several together."""

    at_us: int
    series: dict[Name, Series]
    refusals: dict[str, int]  # by code
    commands: int
    batches: tuple[int, ...]
    cpu_us: int
    gauges: dict[str, int]  # what is not counted but is so now
    workers: int = 1


def no_series() -> Series:
    """Return a series without a call."""
    times, tokens = len(BOUNDS_US) + 2, len(TOKEN_BOUNDS) + 2
    return Series({}, {}, {}, [0] * times, [0] * times, [0] * times, [0] * times, [0] * tokens, [0] * tokens)


class CallTally:
    """Counts the calls of one process. Used by one thread."""

    def __init__(self, series: dict[Name, Series] | None = None, refusals: dict[str, int] | None = None) -> None:
        """Count on from what another process left, or from nothing."""
        self.series: dict[Name, Series] = {} if series is None else series
        self.refusals: dict[str, int] = {} if refusals is None else refusals

    def count(self, line: CallLine) -> None:
        """Count a call that ended, or one that was refused."""
        of, wire, status = line.attribution, line.wire, line.status
        provider = None if of is None else of.provider
        # The model of a call that went nowhere is a word of its client.
        model = None if of is None or provider is None else of.model
        series = self._series((provider or "", model or "", wire))
        series.statuses[status] = series.statuses.get(status, 0) + 1
        if line.refusal is not None:
            self.refusals[line.refusal] = self.refusals.get(line.refusal, 0) + 1
        if status == REFUSED:
            return
        _add(series.took, BOUNDS_US, line.took_us)
        away_us, timed = 0, 0
        for event in line.events:
            whole_us = self._count_event(event, wire)
            if whole_us is not None:
                away_us += whole_us
                timed += 1
        if timed and timed == _attempts(line.events[-1]):  # else nobody knows how long the other attempts took
            _add(series.gateway, BOUNDS_US, max(0, line.took_us - away_us))

    def _count_event(self, event: Event, wire: str) -> int | None:
        """Count one attempt that was charged; return how long its provider took, if that is known."""
        series = self._series((event.attribution.provider or "", event.attribution.model or "", wire))
        units, quantities = series.units, event.quantities
        for unit, quantity in quantities.items():
            units[unit] = units.get(unit, 0) + quantity
        series.costs[event.currency] = series.costs.get(event.currency, 0) + event.cost_picos
        _add(series.input_tokens, TOKEN_BOUNDS, quantities.get("input_tokens", 0))
        _add(series.output_tokens, TOKEN_BOUNDS, quantities.get("output_tokens", 0))
        of = event.of
        if not isinstance(of, OfCall):
            return None
        _, sent_us, first_us, last_us = of.timeline
        if sent_us is None:
            return None
        if first_us is not None:
            _add(series.first_byte, BOUNDS_US, max(0, first_us - sent_us))
        if last_us is None:
            return None
        whole_us = max(0, last_us - sent_us)
        _add(series.provider, BOUNDS_US, whole_us)
        return whole_us

    def _series(self, name: Name) -> Series:
        found = self.series.get(name)
        if found is None:
            if len(self.series) >= SERIES_MAX and name[1]:
                name = (name[0], OTHER, name[2])
            found = self.series.setdefault(name, no_series())
        return found


def total(snapshots: Iterable[Snapshot], now_us: int) -> Snapshot:
    """Return the sum of the figures of several processes. What is so now is asked of those alone that live."""
    sums: dict[Name, Series] = {}  # every process has folded what it had to
    refusals: dict[str, int] = {}
    gauges: dict[str, int] = {}
    commands, cpu_us, workers = 0, 0, 0
    batches = [0] * BATCH_BITS
    for one in snapshots:
        for name, series in one.series.items():
            _add_series(sums.setdefault(name, no_series()), series)
        _add_to(refusals, one.refusals)
        commands += one.commands
        cpu_us += one.cpu_us
        batches = [was + more for was, more in zip(batches, one.batches, strict=True)]
        if abs(now_us - one.at_us) <= FRESH_US:
            workers += 1
            _add_to(gauges, one.gauges)
    return Snapshot(now_us, sums, refusals, commands, tuple(batches), cpu_us, gauges, workers)


def _attempts(event: Event) -> int | None:
    of = event.of
    return of.attempts if isinstance(of, OfCall) else None


def _add(histogram: Histogram, bounds: Sequence[int], value: int) -> None:
    place = bisect_left(bounds, value)
    histogram[place] += 1
    histogram[-1] += value


def _add_series(sums: Series, more: Series) -> None:
    for old, new in zip(sums, more, strict=True):
        if isinstance(old, dict) and isinstance(new, dict):
            _add_to(old, new)
        elif isinstance(old, list) and isinstance(new, list):
            old[:] = [was + one for was, one in zip(old, new, strict=True)]


def _add_to(sums: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value
