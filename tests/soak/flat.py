"""When a series of samples counts as flat; pure.

The first part is warm-up and is not looked at. Of the rest, the last third is compared with the first third, by their
medians: one high sample, or a few, decide nothing, and growth that goes on must show. The line through all samples by
Theil and Sen (the median of the slopes between all pairs) is printed beside it, for who reads the table.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

WARM_UP = 0.25  # of the samples
THIRD_MIN = 8  # samples, for a median that means something
SLOPE_POINTS_MAX = 400  # all pairs of more would take long


class Flat(NamedTuple):
    """How much more, in medians, the last third is than the first."""

    name: str
    first: float
    last: float
    slope: float  # by Theil and Sen, over the whole span after the warm-up
    allowed: float  # that `last` may be more than `first`

    @property
    def holds(self) -> bool:
        """Whether it is flat."""
        return self.last - self.first <= self.allowed


def judge(name: str, samples: Sequence[float], *, more: float = 0.0, factor: float = 1.0) -> Flat:
    """Judge a series: the last third may be `factor` times the first third and `more` above that.

    Raises AssertionError where there are too few samples to tell.
    """
    warm = samples[int(len(samples) * WARM_UP) :]
    third = len(warm) // 3
    assert third >= THIRD_MIN, f"{name}: {len(samples)} samples are too few to tell"
    first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
    return Flat(name, first, last, _slope(warm), first * (factor - 1) + more)


def _slope(samples: Sequence[float]) -> float:
    """Return the rise over the whole span, by the median of all pairs' slopes."""
    points = list(enumerate(samples))[:: 1 + len(samples) // SLOPE_POINTS_MAX]
    slopes = [(after - before) / (later - earlier) for (earlier, before), (later, after) in _pairs(points)]
    return statistics.median(slopes) * (len(samples) - 1)


def _pairs(
    points: list[tuple[int, float]],
) -> "itertools.combinations[tuple[tuple[int, float], tuple[int, float]]]":
    return itertools.combinations(points, 2)
