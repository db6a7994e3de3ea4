"""Latency of calls, counted in fixed buckets. Such counts can be added over any calls and any time.

Four buckets double the time, from a thousandth of a second to 17 minutes: neighbouring bounds are a factor of 1.19
apart. A quantile that is read from counts is the geometric middle of its bucket, so its error is at most 9.1 %.
Below the first bound the error is at most half a millisecond; beyond the last bound, that bound is returned.

Counts of both kinds are in one mapping: a bucket's number, plus the number at which its kind begins. The errors of
providers are counted in the same mapping, at the places of `core.provider_errors`.
"""

from bisect import bisect_right
from collections.abc import Mapping
from enum import IntEnum
from math import isqrt
from typing import Final

from pertoken.core.events import Event, OfCall
from pertoken.core.provider_errors import PLACES

OCTAVES = 20
_STEPS_US = (1_000, 1_189, 1_414, 1_682)  # a fourth of an octave each
BOUNDS_US: Final = (*(step << octave for octave in range(OCTAVES) for step in _STEPS_US), _STEPS_US[0] << OCTAVES)
ERROR_PERCENT = 9.1  # of a quantile, at most

LatencyCounts = dict[int, int]  # bucket, plus the beginning of its kind, or place of an error -> calls; none is 0


class Timing(IntEnum):
    """What was timed, from the moment the call's head was there, and the number at which its buckets begin."""

    FIRST_BYTE = 0  # until the first byte of the provider's answer
    TOTAL = 100  # until the call's cost was known, which its answer's end waits for


FIRST_BYTE: Final = int(Timing.FIRST_BYTE)
TOTAL: Final = int(Timing.TOTAL)


def places(event: Event) -> tuple[int, ...]:
    """Return the places of counts that an event's call adds 1 to: how long it took, and how its provider failed it.

    It has no time if the gateway did not send it, or if nobody knows when.
    """
    of = event.of
    if not isinstance(of, OfCall):
        return ()
    _, sent_us, first_byte_us, _ = of.timeline
    times: tuple[int, ...] = ()
    if sent_us is not None:
        total = TOTAL + bisect_right(BOUNDS_US, event.recorded_at_us - event.opened_at_us)
        times = (total,) if first_byte_us is None else (total, FIRST_BYTE + bisect_right(BOUNDS_US, first_byte_us))
    return times if of.error is None else (*times, PLACES[of.error])


def count(counts: LatencyCounts, event: Event) -> None:
    """Count how long an event's call took, if that is known, and how its provider failed it, if it did."""
    for place in places(event):
        counts[place] = counts.get(place, 0) + 1


def add_counts(counts: LatencyCounts, more: Mapping[int, int], sign: int = 1) -> None:
    """Add to counts, or take away; what comes to nothing is not kept."""
    for place, calls in more.items():
        now = counts.get(place, 0) + sign * calls
        if now:
            counts[place] = now
        else:
            counts.pop(place, None)


def calls_of(counts: Mapping[int, int], kind: Timing) -> int:
    """Return how many calls were timed."""
    return sum(_buckets(counts, kind))


def quantile_us(counts: Mapping[int, int], kind: Timing, permille: int) -> int | None:
    """Return the time that this many of a thousand calls do not exceed, or None if no call was timed."""
    buckets = _buckets(counts, kind)
    rank = max(1, -(-sum(buckets) * permille // 1_000))
    for bucket, calls in enumerate(buckets):
        rank -= calls
        if rank <= 0:
            return _middle_us(bucket)
    return None


def _buckets(counts: Mapping[int, int], kind: Timing) -> list[int]:
    return [counts.get(kind + bucket, 0) for bucket in range(len(BOUNDS_US) + 1)]


def _middle_us(bucket: int) -> int:
    if bucket == 0:
        return BOUNDS_US[0] // 2
    if bucket == len(BOUNDS_US):
        return BOUNDS_US[-1]
    return isqrt(BOUNDS_US[bucket - 1] * BOUNDS_US[bucket])
