"""Series of a snapshot put together by some of their labels, and histograms of them for prometheus-client."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

from pertoken.core.tally import Histogram, Name, Series, Snapshot

Labels = tuple[str, ...]


def grouped(counts: Snapshot, labels: Callable[[Name], Labels]) -> dict[Labels, list[Series]]:
    """Return the series by some of their labels, in order."""
    found: dict[Labels, list[Series]] = {}
    for name, series in sorted(counts.series.items()):
        found.setdefault(labels(name), []).append(series)
    return found


def summed(many: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of some mappings, by name."""
    sums: dict[str, int] = {}
    for one in many:
        for name, value in one.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def add_histogram(  # noqa: PLR0917 - what a histogram has
    family: HistogramMetricFamily,
    labels: Sequence[str],
    histograms: Sequence[Histogram],
    bounds: Sequence[int],
    scale: int = 1,
    every: int = 1,
) -> None:
    """Add the sum of some histograms; of the bounds only `every` so many is shown, divided by `scale`."""
    summed = [sum(values) for values in zip(*histograms, strict=True)]
    running = list(accumulate(summed[:-1]))
    shown = [
        (str(float(bound / scale)), float(running[place])) for place, bound in enumerate(bounds) if place % every == 0
    ]
    family.add_metric(labels, [*shown, ("+Inf", float(running[-1]))], summed[-1] / scale)
